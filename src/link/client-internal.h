/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of the driver's end: client.c (connection), client-report.c (samples and states under way),
 * client-call.c (the set of devices, and the agent's requests) and client-scan.c (findings of scans). Included by these
 * only. */

#include "base/limits.h"
#include "base/map.h"
#include "link/client.h"
#include "link/outbox.h"

#include <sys/queue.h>
#include <sys/un.h>

struct flight;
struct told;
TAILQ_HEAD(flight_list, flight);
TAILQ_HEAD(told_list, told);
struct rest;
TAILQ_HEAD(rest_list, rest);

#define LINK_REST_MARK "rest of an answer "

/* One connection; outlived by the calls that came over it. */
struct line {
    unsigned refs;
    int fd; /* negative: closed */
    struct outbox out;
    sd_event_source *io;
    struct rest_list rests; /* client-scan.c */
    size_t n_rests;
    uint64_t last_rest;
};

/* The set of devices as it comes in. */
struct incoming {
    struct link_device *devices; /* with copies of their texts */
    size_t n, allocated;
    bool whole; /* the last one is */
    bool under_way;
};

struct client_timers {
    sd_event_source *connect_timer, *flush_source, *report_timer, *busy_timer, *resume_timer;
};

/* Samples that wait and that are under way; of client-report.c. */
struct reporting {
    struct link_queue *queue;
    struct flight_list flights;
    size_t n_flights, samples_in_flight;
    size_t available; /* credits left */
    size_t report_max;
    uint64_t next_report;
};

struct link_client {
    sd_event *event;
    const struct link_client_ops *ops;
    void *userdata;
    char *name, *version;
    struct sockaddr_un address;
    struct line *line;
    bool accepted; /* hello was answered */
    uint64_t backoff, last_serial;
    struct client_timers timers;
    uint8_t *in, *out; /* LINK_PACKET_MAX each */
    struct incoming set;
    struct incoming check; /* the device to be checked, in parts */
    uint64_t check_serial;
    struct reporting reports;
    bool busy; /* nothing is sent until busy_timer */
    bool flush_scheduled;
    uint64_t refused;
    struct told_list told; /* states that could not be sent yet */
    struct map told_of;
};

/* client.c */
int client_send(struct link_client *c, const struct cbor_writer *w);
int line_send(struct line *l, const struct cbor_writer *w);
struct line *line_ref(struct line *l);
struct line *line_unref(struct line *l);
void client_disconnect(struct link_client *c, int r, const char *reason);

/* client-report.c */
int client_reports_init(struct link_client *c);
void client_reports_done(struct link_client *c);
/* All that is under way goes back, in its order; states are forgotten. */
void client_reports_reset(struct link_client *c);
/* Sends what may be sent, after all that is to be done now. */
int client_flush_soon(struct link_client *c);
int client_credit(struct link_client *c, uint64_t serial, size_t n, struct cbor_reader *r);
/* Sends what the agent may still get before the end. */
void client_send_last(struct link_client *c);
void client_send_told(struct link_client *c);

/* client-call.c */
/* A packet that is neither welcome nor credit. The descriptor is the callee's. Negative: it is malformed. */
int client_packet(struct link_client *c, enum packet_kind kind, uint64_t serial, size_t n, struct cbor_reader *r,
                  int passed);
void incoming_reset(struct incoming *in);
struct line *link_call_line(struct link_call *call);
/* Answers with a list of n items that are written already. */
void link_call_items(struct link_call *call, size_t n, const void *items, size_t length);

/* client-scan.c */
void line_rests_done(struct line *l);
/* Whether the agent asks for what more was found: then the call is answered. */
bool client_scan_rest(struct link_client *c, struct link_call *call, json_object *options);
