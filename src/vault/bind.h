/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The value that a vault is bound to, beside its keyfile: `board-serial` (device tree), `machine-id`, or `file:PATH`,
 * whose contents are the value. None of them is secret, except perhaps the file. Blocking, small; at start. */

#include "base/error.h"
#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

struct bind_value {
    uint8_t bytes[VAULT_BIND_MAX];
    size_t size; /* 0: none */
};

/* `spec` NULL: none. -ENOENT: this machine has no such value; -EINVAL: it is empty or stands for nothing; -EFBIG. */
int bind_read(const char *spec, struct bind_value *ret, struct error *e);
/* A serial number as the device tree has it: up to a NUL or newline; -EINVAL if it is empty or all zero. Pure. */
int bind_serial(const char *text, size_t n, struct bind_value *ret);
