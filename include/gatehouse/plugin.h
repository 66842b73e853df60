/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The gatehouse plugin contract, ABI version 1.
 *
 * A plugin is a shared object NAME.so that exports one function,
 *
 *     const struct gatehouse_plugin *gatehouse_plugin_entry(void);
 *
 * and links to nothing of gatehouse: whatever it needs of its host it gets in `struct gatehouse_host`. It runs in
 * gatehouse-driver, a process of its own under its own user: a fault in it costs the samples of its own devices.
 *
 * Both structs begin with their size and only grow at the end: the host copies min(size) bytes of the plugin's and
 * treats what is missing as NULL; a plugin tests `host->size` before it uses a member younger than the ABI it was built
 * for.
 *
 * Threads. load and unload are called on the process's main thread while nothing else runs; config_check and device_bus
 * are called there too, while other callbacks may run. All that concerns a device, and read_raw, is called
 *   - with GATEHOUSE_THREADS_SERIAL on one thread, the plugin's own, one after the other;
 *   - with GATEHOUSE_THREADS_PER_BUS on one thread a bus (see device_bus), and different buses run at the same time.
 * scan is called on the thread of the bus that device_bus names for its options, so that it never crosses a poll on the
 * same line; with GATEHOUSE_THREADS_SERIAL on a thread of its own, so that it never holds the devices up. Host
 * functions may be called from any thread, also from within callbacks, from load until unload has returned.
 *
 * Callbacks may block, up to their deadline: 30 s, unless the plugin asked for another with host->deadline(). Past it
 * the host stops petting its watchdog, and systemd restarts the process.
 *
 * Errors are negative errno values; `error`, where there is one, takes a text of up to error_size bytes with its NUL.
 * Memory: whatever the host passes in is the host's and is valid during the call only; whatever the plugin passes to
 * the host is copied before the host function returns.
 *
 * Names: points and devices are [A-Za-z0-9][A-Za-z0-9._-]{0,63}. Times are microseconds. Units are those of SenML
 * (RFC 8428 section 12.1), "Cel", "%RH", "W", or free text of at most 31 bytes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GATEHOUSE_PLUGIN_ABI 1

/* Opaque to the plugin. */
struct gatehouse_device;

enum gatehouse_type {
    GATEHOUSE_BOOL = 'b',
    GATEHOUSE_INT = 'x',    /* int64_t */
    GATEHOUSE_UINT = 't',   /* uint64_t */
    GATEHOUSE_DOUBLE = 'd', /* finite */
    GATEHOUSE_STRING = 's', /* UTF-8, at most 255 bytes */
};

struct gatehouse_value {
    enum gatehouse_type type;
    union {
        bool b;
        int64_t x;
        uint64_t t;
        double d;
        const char *s; /* the giver's; the taker copies */
    };
};

enum gatehouse_quality {
    GATEHOUSE_GOOD = 0,
    GATEHOUSE_BOOTTIME = 1 << 0, /* set by the host: the time is CLOCK_BOOTTIME, the clock was not yet synchronised */
    GATEHOUSE_BAD = 1 << 1,      /* the sensor says that the value is wrong */
    GATEHOUSE_STALE = 1 << 2,    /* an old value, read again or kept */
    GATEHOUSE_OUT_OF_RANGE = 1 << 3, /* beyond what the sensor can measure */
};

enum gatehouse_state {
    GATEHOUSE_STATE_OK,
    GATEHOUSE_STATE_DEGRADED, /* answers sometimes, or in part */
    GATEHOUSE_STATE_FAILED,   /* does not answer; the plugin goes on trying */
};

enum gatehouse_thread_model {
    GATEHOUSE_THREADS_SERIAL,
    GATEHOUSE_THREADS_PER_BUS,
};

/* `flags` of struct gatehouse_plugin */
enum gatehouse_plugin_flags {
    GATEHOUSE_PLUGIN_NONE = 0,
};

/* Or-ed to a level: logged whatever the host's own level is, since the user has asked for it. */
#define GATEHOUSE_LOG_ASKED (1 << 8)

/* Services of the host for the plugin. Valid from load until unload has returned. */
struct gatehouse_host {
    uint32_t size;
    uint32_t abi;

