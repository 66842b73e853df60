/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the three files of the agent's end share: host.c (socket, names, drivers), host-conn.c (one connection and what
 * it may say) and host-call.c (what is asked of it). Included by these only. */

#include "base/limits.h"
#include "base/ratelimit.h"
#include "link/guard.h"
#include "link/host.h"
#include "link/peer.h"

#include <sys/queue.h>

struct conn;
struct call;

enum device_state {
    DEVICE_STATE_UNKNOWN,
    DEVICE_STATE_OK,
    DEVICE_STATE_DEGRADED,
    DEVICE_STATE_FAILED,
    DEVICE_STATE_CLOSED,
};

struct host_device {
    char *id, *section, *points;
    enum device_state state;
    char *reason;
};

struct link_driver {
    TAILQ_ENTRY(link_driver) link;
    struct link_host *host;
    char name[DEVICE_ID_MAX + 1];
    char version[DEVICE_ID_MAX + 1];
    char last_error[ERROR_TEXT_MAX];
    struct host_device *devices; /* by id */
    size_t n_devices;
    struct conn *conn; /* NULL: away */
    struct link_driver_counts counts;
    struct ratelimit samples;    /* LINK_SAMPLES_PER_SEC; kept over reconnects */
    struct ratelimit complaints; /* what is logged about it */
};
TAILQ_HEAD(driver_list, link_driver);

struct link_report {
    TAILQ_ENTRY(link_report) link; /* in conn->held */
    struct conn *conn;
    sd_bus_message *message;
    size_t n;
};
TAILQ_HEAD(report_list, link_report);

LIST_HEAD(call_list, call);

/* Counted: the host holds it while it is open, a report while it is unanswered, a handler while it runs. */
struct conn {
    LIST_ENTRY(conn) link; /* in host->conns */
    unsigned refs;
    struct link_host *host;     /* NULL once closed */
    struct link_driver *driver; /* NULL before Hello */
    struct guard *guard;
    sd_bus *bus;
    sd_event_source *hello_timer, *held_timer;
    int fd; /* of the peer while it has no name yet */
    uid_t uid;
    bool self_naming;             /* it says its name itself */
    char name[DEVICE_ID_MAX + 1]; /* what its uid says */
    size_t unanswered;            /* samples */
    struct report_list held;      /* accepted, the answer waits for the rate */
    struct call_list calls;
    size_t n_calls;
};
LIST_HEAD(conn_list, conn);

struct link_host {
    sd_event *event;
    const struct link_host_ops *ops;
    void *userdata;
    bool self_naming;
    char *path;
    int fd;
    sd_event_source *listen_source, *pause_timer;
    struct peer_names *names;
    struct driver_list drivers;
    struct conn_list conns;
    size_t n_strangers;
    struct sample *samples;      /* LINK_REPORT_MAX, for the report being read */
    struct ratelimit complaints; /* about strangers */
};

/* host.c */
struct link_driver *host_driver_get(struct link_host *h, const char *name); /* NULL: no memory, or too many */
/* Frees d if it has neither devices nor a connection, so that names that came and went leave room for others. */
void host_driver_forget(struct link_driver *d);
struct host_device *host_device_find(struct link_driver *d, const char *id);
void host_stranger(struct link_host *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* host-conn.c */
/* What a driver said, made fit to be shown and logged: whole characters, no controls. */
void host_clean(char *text);
int conn_new(struct link_host *h, int fd, struct conn **ret); /* takes fd on success */
int conn_start(struct conn *c);
/* Ends it; `reason` (NULL: it went away) becomes the driver's last error. */
void conn_close(struct conn *c, const char *reason);
struct conn *conn_ref(struct conn *c);
struct conn *conn_unref(struct conn *c);
DEFINE_FREEP(struct conn, conn_unref)
int conn_send_devices(struct conn *c);

/* host-call.c */
void conn_end_calls(struct conn *c, int r, const char *text);
