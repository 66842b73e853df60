/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Slots, kinds and encodings as they are written. */
#include "base/cleanup.h"
#include "vault/vault.h"

#include <errno.h>
#include <string.h>

static const char *const slot_names[] = {[VAULT_MAIN] = "main", [VAULT_BACKUP] = "backup"};
static const char *const kind_names[] = {
    [VAULT_PSK] = "psk", [VAULT_BIND] = "bind", [VAULT_X509] = "x509", [VAULT_LOGIN] = "login"};
static const char *const encoding_names[] = {
    [VAULT_RAW] = "raw", [VAULT_HEX] = "hex", [VAULT_BASE64] = "base64", [VAULT_TEXT] = "text"};

static int lookup(const char *const *names, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return -EINVAL;
}

const char *vault_slot_to_string(enum vault_slot slot)
{
    return slot_names[slot];
}

int vault_slot_from_string(const char *text)
{
    return lookup(slot_names, ELEMENTSOF(slot_names), text);
}

const char *vault_kind_to_string(enum vault_kind kind)
{
    return kind_names[kind];
}

int vault_kind_from_string(const char *text)
{
    return lookup(kind_names, ELEMENTSOF(kind_names), text);
}

const char *vault_encoding_to_string(enum vault_encoding encoding)
{
    return encoding_names[encoding];
}

int vault_encoding_from_string(const char *text)
{
    return lookup(encoding_names, ELEMENTSOF(encoding_names), text);
}
