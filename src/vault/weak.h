/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keys that somebody could guess: all zero, repeated, sequential, dictionary text. Pure; keeps no copy of the key, and
 * the reason never tells a byte of it. What is not called weak is not thereby strong. */

#include <stddef.h>
#include <stdint.h>

/* The reason, fit to follow "the key is weak: ", or NULL. */
const char *weak_key(const uint8_t *key, size_t n);
