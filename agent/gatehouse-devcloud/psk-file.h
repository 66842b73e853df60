/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The development cloud's PSK file: lines `identity:hexkey` or `identity:hexkey:device`. The caller owns what was read,
 * and ends it with psk_lines_free(), which erases the keys. Errors name file and line. Any thread. */

#include "base/error.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct psk_line {
    char identity[IDENTITY_MAX + 1], device[IDENTITY_MAX + 1]; /* device "": none */
    uint8_t key[KEY_MAX];
    size_t key_size;
};

/* All lines, or none. */
int psk_file_read(const char *path, struct psk_line **ret, size_t *ret_n, struct error *e);
void psk_lines_free(struct psk_line *lines, size_t n);
/* NULL: it has none of this identity. */
const struct psk_line *psk_lines_find(const struct psk_line *lines, size_t n, const char *identity);
/* The same key and device. */
bool psk_line_equal(const struct psk_line *a, const struct psk_line *b);
