/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* State of the development cloud: devices, their credentials and the samples that arrived.
 *
 * The store owns everything it hands out. A forgotten device or deleted credential stays allocated (marked) until
 * store_free, so that live sessions may keep pointing at it, as a real cloud keeps sessions of deleted credentials
 * open. With a state file every change is synced to it before it is made; when that fails, nothing changes. Every
 * change is remembered, so that an earlier state can be looked at or put back. One thread.
 *
 * The keys are this cloud's own copies, in ordinary memory: a tool for loopback, not a place for a production key. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOUD_DEVICE_ID_LENGTH 24
#define VERSION_LENGTH 36
#define CREDENTIAL_ID_MAX 63

struct device {
    char id[IDENTITY_MAX + 1]; /* an id, or while not named yet the identity it came with */
    bool named;                /* by the PSK file, the operator, or its own first pack */
    bool forgotten;
    char cloud_id[CLOUD_DEVICE_ID_LENGTH + 1]; /* the management calls' own name for it */
    char version[VERSION_LENGTH + 1];          /* another one after each change of its credentials */
    json_object *hardware;                     /* ids of hardware, an array; NULL: its own id */
    struct hardware *hardware_nodes;           /* state.c's, one for each of these */
    struct map_node by_cloud_id;
    json_object *others;            /* entries of its Hono set that are no keys, without their secrets */
    struct credential *credentials; /* the oldest first */
    struct device *next;            /* all there are, forgotten ones too */
    struct downlink *downlink;      /* downlink.c's; NULL: no command was ever given */
    json_object *settings;          /* Golioth's; NULL: none were set */
    int64_t settings_version;
    uint64_t packs;
    uint64_t samples;
    uint64_t probes;
    uint64_t sessions; /* handshakes that ended well */
};

/* One key under an identity. Hono keeps several, of which the first valid one counts; all others have one. */
struct secret {
    struct map_node by_key;
    struct credential *credential;
    char id[CREDENTIAL_ID_MAX + 1];
    uint8_t key[KEY_MAX];
    size_t key_size;
    bool disabled;
    uint64_t not_before; /* CLOCK_REALTIME */
    uint64_t not_after;  /* UINT64_MAX: for ever */
};

struct credential {
    char id[CREDENTIAL_ID_MAX + 1]; /* the first secret's; never used twice: a replaced key has a new one */
    char identity[IDENTITY_MAX + 1];
    struct secret *secrets;
    size_t count;
    bool disabled;
    json_object *shown; /* as a Hono set shows it, without keys; NULL: came another way */
    struct device *device;
    struct credential *next; /* of the same device */
    bool deleted;
};

enum store_offer {
    STORE_ADDED,
    STORE_SAME,
    STORE_REPLACED,
};

struct store;

/* `replaces`: a device has one identity, and a new key displaces the old one under it. Otherwise credentials add up. */
int store_new(bool replaces, struct store **ret);
struct store *store_free(struct store *s);
DEFINE_FREEP(struct store, store_free)

/* Reads the state file, if it is there, and keeps it from now on (0600). First of all. */
int store_open_state(struct store *s, const char *path, struct error *e);
/* Adds the lines `identity:hexkey` or `identity:hexkey:device` whose identity the store has never known. Read again,
 * also replaces what has changed in the file since, and deletes what is no longer there; what devices and the operator
 * did meanwhile stays. With a mistake in the file nothing changes. Sessions stay in any case. */
int store_read_psk_file(struct store *s, const char *path, struct error *e);

/* NULL when there is none, or it was deleted. */
struct credential *store_find(struct store *s, const char *identity);
struct device *store_device(struct store *s, const char *id);
struct device *store_device_by_cloud_id(struct store *s, const char *cloud_id);
/* Also by its own id where it came without ids of hardware. */
struct device *store_device_by_hardware(struct store *s, const char *hardware);
/* The newest first. */
struct device *store_devices(struct store *s);
/* The one that a handshake is tried with, as Hono does it: the first that is valid. NULL: none. */
const struct secret *credential_secret(const struct credential *c);
/* A credential that is not deleted, whose identity ends like this, and which has this key. */
struct credential *store_find_key(struct store *s, const char *identity_end, const void *key, size_t size);

/* A device registers a key for itself: the outcome (enum store_offer), or -EEXIST: the identity has another key,
 * belongs to another device, or is not the device's one identity; -EINVAL: identity or key out of bounds; another: not
 * kept. */
int store_offer(struct store *s, struct device *d, const char *identity, const void *key, size_t size,
                struct credential **ret, struct error *e);
/* The operator adds or replaces a credential; device NULL: one of its own. */
int store_put(struct store *s, const char *identity, const void *key, size_t size, const char *device,
              struct credential **ret, struct error *e);
/* A new device with these ids of hardware (NULL: its own id) and, unless identity is NULL, its first credential. */
int store_provision(struct store *s, const char *device, json_object *hardware, const char *identity, const void *key,
                    size_t size, struct device **ret, struct error *e);
/* Replaces all credentials of a device whose identities end with "@tenant" by those of a set as hono_set_read() makes
 * it.
 */
int store_set(struct store *s, struct device *d, const char *tenant, json_object *set, struct error *e);
/* By the cloud's id and only of this device. -ENOENT. */
int store_delete(struct store *s, struct device *d, const char *id, struct credential **ret, struct error *e);
/* By id or identity, of whichever device. -ENOENT. */
int store_forget_key(struct store *s, const char *text, struct credential **ret, struct error *e);
int store_forget_device(struct store *s, const char *id, struct error *e);
/* A device not named yet gets its name. -EEXIST: another device has it. */
int store_name(struct store *s, struct device *d, const char *name, struct error *e);

/* How many changes there were, to be given to store_restore(). */
size_t store_changes(const struct store *s);
/* Puts back what was after the first `changes`: what came later never was. */
int store_restore(struct store *s, size_t changes, struct error *e);
/* A store of its own, kept nowhere, that knows the same; with `before_last` all but the last change of that device (by
 * its id; "": of any). */
int store_copy(const struct store *s, bool before_last, const char *device, struct store **ret);

/* -EINVAL: identity or key out of bounds. */
int credential_check(const char *identity, size_t key_size, struct error *e);
/* 16 hex digits: the first half of SHA-256 of the key that counts, else of the first one. */
void credential_fingerprint(const struct credential *c, char ret_text[17]);
