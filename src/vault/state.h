/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The state record of an entry: which physical slot has which role, the cloud's ids, generations, times, the identity
 * counter and the rotation's own state; written in the same transaction as what it describes.
 *
 * Contents: tag (16 bits), length (16 bits), value, all big-endian. Tags that this version does not know are kept as
 * they are. Sealed: "GHVS", format, nonce, ciphertext, tag; associated data "GHVS", format, vault id, device, uplink.
 * Encoding and decoding are pure. */

#include "base/arena.h"
#include "vault/record.h"

#include <stdbool.h>

#define STATE_HEADER_SIZE 5
#define STATE_UNKNOWN_MAX 512
#define STATE_SEALED_MAX (STATE_HEADER_SIZE + SEAL_OVERHEAD + VAULT_STATE_MAX)

struct state_slot {
    bool present;
    uint64_t generation;
    uint64_t since, last_authenticated;
    char cloud_id[CLOUD_ID_MAX + 1];
};

struct state {
    bool removed;      /* kept for its counters only */
    bool restored;     /* from a backup, and none of its keys has authenticated since */
    uint8_t main_slot; /* the physical slot whose role is main */
    enum vault_registration registration;
    uint64_t identity_counter;
    uint64_t generation; /* the highest given in this entry */
    uint64_t version;    /* how often the entry was changed (vault/versions.h) */
    struct state_slot slots[2];
    uint8_t rotation[VAULT_ROTATION_MAX];
    size_t rotation_size;
    uint8_t unknown[STATE_UNKNOWN_MAX]; /* whole tags */
    size_t unknown_size;
};

/* At most VAULT_STATE_MAX bytes; returns how many. */
size_t state_encode(const struct state *state, uint8_t data[VAULT_STATE_MAX]);
/* -EBADMSG, with *ret untouched. */
int state_decode(const uint8_t *data, size_t size, struct state *ret);

/* At most STATE_SEALED_MAX bytes. */
int state_seal(const struct secret *state_key, const struct record_place *place, const struct state *state,
               uint8_t *sealed, size_t *ret_size);
int state_open(const struct secret *state_key, const struct record_place *place, const uint8_t *sealed, size_t size,
               struct state *ret);
