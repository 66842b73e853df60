/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Hex (RFC 4648 section 8), base64 (section 4) and lower-case base32 (section 6, without padding). Pure, any thread.
 *
 * Decoders are strict: no white space, no missing padding, no bits left over; they write at most `size` bytes, return
 * the number written, or -EINVAL (not that encoding), -ENOBUFS (too long). Encoders write a terminating NUL and need
 * the room that the macros give. Table look-ups are avoided where key bytes pass (no data-dependent memory access). */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HEX_SIZE(n) ((size_t)(n)*2 + 1)
#define BASE64_SIZE(n) (((size_t)(n) + 2) / 3 * 4 + 1)
#define BASE32_SIZE(n) (((size_t)(n)*8 + 4) / 5 + 1)

void hex_encode(const void *data, size_t n, char *text);
void base64_encode(const void *data, size_t n, char *text);
void base32_encode(const void *data, size_t n, char *text);

ssize_t hex_decode(const char *text, size_t n, void *data, size_t size);
ssize_t base64_decode(const char *text, size_t n, void *data, size_t size);
