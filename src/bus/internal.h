/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of src/bus. */

#include "bus/bus.h"

#include <systemd/sd-bus.h>

struct policy_request;
struct rounds;
struct told;
struct subscriber;
struct managed_walk;
struct callers;
struct door;
struct doctor;

struct bus {
    sd_event *event;
    struct fleet *fleet;
    struct bus_ops ops;
    sd_bus *connection; /* NULL while the bus is away */
    sd_event_source *reconnect;
    sd_event_source *clock_timer;
    sd_bus_slot *clock_question; /* one under way */
    struct policy_request *policy_requests;
    sd_event_source *policy_source; /* of those that are decided */
    char *polkit;                   /* its connection, NULL: not known */
    uint32_t caller;                /* the uid of who policy_check() has just let through */
    struct callers *callers;
    struct door *door;
    struct doctor *doctor;
    struct subscriber *subscribers;
    struct rounds *rounds; /* of devices with changes not yet signalled */
    struct told *told;     /* what was signalled of each device */
    bool changes_held;     /* some are due, and had to wait */
    sd_event_source *changed_timer;
    uint64_t mistakes_told;     /* fleet_totals.mistakes_version, as signalled last */
    struct managed_walk *walks; /* answers in the making, the first of them now */
    sd_event_source *walk_source, *walk_timer;
};

/* policy.c: whether the sender of m may do `action`, which is static. 1: yes. 0: not known yet, return 1 from the
 * handler, it will be called again with the same message. Negative: no, error is set. Ask before any effect. */
int policy_check(struct bus *b, sd_bus_message *m, const char *action, sd_bus_error *error);
int policy_init(struct bus *b);
/* Lets go of all requests; `end`: for good. */
void policy_done(struct bus *b, bool end);
/* Whether m has been put back into the queue by it. */
bool policy_knows(struct bus *b, sd_bus_message *m);

/* limits.c: a caller's answers are bounded */
int limits_register(struct bus *b);
/* Bytes that the answer to a call may have. */
uint64_t limits_cost(struct bus *b, const char *path, const char *member);
/* A long answer has been sent to it. */
void limits_answered(struct bus *b, const char *sender);
/* The bus does not take what is sent: what can wait has to. */
bool bus_congested(const struct bus *b);

/* audit.c: an act that is written down once it is done. Made after policy_check() has let the call through; `text` says
 * what was done ("its main key is set"), and never a key. NULL: out of memory. The two ends answer the call and free
 * it. */
struct audited;
struct audited *audited_new(struct bus *b, sd_bus_message *call, const char *message_id, const char *device,
                            const char *format, ...) __attribute__((format(printf, 5, 6)));
void audited_done(int r, const struct error *e, void *userdata);
void audited_exported(int r, int fd, const struct error *e, void *userdata);
/* It could not begin, and so neither end comes: sets the error. */
int audited_not_begun(struct audited *a, int r, const struct error *e, sd_bus_error *error);

/* errors.c */
int bus_error_set(sd_bus_error *error, int r, const struct error *e);
int bus_reply(sd_bus_message *call, int r, const struct error *e);
/* For operations that end later: answers the call, of which it gives a reference back. */
void bus_done(int r, const struct error *e, void *call);
/* They did not begin, so that this will not come: gives the reference back, and sets the error. */
int bus_not_begun(sd_bus_message *call, int r, const struct error *e, sd_bus_error *error);
/* Walks an a{sv}: take() reads the variant of a key, or returns -ENOENT for one that it does not know, which is
 * refused. */
typedef int (*bus_option)(sd_bus_message *m, const char *key, const char *signature, void *userdata);
int bus_read_options(sd_bus_message *m, bus_option take, void *userdata, sd_bus_error *error);
/* For take(): the key if it is the wanted one, a boolean. And a take() of its own, for `compromised` alone. */
int bus_take_flag(sd_bus_message *m, const char *key, const char *wanted, bool *ret);
int bus_take_compromised(sd_bus_message *m, const char *key, const char *signature, void *ret);

/* manager.c, device-object.c, job-object.c */
int manager_register(struct bus *b);
int device_object_register(struct bus *b);
int job_object_register(struct bus *b);
/* Of a method of a device, which has that as its userdata. */
struct bus *device_object_bus(sd_bus_message *m);
int device_object_path(const char *id, char **ret_path);
void job_object_path(const struct job *job, char path[64]);

/* All properties as entries of an a{sv}; the object is a struct device, a struct job. */
int device_object_properties(struct bus *b, sd_bus_message *m, void *object);
/* An answer of another method shows this property, a text, of a device. */
void device_object_shown(struct bus *b, const char *id, const char *property, const char *text);
/* Hashes of the values of a device that PropertiesChanged may show, at most TOLD_PROPERTIES_MAX; how many. */
size_t device_object_hashes(const struct device_status *s, uint64_t *ret);
/* Appends those of them that are in `wanted`, bits 1 << i, as entries of an a{sv}. */
int device_object_changes(sd_bus_message *m, const struct device_status *s, uint64_t wanted);
int job_object_properties(struct bus *b, sd_bus_message *m, void *object);

/* One of a{sv}. */
int job_object_result(sd_bus_message *m, const struct job_result *result);
/* NULL if that is no job's path. */
struct job *job_object_find(struct bus *b, const char *path);

/* managed.c */
int managed_init(struct bus *b);
void managed_done(struct bus *b);
int managed_register(struct bus *b);
/* Nobody is there to be answered. */
void managed_reset(struct bus *b);
void managed_device_gone(struct bus *b);
/* The caller has left the bus. */
void managed_gone(struct bus *b, const char *name);
/* Whether an answer to this sender is in the making. */
bool managed_under_way(const struct bus *b, const char *sender);
/* Whether an answer shows devices already and is not out yet. */
bool managed_shows(const struct bus *b);

/* changed.c */
int changed_init(struct bus *b);
void changed_done(struct bus *b);
/* Nobody is there to be told; who comes later reads for himself. */
void changed_reset(struct bus *b);
void changed_mark(struct bus *b, struct device *d);
void changed_mark_fleet(struct bus *b);
void changed_forget(struct bus *b, struct device *d);
/* InterfacesAdded has told of all its properties. */
void changed_added(struct bus *b, struct device *d);

/* samples.c */
int samples_subscribe(struct bus *b, sd_bus_message *m, sd_bus_error *error);
int samples_unsubscribe(struct bus *b, sd_bus_message *m);
/* It has left the bus; it has taken what it was sent before it was pinged. */
void samples_gone(struct bus *b, const char *name);
void samples_ponged(struct bus *b, const char *name);
void samples_send(struct bus *b, struct device *d, const struct sample *sample);
void samples_done(struct bus *b);
