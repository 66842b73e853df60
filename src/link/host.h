/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The agent's end of the driver protocol (doc/driver-protocol.md): RUNTIME_DIR/driver.sock.
 *
 * A peer is named by its uid before a byte of it is parsed: user gatehouse-NAME is the driver NAME, unknown uids are
 * closed. Only when the agent runs by hand (self_naming) may a peer of the agent's own uid name itself. A second
 * connection of a name replaces the first. A driver speaks only for the devices that link_host_set_devices() gave it; a
 * connection that breaks a rule is closed, with a line in the journal at a bounded rate. Limits are counted of a uid
 * (of a name, where peers name themselves), and last longer than its connections.
 *
 * Loop thread. Strings and samples handed to a callback live for the call. A struct link_driver lives while
 * it is connected or has devices; keep its name, not the pointer. The host may not be freed from within a callback. */

#include "base/error.h"
#include "base/ratelimit.h"
#include "base/worker.h"
#include "link/packet.h"

#include <stdbool.h>

struct link_host;
struct link_driver;
struct link_report;

struct link_host_ops {
    /* It connected or went away; link_driver_connected() and link_driver_last_error() tell. May be NULL. */
    void (*driver_changed)(struct link_driver *driver, void *userdata);
    /* Samples of one device, at least one. They are answered by link_report_done(token, ...), now or later, exactly
     * once and before the host is freed. */
    void (*report)(struct link_driver *driver, struct link_report *token, const char *device,
                   const struct sample *samples, size_t n, void *userdata);
    /* "ok", "degraded", "failed", "closed", with a reason that may be "". Only when it changes, and of a device that
     * changes too often the last one, late. May be NULL. */
    void (*device_state)(struct link_driver *driver, const char *device, const char *state, const char *reason,
                         void *userdata);
    /* A text to be given back with the device's secret: printable, at most LINK_KEPT_MAX with its NUL. May be NULL. */
    void (*keep)(struct link_driver *driver, const char *device, const char *text, void *userdata);
};

struct link_host_options {
    const char *runtime_dir;
    bool self_naming; /* a peer of our own uid may name itself */
};

/* ops is not copied. -EADDRINUSE, -EACCES, -ENAMETOOLONG, with words. */
int link_host_new(sd_event *event, struct workers *workers, const struct link_host_options *options,
                  const struct link_host_ops *ops, void *userdata, struct link_host **ret, struct error *e);
/* Closes all connections and takes no new ones. */
void link_host_stop(struct link_host *h);
/* Calls outstanding end with -ECANCELED; the socket's name is removed. */
struct link_host *link_host_free(struct link_host *h);
DEFINE_FREEP(struct link_host, link_host_free)

/* Accepts samples: r 0, the driver forgets them. r < 0: the driver keeps them and tries again after a second, except
 * for -EINVAL and -ENODEV, which make it drop them. To be called soon, whatever becomes of them: the answer waits for
 * all devices of a report, and the driver for answers. */
void link_report_done(struct link_report *token, int r);

/* The whole set of a driver's devices; copied, and sent again whenever the driver connects. A device whose texts did
 * not change is left open by the driver. -EINVAL (an id, or one twice), -E2BIG, -ENOMEM: nothing has changed. */
int link_host_set_devices(struct link_host *h, const char *driver, const struct link_device *devices, size_t n);

/* Calls to a driver. 0: `done` is called exactly once, later; otherwise never: -ENOTCONN (the driver is away), -EBUSY
 * (LINK_CALLS_MAX outstanding), -ENOMEM, -EINVAL. A call ends with -ENOTCONN when the driver goes away, -ETIMEDOUT when
 * it does not answer, -ENODEV, -ENOENT (no such point), -EACCES (not writable), -EOPNOTSUPP, or the plugin's own error.
 * On failure `failure` says more, NULL on success. */
struct link_failure {
    const char *name; /* of the D-Bus error */
    const char *text;
};
typedef void (*link_done_fn)(int r, const struct link_failure *failure, void *userdata);
typedef void (*link_value_fn)(int r, const struct link_failure *failure, const struct sample_value *value,
                              void *userdata);
typedef void (*link_values_fn)(int r, const struct link_failure *failure, const struct sample_value *values, size_t n,
                               void *userdata);
typedef void (*link_complaints_fn)(int r, const struct link_failure *failure, const struct packet_complaint *complaints,
                                   size_t n, void *userdata);
/* `found` is a JSON array of objects, the caller's only for the call. */
typedef void (*link_found_fn)(int r, const struct link_failure *failure, json_object *found, void *userdata);

/* `value` is what was really set. */
int link_host_write(struct link_host *h, const char *driver, const char *device, const char *point,
                    const struct sample_value *value, link_value_fn done, void *userdata);
/* Several points of one device, at most LINK_WRITES_MAX; the answer has as many values, or more or fewer if the driver
 * is faulty. Also -EOPNOTSUPP: the driver speaks a protocol older than LINK_ABI_WRITES. */
int link_host_write_points(struct link_host *h, const char *driver, const char *device,
                           const struct sample_write *writes, size_t n, link_values_fn done, void *userdata);
int link_host_read(struct link_host *h, const char *driver, const char *device, const char *point, link_value_fn done,
                   void *userdata);
int link_host_check_config(struct link_host *h, const char *driver, const struct link_device *device,
                           link_complaints_fn done, void *userdata);
/* `options` is a JSON object of basic values. */
int link_host_scan(struct link_host *h, const char *driver, json_object *options, link_found_fn done, void *userdata);
int link_host_read_raw(struct link_host *h, const char *driver, json_object *options, link_values_fn done,
                       void *userdata);
/* Hands over a sensor's bind key: one descriptor, which stays the caller's, with nothing behind it if there is no key;
 * and what the driver had kept ("": nothing). Also -ENODEV: not one of its devices. */
int link_host_secret(struct link_host *h, const char *driver, const char *device, int fd, const char *kept,
                     link_done_fn done, void *userdata);
/* The driver's counts of a device: one map of names and numbers, in an array. Also -EOPNOTSUPP. */
int link_host_statistics(struct link_host *h, const char *driver, const char *device, link_found_fn done,
                         void *userdata);
/* Asks the driver to close its devices and end; systemd starts it again. */
int link_host_quit(struct link_host *h, const char *driver);

/* Every driver that is connected or has devices, in the order of their first appearance; NULL begins, NULL ends. */
struct link_driver *link_host_next_driver(struct link_host *h, struct link_driver *after);
struct link_driver *link_host_find_driver(struct link_host *h, const char *name);

struct link_driver_counts {
    uint64_t connections;
    uint64_t reports;
    uint64_t samples;
    uint64_t refused; /* samples, states and connections */
};
const char *link_driver_name(const struct link_driver *d);
const char *link_driver_version(const struct link_driver *d); /* "" before its first Hello */
bool link_driver_connected(const struct link_driver *d);
/* For what is logged of its devices: log_limited(). */
struct ratelimit *link_driver_journal(struct link_driver *d);
const char *link_driver_last_error(const struct link_driver *d); /* "" if none */
const struct link_driver_counts *link_driver_counts(const struct link_driver *d);
