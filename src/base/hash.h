/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* FNV-1a, 64 bits: quick, the same at each start, and no protection against who chooses the input (map_hash_text() is
 * seeded). Pure. */

#include <stddef.h>
#include <stdint.h>

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

/* Goes on from `h`. */
static inline uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
    for (const uint8_t *p = data; n > 0; p++, n--)
        h = (h ^ *p) * UINT64_C(0x100000001b3);
    return h;
}

static inline uint64_t hash_text(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return h;
}
