/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the development cloud knows: devices, their credentials, and what arrived.
 *
 * The store owns everything it hands out. A forgotten device or deleted credential stays allocated (marked) until
 * store_free, so that live sessions may keep pointing at it, as a real cloud keeps sessions of deleted credentials
 * open. With a state file every change is synced to it before it is made; when that fails, nothing changes. One thread.
 *
 * The keys are this cloud's own copies, in ordinary memory: a tool for loopback, not a place for a production key. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device {
    char id[IDENTITY_MAX + 1]; /* an id, or while not named yet the identity it came with */
    bool named;                /* by the PSK file, the operator, or its own first pack */
    bool forgotten;
    struct credential *credentials;
    struct device *next; /* all there are, forgotten ones too */
    uint64_t packs;
    uint64_t samples;
    uint64_t probes;
    uint64_t sessions; /* handshakes that ended well */
};

struct credential {
    char id[32]; /* never used twice; a replaced key has a new one */
    char identity[IDENTITY_MAX + 1];
    uint8_t key[KEY_MAX];
    size_t key_size;
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
/* Adds the lines `identity:hexkey` or `identity:hexkey:device` whose identity the store has never known. */
int store_read_psk_file(struct store *s, const char *path, struct error *e);

/* NULL when there is none, or it was deleted. */
struct credential *store_find(struct store *s, const char *identity);
struct device *store_device(struct store *s, const char *id);
struct device *store_devices(struct store *s);

/* A device registers a key for itself: the outcome (enum store_offer), or -EEXIST: the identity has another key,
 * belongs to another device, or is not the device's one identity; -EINVAL: identity or key out of bounds; another: not
 * kept. */
int store_offer(struct store *s, struct device *d, const char *identity, const void *key, size_t size,
                struct credential **ret, struct error *e);
/* The operator adds or replaces a credential; device NULL: one of its own. */
int store_put(struct store *s, const char *identity, const void *key, size_t size, const char *device,
              struct credential **ret, struct error *e);
/* By the cloud's id and only of this device. -ENOENT. */
int store_delete(struct store *s, struct device *d, const char *id, struct credential **ret, struct error *e);
/* By id or identity, of whichever device. -ENOENT. */
int store_forget_key(struct store *s, const char *text, struct credential **ret, struct error *e);
int store_forget_device(struct store *s, const char *id, struct error *e);
/* A device not named yet gets its name. -EEXIST: another device has it. */
int store_name(struct store *s, struct device *d, const char *name, struct error *e);

/* 16 hex digits: the first half of SHA-256 of the key. */
void credential_fingerprint(const struct credential *c, char ret_text[17]);
