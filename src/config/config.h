/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration: gatehouse.json and the device files, read, checked, and compared with what runs.
 *
 *     CONFIG_DIR/gatehouse.json      uplinks, rotation, spool
 *     CONFIG_DIR/devices.d/x.json    a device each, the administrator's
 *     STATE_DIR/devices.d/x.json     a device each, added over D-Bus
 *
 * What is loaded never changes, and is counted (ref, unref): a struct config, and each uplink and device in it, which
 * configurations made from each other share. Counting is not atomic: one thread at a time. Loading blocks on files and
 * depends on nothing else, so a reload runs on a worker.
 *
 * Mistakes are collected with file:line:column (base/mistakes.h). One in gatehouse.json fails the whole (-EBADMSG). One
 * in a device file leaves out that device, and the rest loads; with CONFIG_STRICT (reload, --check-config) it fails the
 * whole too. Two files with one id, or with one MQTT client id at one broker: neither is loaded. Files are read in the
 * order of their names, those of CONFIG_DIR first; what begins with a dot or does not end in .json (backups, ~,
 * .dpkg-*, .bak) is not read. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/mistakes.h"
#include "base/point-kind.h"
#include "base/window.h"
#include "config/url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_paths {
    const char *config_dir, *state_dir; /* NULL: CONFIG_DIR, STATE_DIR */
};

enum config_registrar_type {
    CONFIG_REGISTRAR_COAP,
    CONFIG_REGISTRAR_MANUAL,
    /* in a process of their own */
    CONFIG_REGISTRAR_GOLIOTH,
    CONFIG_REGISTRAR_HONO,
    CONFIG_REGISTRAR_EXEC,
};

struct config_registrar {
    enum config_registrar_type type;
    bool replaces;          /* a new key displaces the old one under one fixed identity; otherwise both live */
    bool offer_without_pfs; /* offer keys also over sessions without forward secrecy */
    /* Of a registrar in a process of its own; NULL for the others. */
    char *name;           /* of its socket */
    char *settings;       /* what it is told with each request: a JSON object, its type among it */
    char *realm;          /* project or tenant, with which each identity ends, behind an '@'; NULL: none */
    const char *encoding; /* in which it takes keys: "hex", "base64" or "text", static */
};

struct config_admission {
    bool unlimited;
    unsigned concurrent; /* handshakes in flight */
    unsigned rate;       /* handshakes begun a second */
    uint64_t jitter;     /* over which reconnects are spread, microseconds */
};

/* Which of a device's samples are sent first. */
enum config_order {
    CONFIG_ORDER_PROFILE, /* as the profile says */
    CONFIG_ORDER_OLDEST,
    CONFIG_ORDER_LATEST, /* only the latest value of each point */
};

enum config_mqtt_version { CONFIG_MQTT_AUTO, CONFIG_MQTT_5, CONFIG_MQTT_311 };

struct config_uplink {
    unsigned refs;
    char *name;
    char *url;
    char *host; /* as getaddrinfo() takes it */
    uint16_t port;
    struct config_url *others; /* tried after that, in order; as many as n_others */
    size_t n_others;
    char *profile;
    char **suites;  /* names, most wanted first, NULL-terminated; each known and once only */
    char *identity; /* template of {opaque} {device} {n}; without {n} only if the registrar replaces */
    char *gateway;  /* what this machine is called in topics, paths and client ids: "gateway", or its host name */
    struct config_registrar registrar;
    struct config_admission admission;
    uint64_t keepalive;   /* an idle session is pinged so often; USEC_INFINITY: never */
    unsigned max_payload; /* bytes; 0: as the profile says */
    unsigned drain_rate;  /* requests a second of all its devices together; 0: no bound */
    enum config_order order;
    bool mqtt;       /* by the address; what follows is for it only */
    char *client_id; /* template of {device} {opaque} {hardware_id} {gateway} */
    enum config_mqtt_version mqtt_version;
    uint64_t session_expiry; /* for so long the broker keeps what came for an absent device; 0: not at all */
    bool follow_references;  /* to the server that a broker names */
    bool retained_commands;  /* a message that the broker has kept is a command too */
};

struct config_rotation {
    uint64_t max_age;      /* USEC_INFINITY: keys are not rotated by age ("never") */
    uint64_t retire_after; /* not given: a day, but at most a quarter of max_age */
    unsigned concurrent;
    unsigned rate;        /* begun a second */
    struct window window; /* of the day, for those that are begun by age */
};

enum config_durability { CONFIG_DURABILITY_OUTAGE, CONFIG_DURABILITY_ALWAYS, CONFIG_DURABILITY_MEMORY };

struct config_spool {
    enum config_durability durability;
    uint64_t max_bytes;
    uint64_t max_age;
};

struct config_vault {
    char *bind;   /* BIND_BOARD_SERIAL, BIND_MACHINE_ID or BIND_FILE/PATH; NULL: bound to nothing */
    char *backup; /* the directory for backups after rotations; NULL: none are made */
};

struct config_point {
    char *name;
    char *unit; /* NULL if none is configured */
    bool writable;
    double min, max; /* what may be written; -INFINITY and INFINITY if not bounded */
    enum point_kind kind;
    double type_min, type_max; /* what its type can hold; infinite if that is not known */
    double type_step;          /* between its values; 0: not known */
    uint64_t expire_after;     /* a value that is older is no longer the point's; microseconds, 0: never */
};

