/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The driver's end of the driver protocol (doc/driver-protocol.md).
 *
 * Connects by itself, again and again (LINK_RECONNECT_MIN to LINK_RECONNECT_MAX), says hello, and keeps samples in a
 * bounded queue until the agent has answered for them: what was under way when the connection broke is sent again, what
 * the agent will never take is dropped, and of a device of which it cannot keep samples at present they wait here,
 * while the others' are sent. A report has the samples of many devices; what comes within LINK_REPORT_INTERVAL of the
 * last one travels together, LINK_REPORTS_IN_FLIGHT of them are under way at most, and never more samples than the
 * agent gave credits for. Of the states of a device that cannot be sent at once the last one wins.
 *
 * Loop thread. Strings handed to a callback live for the call. The client may not be freed from within a callback. */

#include "base/error.h"
#include "link/packet.h"
#include "link/queue.h"

#include <systemd/sd-event.h>

struct link_client;
/* Something the agent waits for; answered exactly once by one of link_call_*(), also after the connection is gone. */
struct link_call;

struct link_client_ops {
    /* r 0: the agent has taken us; otherwise why it has not, or why it is gone. */
    void (*connection)(int r, const char *reason, void *userdata);
    /* The whole set. */
    void (*set_devices)(const struct link_device *devices, size_t n, void *userdata);
    void (*write)(struct link_call *call, const char *device, const char *point, const struct sample_value *value,
                  void *userdata);
    /* Each of another point; answered by as many link_call_values(). May be NULL. */
    void (*write_points)(struct link_call *call, const char *device, const struct sample_write *writes, size_t n,
                         void *userdata);
    void (*read)(struct link_call *call, const char *device, const char *point, void *userdata);
    /* `text` is the JSON object {"section": ..., "points": ...}. */
    void (*check_config)(struct link_call *call, const char *device, const char *text, void *userdata);
    void (*scan)(struct link_call *call, json_object *options, void *userdata);
    void (*read_raw)(struct link_call *call, json_object *options, void *userdata);
    /* A sensor's bind key is behind fd, which is the callee's, or nothing, if there is none; `kept` is what
     * link_client_keep() was given last. 0, or why it is of no use. */
    int (*secret)(const char *device, int fd, const char *kept, void *userdata);
    /* Answered by link_call_counts(). May be NULL. */
    void (*statistics)(struct link_call *call, const char *device, void *userdata);
    void (*quit)(void *userdata);
};

struct link_client_options {
    const char *runtime_dir;
    const char *name;
    const char *version;
};

/* ops is not copied. -ENAMETOOLONG, with words. */
int link_client_new(sd_event *event, const struct link_client_options *options, const struct link_client_ops *ops,
                    void *userdata, struct link_client **ret, struct error *e);
/* Sends first what the agent may have and the socket takes. */
struct link_client *link_client_free(struct link_client *c);
DEFINE_FREEP(struct link_client, link_client_free)

/* Takes the sample (queued_new()), which must be valid. */
void link_client_push(struct link_client *c, struct queued *sample);
/* -ENOTCONN: say it again when the agent sends the devices. -ENOMEM. */
int link_client_device_state(struct link_client *c, const char *device, const char *state, const char *reason);

/* For the agent to keep, sealed. -ENOTCONN, -EAGAIN (it does not read): say it again later. */
int link_client_keep(struct link_client *c, const char *device, const char *text);

/* Samples lost because the queue was full, and those that the agent refused. */
uint64_t link_client_dropped(const struct link_client *c);
uint64_t link_client_refused(const struct link_client *c);
/* Waiting or unanswered. */
size_t link_client_pending(const struct link_client *c);
/* Nothing is, or there is no agent to wait for. */
bool link_client_handed_over(const struct link_client *c);

void link_call_value(struct link_call *call, const struct sample_value *value);
void link_call_values(struct link_call *call, const struct sample_value *values, size_t n);
/* n times two texts: JSON pointer and message. */
void link_call_complaints(struct link_call *call, const char *const (*complaints)[2], size_t n);
/* A JSON array of objects, which goes in as many answers as it needs. Of complaints those that a packet has no room for
 * are counted; values have to fit one. */
void link_call_found(struct link_call *call, json_object *found);
/* A JSON object of numbers. */
void link_call_counts(struct link_call *call, json_object *counts);
/* r: -ENODEV (device), -ENOENT (point), -EACCES (not writable), -EOPNOTSUPP, or the plugin's own; `text` is for
 * people. */
void link_call_fail(struct link_call *call, int r, const char *text);
