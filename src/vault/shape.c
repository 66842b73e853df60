/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/shape.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "vault/key.h"

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_base64(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
}

static bool is_printable(uint8_t c)
{
    return c >= 0x20 && c < 0x7f;
}

static bool all(const uint8_t *bytes, size_t n, bool (*fits)(uint8_t c))
{
    bool fit = true;

    for (size_t i = 0; i < n; i++)
        fit &= fits(bytes[i]);
    return fit;
}

enum vault_shape vault_shape_of(const uint8_t *bytes, size_t n)
{
    size_t padding = 0;

    if (n == 0 || !all(bytes, n, is_printable))
        return VAULT_SHAPE_BYTES;
    if (n % 2 == 0 && all(bytes, n, is_hex))
        return VAULT_SHAPE_HEX;
    while (padding < 2 && padding < n && bytes[n - 1 - padding] == '=')
        padding++;
    if (n % 4 == 0 && n > padding && all(bytes, n - padding, is_base64))
        return VAULT_SHAPE_BASE64;
    return VAULT_SHAPE_TEXT;
}

enum vault_shape vault_shape(struct vault *vault, const struct vault_entry *entry, enum vault_slot slot)
{
    _cleanup_(secret_freep) struct secret *key = NULL;

    /* A full arena is no reason to wait: the handshakes go first. */
    if (vault_key_open(vault, entry, slot, &key, NULL) < 0)
        return VAULT_SHAPE_BYTES;
    return vault_shape_of(key->bytes, key->size);
}
