/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* 64-bit numbers in records, most significant byte first. Pure. */

#include <stdint.h>

/* Returns what follows it. */
static inline uint8_t *put_number(uint8_t *p, uint64_t v)
{
    for (int i = 7; i >= 0; i--)
        *p++ = (uint8_t)(v >> (8 * i));
    return p;
}

static inline uint64_t get_number(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}