    /* A sample. `time` is CLOCK_REALTIME, 0 for now. 0, or -EINVAL (name, type, not finite). Never blocks: without
     * credits from the agent the host keeps the newest samples and counts what it drops. */
    int (*report)(struct gatehouse_device *device, const char *point, uint64_t time,
                  const struct gatehouse_value *value, const char *unit, uint32_t quality);
    /* Say it when it changes; the reason (may be NULL) is shown to the user. Repeats are left out by the host. */
    void (*device_state)(struct gatehouse_device *device, enum gatehouse_state state, const char *reason);
    /* `level` is syslog's, and GATEHOUSE_LOG_ASKED; `device` may be NULL. */
    void (*log)(struct gatehouse_device *device, int level, const char *text);
    /* From within a callback: it may take this long from now on (microseconds, at most 10 minutes). Outside of one it
     * does nothing. */
    void (*deadline)(uint64_t microseconds);
    /* Calls `ready` on the device's thread whenever fd has `events` (poll(2)); events 0 ends it. One callback a
     * descriptor; the descriptor stays the plugin's, which ends the watch before it closes it. At most 16 a device,
     * called only on the device's thread; all end with device_close. -ENOSPC, -EINVAL. */
    int (*watch_fd)(struct gatehouse_device *device, int fd, uint32_t events,
                    void (*ready)(void *device_data, int fd, uint32_t revents));
    /* Calls `fire` once on the device's thread at `when` (CLOCK_MONOTONIC). At most 64 a device, called only on the
     * device's thread; all end with device_close. -ENOSPC. */
    int (*add_timer)(struct gatehouse_device *device, uint64_t when, void (*fire)(void *device_data));
    /* Has `poll` called as soon as possible, for a device that just learned something. Any thread. */
    void (*wake)(struct gatehouse_device *device);
    /* Sets what the plugin counts of a device, for people: "requests", "timeouts", "round_trip_us". The name is 1 to 31
     * of a-z 0-9 _; at most 48 a device. Kept until device_close, and given away only when somebody asks for it, so
     * that it may be set often. Any thread, between device_open and device_close. -EINVAL, -ENOSPC. */
    int (*count)(struct gatehouse_device *device, const char *name, uint64_t value);
    /* A few words that the plugin needs again after a restart, at most 255 bytes of UTF-8: the agent keeps the latest,
     * sealed beside the device's key, and `secret` gets them back. Of a device without a key nothing is kept. What was
     * said in the last minute before a power cut may be lost. Any thread, never blocks; -EINVAL. */
    int (*keep)(struct gatehouse_device *device, const char *text);
};

/* A point as the configuration has it. */
struct gatehouse_point {
    const char *name;
    const char *unit;   /* NULL if none is configured */
    const char *config; /* JSON object: the point's own keys, without the agent's (unit, writable, min, max) */
    bool writable;
};

/* One of several values that are to be written together. */
struct gatehouse_write {
    const char *point;
    struct gatehouse_value value;
    struct gatehouse_value set; /* preset to value: what was really set; its string stays the plugin's */
};

/* A mistake in a device's configuration; `pointer` is a JSON pointer (RFC 6901) into {"section": ..., "points": ...}.
 */
typedef void (*gatehouse_complain)(void *context, const char *pointer, const char *message);

struct gatehouse_plugin {
    uint32_t size; /* sizeof(struct gatehouse_plugin) */
    uint32_t abi;  /* GATEHOUSE_PLUGIN_ABI */
    const char *name;
    const char *version;
    const char *description;
    enum gatehouse_thread_model thread_model;
    uint32_t flags;

    /* Once, before all others; an error ends the process. May be NULL. May not block. */
    int (*load)(const struct gatehouse_host *host);
    /* Once, after the last device_close. May be NULL. May block 5 s. */
    void (*unload)(void);

