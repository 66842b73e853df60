/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A sealed credential, format 1, as bytes:
 *
 *     "GHVR", format, kind, physical slot, identity's length, generation (64 bits big-endian), identity,
 *     nonce (12), ciphertext of the key (16..64; of a login 1..127), tag (16)
 *
 * Associated data: "GHVR", format, vault id, device, uplink, kind, physical slot, identity, generation; so a record
 * opens only where, and as what, it was sealed. Roles (main, backup) are the state record's: a swap seals no key anew.
 * Pure except for the nonce. */

#include "base/arena.h"
#include "vault/seal.h"
#include "vault/vault.h"

#define RECORD_HEADER_SIZE 16
#define RECORD_MAX (RECORD_HEADER_SIZE + IDENTITY_MAX + SEAL_OVERHEAD + DEVICE_LOGIN_MAX)
/* The slot of a key that waits in a change for its commit: such a record is never written. */
#define RECORD_SLOT_WAITING 2

struct record_place {
    const uint8_t *vault_id;
    const char *device, *uplink;
};

struct record_header {
    enum vault_kind kind;
    uint8_t slot; /* 0, 1, RECORD_SLOT_WAITING */
    uint64_t generation;
    char identity[IDENTITY_MAX + 1];
};

/* Writes at most RECORD_MAX bytes to `record`. -EINVAL: what the format does not hold. */
int record_seal(const struct secret *record_key, const struct record_place *place, const struct record_header *header,
                const struct secret *key, uint8_t *record, size_t *ret_size);
/* The header as claimed, not authenticated. -EBADMSG. */
int record_parse(const uint8_t *record, size_t size, struct record_header *ret);
/* -EBADMSG unless it was sealed for this place and for the slot and generation expected; -ENOBUFS from the arena. */
int record_open(const struct secret *record_key, const struct record_place *place, uint8_t slot, uint64_t generation,
                const uint8_t *record, size_t size, struct secret **ret_key);