struct config_device {
    unsigned refs;
    char *id;
    char *hardware_id; /* under which its cloud knows it; NULL: the id */
    char *uplink;      /* a configured one */
    char *driver;
    bool enabled;
    bool on_demand;        /* it connects when there is something to send, and disconnects after ... */
    uint64_t idle_timeout; /* ... without anything, microseconds */
    uint64_t expire_after; /* of points that say nothing else */
    bool templated;        /* its section names a template, which may have more points than the file */
    bool removable;        /* added over D-Bus, and so may be removed over it */
    char *file;            /* the path it was read from, or will be written to */
    uint64_t file_digest;
    char *address;     /* where its sensor is, as the section says; "" if it has no such words */
    char *section;     /* the driver's part, a JSON object in canonical text; "{}" if there is none */
    char *points_text; /* the points as the driver gets them: a JSON object without `min` and `max`, which it need not
                          know */
    char
        *client; /* over MQTT: "HOST:PORT[,HOST:PORT...] CLIENTID", whose id each device has alone at each; else NULL */
    size_t client_id_at;         /* where in it the client id begins; an {opaque} in it is not the real one */
    struct config_point *points; /* in the order of the file */
    size_t n_points;
};

struct config {
    unsigned refs;
    struct config_uplink **uplinks; /* in the order of the file */
    size_t n_uplinks;
    struct config_rotation rotation;
    struct config_spool spool;
    struct config_vault vault;
    bool clock_trust;               /* the machine's clock is right, though nobody says so */
    struct config_device **devices; /* in the order of their ids (strcmp) */
    size_t n_devices;
    char *file; /* gatehouse.json's path */
    uint64_t file_digest;
};

enum config_flags {
    CONFIG_LENIENT = 0,
    CONFIG_STRICT = 1 << 0, /* any mistake fails the whole, and all are listed */
};

/* 0; -EBADMSG with at least one mistake; -ENOMEM. After 0 the mistakes list the devices that were left out. */
int config_load(const struct config_paths *paths, enum config_flags flags, struct config **ret,
                struct mistakes *mistakes);
struct config *config_ref(struct config *c);
struct config *config_unref(struct config *c);
DEFINE_FREEP(struct config, config_unref)

const struct config_uplink *config_uplink(const struct config *c, const char *name);
const struct config_device *config_device(const struct config *c, const char *id);
const struct config_point *config_point(const struct config_device *d, const char *name);

/* Notes a mistake that only others can see (no such profile), at a JSON pointer into gatehouse.json:
 * config_complain(c, m, "/uplinks/cloud/profile", "..."). */
void config_complain(const struct config *c, struct mistakes *mistakes, const char *pointer, const char *text);
/* The same for a device; the pointer is as plugins give it, "/section/url" or "/points/flow_temp/address". */
void config_device_complain(const struct config_device *d, struct mistakes *mistakes, const char *pointer,
                            const char *text);
/* Where such a pointer lies in the device's file; what does not exist is shown by what would hold it. -ESTALE if the
 * file has changed since it was read, or -errno if it cannot be read. */
int config_device_locate(const struct config_device *d, const char *pointer, unsigned *ret_line, unsigned *ret_column);

/* Reads a device from the text of a file, as config_load would, for AddDevice: `file` is where it is going to be
 * stored (config_device_path) and stands in the mistakes. -EBADMSG with mistakes; -EEXIST (noted) if c has the id, or
 * the device's MQTT client id. */
int config_device_parse(const struct config *c, const char *file, const char *text, size_t n,
                        struct config_device **ret, struct mistakes *mistakes);
/* Whether the driver is given the same. */
bool config_device_same_texts(const struct config_device *a, const struct config_device *b);
/* A device without driver and points, that stands for one whose file is gone while its credentials are not. */
int config_device_bare(const char *id, const char *uplink, struct config_device **ret);
struct config_device *config_device_ref(struct config_device *d);
struct config_device *config_device_unref(struct config_device *d);
DEFINE_FREEP(struct config_device, config_device_unref)

/* STATE_DIR/devices.d/ID.json. 0 or -ENOMEM. */
int config_device_path(const struct config_paths *paths, const char *id, char **ret);
/* Stores the text durably in config_device_path(). -EEXIST if the file is there already. Blocks on the disk. */
int config_device_store(const struct config_paths *paths, const char *id, const char *text, size_t n, struct error *e);
/* The same for many devices, with few syncs: all or none, except after a crash, when some may be there. */
int config_devices_store(const struct config_paths *paths, struct config_device *const *devices, char *const *texts,
                         size_t n, struct error *e);
/* Removes the device's file durably. -EROFS if it is the administrator's, with the file's name. Blocks on the disk. */
int config_device_remove(const struct config_device *d, struct error *e);
/* A configuration like c, with the device (a reference is taken; its id must be new) or without the one of that id: so
 * one device comes or goes without a reload. Everything else is shared with c. 0 or -ENOMEM. */
int config_with(const struct config *c, struct config_device *d, struct config **ret);
/* The same with many devices at once, whose ids are new and distinct. */
int config_with_many(const struct config *c, struct config_device *const *devices, size_t n, struct config **ret);
int config_without(const struct config *c, const char *id, struct config **ret);