    /* Looks at a device's section (JSON object) and points without opening anything; complains of each mistake. Returns
     * 0, or -errno if it could not look. Main thread. May not block. NULL: everything is good. */
    int (*config_check)(const char *section, const struct gatehouse_point *points, size_t n_points,
                        gatehouse_complain complain, void *context);
    /* Which bus the device sits on ("tcp://10.0.0.7:502"), for GATEHOUSE_THREADS_PER_BUS: writes at most size bytes
     * with the NUL; an error is shown at the device. NULL: each device is a bus of its own. Main thread. May not block.
     */
    int (*device_bus)(const char *section, char *bus, size_t size);

    /* The section was found good by config_check. *ret_data is the plugin's and comes back in all that follows. An
     * error is shown at the device; the host tries again with backoff to a minute. Should not wait for the sensor: a
     * sensor that is away is device_state's business. Device's thread. */
    int (*device_open)(struct gatehouse_device *device, const char *id, const char *section,
                       const struct gatehouse_point *points, size_t n_points, void **ret_data, char *error,
                       size_t error_size);
    /* Always follows a device_open that returned 0, exactly once. Device's thread. */
    void (*device_close)(void *device_data);

    /* Reads what is due and reports it; what one poll reports travels in one message. First called right after
     * device_open. *ret_next is when it wants to be called again (CLOCK_MONOTONIC, UINT64_MAX, its preset, for never
     * but by wake). An error is logged at a bounded rate and counts against nothing: tell the user by device_state.
     * Device's thread. May be NULL. */
    int (*poll)(void *device_data, uint64_t *ret_next);
    /* Writes a point and returns once the device has taken it. The value has been checked against writable, min and
     * max, but may be of any type: convert it, or -EINVAL. Of a point NAME also NAME.1, NAME.2 and so on are asked for,
     * which a plugin may make of one; so with read. *ret_value is preset to it; set it to what was really set if
     * that differs (rounding). -ENOENT: no such point. Writes go before polls. Device's thread. May be NULL. */
    int (*write)(void *device_data, const char *point, const struct gatehouse_value *value,
                 struct gatehouse_value *ret_value, char *error, size_t error_size);
    /* Reads a point now. A string in *ret_value stays valid until the next callback on this device. Goes before polls.
     * Device's thread. May be NULL. */
    int (*read)(void *device_data, const char *point, struct gatehouse_value *ret_value, char *error,
                size_t error_size);
    /* Looks for devices; `options` is a JSON object. Each find is reported as a JSON object of basic values. A scan
     * that takes long does a part of it a call, and reports as its last "find" {"resume": TEXT, "done": N, "total": N}:
     * it is called again with this text as option "resume", until none is reported. Between two calls devices are
     * polled. May be NULL. */
    int (*scan)(const char *options, void (*found)(void *context, const char *object), void *context, char *error,
                size_t error_size);
    /* Reads from a sensor that need not be configured ("what does register 100 hold?"); `options` is a JSON object in
     * the manner of a device's section. Each value is handed to `take`. Thread of the bus that device_bus names for the
     * options. May be NULL. */
    int (*read_raw)(const char *options, void (*take)(void *context, const struct gatehouse_value *value),
                    void *context, char *error, size_t error_size);

    /* The sensor's own key, which the user has given for this device; size 0: there is none, or none any more. Called
     * after device_open, if there is a key, and again when it changes, possibly with the same one. `kept` is what the
     * plugin gave to host->keep last, "" if nothing, or if that is to be forgotten. The host wipes key and words when
     * the call returns: copy them, and wipe them in device_close. Device's thread. May not block. NULL: the plugin's
     * devices have no keys. */
    int (*secret)(void *device_data, const void *key, size_t size, const char *kept);

    /* Writes several different points of the device, in as few requests as it can, and returns once the device has
     * taken all of them. Otherwise as `write`. On an error some may have been written: `error` says which. A string in
     * `set` stays valid until the next callback on this device. Device's thread. NULL: the host calls `write` for each,
     * in their order, until one fails. */
    int (*write_points)(void *device_data, struct gatehouse_write *writes, size_t n, char *error, size_t error_size);
};

typedef const struct gatehouse_plugin *(*gatehouse_plugin_entry_fn)(void);
#define GATEHOUSE_PLUGIN_ENTRY "gatehouse_plugin_entry"

#ifdef __cplusplus
}
#endif
