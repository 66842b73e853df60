/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of the agent's end: host.c (socket and names), host-driver.c (drivers, their devices and
 * states), host-line.c (what goes out over a connection), host-conn.c (what comes, and its life), host-report.c
 * (samples and their answers) and host-call.c (requests to a driver). Included by these only. */

#include "base/limits.h"
#include "base/ratelimit.h"
#include "link/dialog.h"
#include "link/host.h"
#include "link/outbox.h"
#include "link/peer.h"

#include <sys/queue.h>
#include <sys/types.h>

struct conn;
struct report;

struct host_device {
    char *id, *section, *points;
    enum link_state state;
    char *reason;
    bool untold; /* the embedder does not know yet */
    struct ratelimit telling;
};

/* Counts of a uid; of a name, where peers name themselves. */
struct account {
    uid_t uid;
    char name[DEVICE_ID_MAX + 1]; /* "" unless it names itself */
    bool used;
    unsigned n_conns;
    uint64_t last;
    struct ratelimit connects, bytes, samples, states;
    struct ratelimit complaints; /* lines logged */
};

struct link_driver {
    TAILQ_ENTRY(link_driver) link;
    struct link_host *host;
    char name[DEVICE_ID_MAX + 1];
    char version[DEVICE_ID_MAX + 1];
    char last_error[ERROR_TEXT_MAX];
    struct host_device *devices; /* by id */
    size_t n_devices;
    struct conn *conn; /* NULL: disconnected */
    unsigned pins;     /* callbacks run that may give it other devices, and it is still needed */
    struct link_driver_counts counts;
    struct ratelimit journal; /* what is logged of its devices */
};
TAILQ_HEAD(driver_list, link_driver);
TAILQ_HEAD(report_list, report);

struct conn_sources {
    sd_event_source *io, *hello_timer, *resume_timer, *held_timer, *call_timer;
};

/* Counted: the host holds it while it is open, a report while it is unanswered, a handler while it runs. */
struct conn {
    LIST_ENTRY(conn) link; /* in host->conns */
    unsigned refs;
    struct link_host *host;     /* NULL once closed */
    struct link_driver *driver; /* NULL before hello */
    struct account *account;    /* likewise, of one that names itself */
    struct dialog dialog;
    struct outbox out;
    struct outbox behind; /* requests, to be sent after the set of devices */
    struct conn_sources sources;
    int fd;
    uid_t uid;
    bool self_naming;             /* it says its name itself */
    const char *why;              /* it is ended here, static; NULL: it disconnects */
    bool deaf;                    /* it takes no more, but may have said something */
    char name[DEVICE_ID_MAX + 1]; /* what its uid says */
    struct report_list held;      /* accepted, the answer waits for the rate */
    uint64_t hello_serial;
    bool welcomed;
    struct { /* the set of devices on its way */
        enum { SET_DONE, SET_BEGIN, SET_DEVICES, SET_END } phase;
        size_t next, at; /* device, and how much of its texts is sent */
    } set;
};
LIST_HEAD(conn_list, conn);

struct link_host {
    sd_event *event;
    const struct link_host_ops *ops;
    void *userdata;
    bool self_naming;
    char *path;
    int fd;
    sd_event_source *listen_source, *pause_timer, *tell_timer;
    struct ratelimit accepts;
    struct peer_names *names;
    struct driver_list drivers;
    struct conn_list conns;
    size_t n_strangers;
    struct account accounts[LINK_ACCOUNTS_MAX];
    struct ratelimit complaints; /* about strangers */
    uint8_t *in, *out;           /* LINK_PACKET_MAX each, for the packet being read and the one being written */
    struct packet packet;        /* its arrays, and those of `answer`, for the packet being read */
    struct dialog_answer answer;
};

/* host.c */
void host_stranger(struct link_host *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* NULL: all are taken by others' connections. */
struct account *host_account(struct link_host *h, uid_t uid, const char *name);

/* host-driver.c */
struct link_driver *host_driver_get(struct link_host *h, const char *name); /* NULL: no memory, or too many */
/* Frees d if it has neither devices nor a connection, so that names that came and went leave room for others. */
void host_driver_forget(struct link_driver *d);
void host_drivers_done(struct link_host *h);
struct host_device *host_device_find(struct link_driver *d, const char *id);
/* All that was said of its devices is over. */
void host_driver_reset(struct link_driver *d);
void host_driver_state(struct link_driver *d, const struct packet *p);
void host_driver_keep(struct link_driver *d, const struct packet *p);
/* The timer behind states that wait. */
int host_tell_states(sd_event_source *source, uint64_t usec, void *host);
/* Makes a driver's text fit to be shown and logged: whole characters, no controls. */
void host_clean(char *text);
