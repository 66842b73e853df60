/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The common part of a device's files: device.c makes it and serves single reads, device-write.c writes, device-poll.c
 * decides what is read when, device-report.c tells values and state. All on the thread of the bus. */

#include "config.h"
#include "device.h"
#include "server.h"

struct device_request {
    struct plan_request plan;
    uint64_t due;           /* CLOCK_MONOTONIC; a whole number of intervals after the first */
    uint64_t not_before;    /* a repetition waits until then */
    unsigned tries;         /* of this tick that were answered by "busy" */
    int exception;          /* the unit's last answer was this exception, -1 if it was values */
    bool forgiven;          /* ticks missed while the unit was away are not counted */
    unsigned good;          /* polls in a row with values */
    unsigned join_after;    /* so many of these until it is joined with a neighbour that it was split from */
    bool joined;            /* it was split before */
    size_t origin;          /* which request of the plan it is, or a part of */
    struct backoff backoff; /* of a request that is answered by exceptions */
};

/* The value reported last, for on_change. */
struct last_value {
    bool known;
    struct gatehouse_value value; /* a string is in `text` */
    char *text;
    uint64_t reported_at; /* CLOCK_MONOTONIC */
};

/* The value written last to a point with write_interval, which is written again and again. */
struct heartbeat {
    uint64_t due;                 /* CLOCK_MONOTONIC; 0: nothing was written yet */
    struct gatehouse_value value; /* a string is in `text` */
    char *text;
    bool failing; /* it has been said */
};

struct modbus_device {
    struct gatehouse_device *host;
    struct modbus_config *config;
    struct server_terms terms;
    struct modbus_server *server;
    struct plan_item *items;
    size_t n_items;                  /* points that are polled */
    struct device_request *requests; /* room for one an item */
    size_t n_requests;
    struct last_value *last;
    struct heartbeat *beats; /* one a point; NULL if no point has a write_interval */
    struct backoff backoff;  /* of the unit: silent, or refusing everything */
    uint64_t retry_at;       /* the unit is left alone until then */
    unsigned tries;          /* unanswered repetitions of a request */
    unsigned unanswered;     /* requests in a row that were given up */
    bool failed;             /* the state says so */
    bool said_ok;            /* the state says that */
    struct modbus_counts counts;
    uint64_t counted_at; /* when the host was given them */
    uint64_t missed;     /* ticks left out because the bus was too slow */
    uint64_t missed_said_at;
    char text[VALUE_TEXT_MAX];
};

/* device.c: how the configuration wants the unit talked to. */
struct server_terms device_terms(const struct modbus_config *c);
/* device.c: NULL, with words: there is no such point. */
const struct modbus_point *device_find_point(const struct modbus_device *d, const char *name, char *error, size_t size);
/* device.c: reads all that the point's value depends on: read_count registers from read_address on. */
int device_read_registers(struct modbus_device *d, const struct modbus_point *p, uint16_t *registers, char *error,
                          size_t error_size);
/* device.c: draws conclusions about the unit from a request that was not a poll. */
void device_note_outcome(struct modbus_device *d, int r, const struct modbus_failure *failure);
void device_wait(uint64_t duration);
/* device-write.c: puts the values that are to be repeated, and are due; when the next one is, UINT64_MAX for never. */
uint64_t device_beat(struct modbus_device *d);
/* The format to use with what was read from p's read_address on. -ENODATA: the scale register has no value. */
int device_format(const struct modbus_point *p, const uint16_t *registers, struct modbus_format *ret);

/* device-poll.c: plans all anew, due from then on. -ENOMEM. */
int device_plan(struct modbus_device *d, uint64_t due);

/* device-report.c */
/* Gives the host what was counted, unless it has it from just before. */
void device_tell_counts(struct modbus_device *d);
void device_forget_values(struct modbus_device *d);
/* The values of an answer, which all carry one time. */
void device_report(struct modbus_device *d, const struct plan_request *plan, const uint16_t *values);
/* The unit as the last answers show it: ok, or which points are refused. */
void device_say_state(struct modbus_device *d);
/* It does not answer, and is about to be asked again as before. */
void device_say_silent(struct modbus_device *d, const char *reason);
/* The unit or its server is away: what it said before is old, and what it misses meanwhile is nobody's fault. */
void device_say_failed(struct modbus_device *d, const char *reason);
size_t device_count_refused(const struct modbus_device *d, const struct device_request **ret_first);
