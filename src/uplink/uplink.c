/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/limits.h"
#include "uplink/dtls.h"
#include "uplink/mqtt.h"
#include "uplink/session-internal.h"
#include "uplink/session.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define DESCRIPTORS_BESIDE 64                /* what the rest of the agent needs */
#define TIMER_ACCURACY (100 * USEC_PER_MSEC) /* lets the loop serve many sessions in one wake-up */

static int on_admission(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct uplink *u = userdata;

    admission_run(&u->admission, clock_boottime());
    session_admit(u);
    return 0;
}

static size_t arena_cells(void *userdata)
{
    return arena_cells_free(userdata);
}

static void on_network_changed(void *userdata)
{
    struct uplink *u = userdata;

    u->away = (struct hosts_away){0};
    for (size_t i = 0; i < u->n_hosts; i++)
        resolver_again(u->hosts[i].resolver, clock_boottime());
    u->look.next = u->sessions;
    (void)sd_event_source_set_enabled(u->look.source, SD_EVENT_ON);
}

/* Whose address is another one now? Sessions begun meanwhile have the new one. */
static int on_look(sd_event_source *source, void *userdata)
{
    struct uplink *u = userdata;
    struct attempt_route route = {0};

    for (int i = 0; i < NETWORK_SESSIONS_PER_TURN && u->look.next; i++) {
        struct uplink_session *s = u->look.next;

        u->look.next = s->next;
        attempt_moved(s, &route);
        if (u->look.readdressed)
            attempt_readdressed(s);
    }
    if (!u->look.next) {
        u->look.readdressed = false;
        (void)sd_event_source_set_enabled(u->look.source, SD_EVENT_OFF);
    }
    return 0;
}

/* A name server that answers otherwise each time must not undo the backoff, so this is limited unless it was asked for.
 */
static void on_addresses_changed(bool asked, void *userdata)
{
    struct uplink *u = userdata;
    uint64_t now = clock_boottime();

    if (!asked && u->look.moved_at != 0 && now - u->look.moved_at < RESOLVE_MOVE_INTERVAL)
        return;
    u->look.moved_at = now;
    u->look.readdressed = true;
    u->look.next = u->sessions;
    (void)sd_event_source_set_enabled(u->look.source, SD_EVENT_ON);
}

static void set_up_admission(struct uplink *u, const struct uplink_options *options)
{
    const struct uplink_admission *a = &options->admission;

    admission_init(&u->admission, a->concurrent ? a->concurrent : ADMISSION_CONCURRENT,
                   a->per_sec ? a->per_sec : ADMISSION_PER_SEC, a->unlimited);
    if (options->arena) {
        u->admission.cells_free = arena_cells;
        u->admission.userdata = (void *)options->arena;
    }
    u->jitter = a->unlimited ? 0 : a->jitter ? a->jitter : ADMISSION_JITTER;
}

