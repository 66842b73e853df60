/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The hosts of an uplink, as its sessions go through them (the order is hosts.h's), and those that brokers name. */

#include "uplink/hosts.h"
#include "uplink/resolver.h"

struct uplink;
struct uplink_session;

/* One of the hosts of an uplink, or one that a broker has named. */
struct uplink_host {
    struct host_name name;
    const char *server_name; /* for SNI; NULL: a literal address */
    char endpoint[HOST_TEXT_MAX];
    struct resolver *resolver;
    struct resolver_watch watch; /* of the uplink's own */
};

/* -ENOMEM, -EINVAL. */
int uplink_host_init(struct uplink *u, const struct host_name *name, struct uplink_host *ret, struct error *e);
void uplink_host_done(struct uplink_host *host);
struct uplink_host *uplink_host_free(struct uplink_host *host);
/* The one that the attempt is made to. */
struct uplink_host *session_host(const struct uplink_session *s);
/* The next attempt goes to the server that this text of the broker at `by` names. False: it is not followed. */
bool session_refer(struct uplink_session *s, const struct uplink_host *by, const char *reference);
/* Back to the uplink's own hosts, from the first on. */
void session_drop_reference(struct uplink_session *s);
/* Chooses the host of an attempt that begins. */
void session_choose_host(struct uplink_session *s, uint64_t now);
/* Nobody was found at the attempt's address. Whether there is another address (0), another host (1), or neither (-1),
 * to be tried at once. */
int session_next_place(struct uplink_session *s, uint64_t now);
