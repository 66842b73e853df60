/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The form of a stored key: whether its bytes are themselves a text for other bytes. A key of such a form that its
 * cloud refuses was usually given in the wrong encoding. No more than the form is ever told. Loop thread; the key is
 * opened in the locked arena for the call. */

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