/* The event sources of all sessions. */
static int set_up_events(struct uplink *u)
{
    int r;

    r = sd_event_add_time(u->event, &u->admission_timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_admission, u);
    if (r >= 0)
        r = sd_event_source_set_enabled(u->admission_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(u->event, &u->look.source, on_look, u);
    if (r >= 0)
        r = sd_event_source_set_enabled(u->look.source, SD_EVENT_OFF);
    if (r >= 0)
        r = timers_new(u->event, TIMER_ACCURACY, attempt_timer, &u->timers);
    if (r >= 0)
        r = sockets_new(u->event, &u->sockets);
    return r;
}

static int set_up_tls(struct uplink *u, const struct uplink_options *options, struct error *e)
{
    switch (options->transport) {
    case UPLINK_COAP:
        return dtls_shared_new(u->sockets, options->suites, &u->dtls, e);
    case UPLINK_MQTT:
        return mqtt_shared_new(u->event, options->suites, &u->mqtt.shared, e);
    }
    return -EINVAL;
}

static int add_host(struct uplink *u, const struct host_name *name, struct error *e)
{
    struct uplink_host *host = &u->hosts[u->n_hosts];
    int r = uplink_host_init(u, name, host, e);

    if (r < 0)
        return r;
    host->watch = (struct resolver_watch){.changed = on_addresses_changed, .userdata = u};
    resolver_watch_add(host->resolver, &host->watch);
    u->n_hosts++;
    return 0;
}

static int set_up_hosts(struct uplink *u, const struct uplink_options *options, struct error *e)
{
    struct host_name first = {.port = options->port};
    int r;

    if (strlen(options->host) >= sizeof(first.name) || options->n_others >= UPLINK_HOSTS_MAX)
        return error_set(e, -EINVAL, "a host's name is too long, or there are more than %d hosts", UPLINK_HOSTS_MAX);
    memcpy(first.name, options->host, strlen(options->host) + 1);
    r = add_host(u, &first, e);
    for (size_t i = 0; r >= 0 && i < options->n_others; i++)
        r = add_host(u, &options->others[i], e);
    return r;
}

int uplink_new(sd_event *event, struct workers *resolver_workers, struct vault *vault,
               const struct uplink_options *options, struct uplink **ret, struct error *e)
{
    _cleanup_(uplink_freep) struct uplink *u = calloc(1, sizeof(*u));
    int r;

    if (!u)
        return -ENOMEM;
    u->transport = options->transport == UPLINK_MQTT ? &mqtt_transport : &coap_transport;
    u->mqtt.version = options->mqtt_version;
    u->mqtt.session_expiry = options->session_expiry;
    u->mqtt.retained = options->retained;
    u->event = sd_event_ref(event);
    u->vault = vault;
    u->nstart = options->nstart;
    u->keepalive =
        options->keepalive ? options->keepalive : (options->transport == UPLINK_MQTT ? MQTT_KEEPALIVE : COAP_KEEPALIVE);
    u->name = strdup(options->name);
    if (!u->name)
        return -ENOMEM;
    u->resolver_workers = resolver_workers;
    u->follow_references = options->follow_references;
    set_up_admission(u, options);
    r = set_up_events(u);
    if (r < 0)
        return error_errno(e, r, "uplink %s: cannot watch for events", u->name);
    r = set_up_hosts(u, options, e);
    if (r >= 0)
        r = set_up_tls(u, options, e);
    if (r < 0)
        return error_prefix(e, r, "uplink %s", u->name);
    (void)network_new(event, on_network_changed, u, &u->network);
    *ret = TAKE_PTR(u);
    return 0;
}

struct uplink *uplink_free(struct uplink *u)
{
    if (!u)
        return NULL;
    network_free(u->network);
    sd_event_source_disable_unref(u->admission_timer);
    for (size_t i = 0; i < u->n_hosts; i++) {
        resolver_watch_remove(u->hosts[i].resolver, &u->hosts[i].watch);
        uplink_host_done(&u->hosts[i]);
    }
    sd_event_source_disable_unref(u->look.source);
    dtls_shared_free(u->dtls);
    mqtt_shared_free(u->mqtt.shared);
    sockets_free(u->sockets);
    timers_free(u->timers);
    sd_event_unref(u->event);
    free(u->name);
    free(u);
    return NULL;
}

/* The kernel's table of a process with threads grows in a call that opens something, and waits there until no
 * processor may look at the old one: 15 ms and more, within a turn of the loop. So it is made as large at once. */
static void grow_table(uint64_t descriptors)
{
    _cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC), last = -EBADF;

    if (fd >= 0 && descriptors > 0 && descriptors <= INT_MAX)
        last = fcntl(fd, F_DUPFD_CLOEXEC, (int)descriptors - 1);
}

int uplink_raise_nofile(uint64_t needed, struct error *e)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return error_errno(e, -errno, "cannot read the limit of open files");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return error_errno(e, -errno, "cannot raise the limit of open files");
    grow_table(MIN_OF((uint64_t)limit.rlim_cur, needed));
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < needed)
        return error_set(e, -EMFILE,
                         "%llu descriptors are needed but only %llu are allowed, enough for %llu sessions: raise "
                         "LimitNOFILE= (or ulimit -Hn)",
                         (unsigned long long)needed, (unsigned long long)limit.rlim_cur,
                         limit.rlim_cur > DESCRIPTORS_BESIDE ? (unsigned long long)(limit.rlim_cur - DESCRIPTORS_BESIDE)
                                                             : 0);
    return 0;
}
