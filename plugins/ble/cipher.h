/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The four ways in which sensors encrypt what they advertise, and the headers around them. Pure, any thread. The key is
 * the caller's; what is derived from it is wiped before the call returns. */

#include "decoder-limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIND_KEY_MAX 16

/* As the makers' applications show it, in that order. Whoever fills it wipes it. */
struct bind_key {
    uint8_t bytes[BIND_KEY_MAX];
    size_t n; /* 16 */
};

enum cipher {
    CIPHER_NONE,
    CIPHER_BTHOME,   /* AES-128-CCM, if the frame says so */
    CIPHER_MIBEACON, /* AES-128-CCM, if the frame says so */
    CIPHER_PVVX,     /* AES-128-CCM, always; the counter has 8 bits */
    CIPHER_VICTRON,  /* AES-128-CTR, always: whoever knows one frame can change it unnoticed */
};

enum cipher_result {
    CIPHER_OPENED,
    CIPHER_NEEDS_KEY,
    CIPHER_WRONG_KEY, /* or not from this sensor, or MiBeacon before version 4 */
    CIPHER_TRUNCATED,
    CIPHER_NOT_MINE, /* not this format, or a frame without values */
};

struct cipher_frame {
    uint8_t body[ADVERT_PAYLOAD_MAX]; /* the values, in the clear */
    size_t n;
    bool encrypted;
    unsigned counter_bits; /* 0: none that the key has verified */
    uint32_t counter;
    bool has_sequence; /* one that nobody has verified */
    uint32_t sequence;
};

const char *cipher_name(enum cipher cipher);
bool cipher_find(const char *name, enum cipher *ret);

/* `address` in display order. `service` is the UUID of the service data, 0 if there is none. */
enum cipher_result cipher_open(enum cipher cipher, const uint8_t address[6], uint16_t service, const uint8_t *payload,
                               size_t n, const struct bind_key *key, struct cipher_frame *ret);
