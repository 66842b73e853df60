/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The cryptography of format 1: ChaCha20-Poly1305 with a random 96-bit nonce, HKDF and HMAC with SHA-256, and the
 * associated data that ties a sealed box to its place. Pure except for the nonce; any thread that may use the secrets.
 * Failures: -EBADMSG what was opened is not authentic, -EIO from the library. */

#include "base/arena.h"
#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

#define VAULT_FORMAT 1
#define VAULT_ID_SIZE 16
#define SEAL_KEY_SIZE 32
#define SEAL_NONCE_SIZE 12
#define SEAL_TAG_SIZE 16
#define SEAL_OVERHEAD (SEAL_NONCE_SIZE + SEAL_TAG_SIZE)
#define DIGEST_SIZE 32

#define LABEL_WRAP "gatehouse v1 wrap"
#define LABEL_KEYFILE "gatehouse v1 keyfile"
#define LABEL_RECORD "gatehouse v1 record"
#define LABEL_RECOVERY "gatehouse v1 recovery"
#define LABEL_BACKUP "gatehouse v1 backup"
#define LABEL_STATE "gatehouse v1 state"

/* Associated data: fields, each behind its length as 16 bits big-endian. The sizes are ours, so it cannot run over. */
struct seal_ad {
    uint8_t bytes[512];
    size_t size;
};

/* Begins with magic (4 characters), format and vault id. */
void seal_ad_init(struct seal_ad *ad, const char *magic, const uint8_t vault_id[VAULT_ID_SIZE]);
void seal_ad_add(struct seal_ad *ad, const void *data, size_t n);
void seal_ad_text(struct seal_ad *ad, const char *text);
void seal_ad_u8(struct seal_ad *ad, uint8_t value);
void seal_ad_u64(struct seal_ad *ad, uint64_t value);

/* box: nonce, ciphertext, tag: n + SEAL_OVERHEAD bytes. */
int seal_box(const struct secret *key, const struct seal_ad *ad, const void *data, size_t n, uint8_t *box);
/* data gets box_size - SEAL_OVERHEAD bytes, which the caller has checked to fit. */
int open_box(const struct secret *key, const struct seal_ad *ad, const uint8_t *box, size_t box_size, void *data);

/* HKDF-SHA-256; a new secret of SEAL_KEY_SIZE bytes. */
int derive_key(const struct secret *from, const uint8_t salt[VAULT_ID_SIZE], const char *label, struct secret **ret);
int hmac_sha256(const struct secret *key, const void *data, size_t n, uint8_t ret_digest[DIGEST_SIZE]);
