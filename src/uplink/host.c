/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hosts of an uplink, as its sessions go through them (the order is hosts.h's), and those that brokers name. */
#include "base/clock.h"
#include "base/limits.h"
#include "uplink/session-internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static bool is_literal(const char *host)
{
    struct in6_addr any;

    return inet_pton(AF_INET, host, &any) == 1 || strchr(host, ':');
}

int uplink_host_init(struct uplink *u, const struct host_name *name, struct uplink_host *ret, struct error *e)
{
    ret->name = *name;
    ret->server_name = is_literal(ret->name.name) ? NULL : ret->name.name;
    hosts_text(name, ret->endpoint);
    return resolver_get(u->resolver_workers, ret->name.name, ret->name.port, &ret->resolver, e);
}

void uplink_host_done(struct uplink_host *host)
{
    host->resolver = resolver_put(host->resolver);
}

struct uplink_host *uplink_host_free(struct uplink_host *host)
{
    if (host)
        uplink_host_done(host);
    free(host);
    return NULL;
}

struct uplink_host *session_host(const struct uplink_session *s)
{
    return s->attempt.referred ? s->attempt.referred : &s->uplink->hosts[s->attempt.host];
}

void session_drop_reference(struct uplink_session *s)
{
    s->attempt.referred = uplink_host_free(s->attempt.referred);
    s->attempt.hosts = (struct hosts_round){0};
    s->attempt.round = (struct resolver_round){0};
}

/* The name is bounded, and made of a name's characters; that the cloud is there is proved anew, by the key. */
bool session_refer(struct uplink_session *s, const struct uplink_host *by, const char *reference)
{
    struct uplink_host *host;
    struct host_name name;

    if (!s->uplink->follow_references || !reference || s->attempt.followed >= UPLINK_REFERENCES_MAX ||
        hosts_reference(reference, by->name.port, &name) < 0)
        return false;
    host = calloc(1, sizeof(*host));
    if (!host || uplink_host_init(s->uplink, &name, host, NULL) < 0) {
        free(host);
        return false;
    }
    session_cancel_attempt(s);
    session_drop_reference(s);
    s->attempt.referred = host;
    s->attempt.followed++;
    return true;
}

void session_choose_host(struct uplink_session *s, uint64_t now)
{
    struct uplink *u = s->uplink;
    struct attempt *a = &s->attempt;

    if (a->referred || u->n_hosts == 1)
        return;
    if (a->hosts.tried != 0 && !resolver_round_over(u->hosts[a->host].resolver, &a->round))
        return;
    if (hosts_round_over(&a->hosts, u->n_hosts)) {
        a->hosts = (struct hosts_round){0};
        a->rounds++;
    }
    a->host = hosts_next(&u->away, u->n_hosts, &a->hosts, now);
    a->round = (struct resolver_round){0};
}

int session_next_place(struct uplink_session *s, uint64_t now)
{
    struct uplink *u = s->uplink;

    if (!resolver_round_over(session_host(s)->resolver, &s->attempt.round))
        return 0;
    if (s->attempt.referred) {
        session_drop_reference(s);
        return 1;
    }
    hosts_found(&u->away, s->attempt.host, false, now);
    return u->n_hosts == 1 || hosts_round_over(&s->attempt.hosts, u->n_hosts) ? -1 : 1;
}
