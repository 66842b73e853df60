/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a stored key looks like, of all that may be told about one: whether its bytes are themselves a text that stands
 * for other bytes. A key that was stored so, and that its cloud refuses, was mostly given in the wrong encoding. Loop
 * thread; opens the key in the locked arena for the call. */

#include "vault/vault.h"

enum vault_shape {
    VAULT_SHAPE_BYTES,  /* as keys are, or not known */
    VAULT_SHAPE_HEX,    /* an even number of hexadecimal digits */
    VAULT_SHAPE_BASE64, /* base64 with its padding, or of a length that needs none */
    VAULT_SHAPE_TEXT,   /* printable, and none of these */
};

enum vault_shape vault_shape(struct vault *vault, const struct vault_entry *entry, enum vault_slot slot);
/* The same of bytes. Pure. */
enum vault_shape vault_shape_of(const uint8_t *bytes, size_t n);
