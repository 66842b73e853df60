/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/login.h"

#include "base/text.h"
#include "vault/internal.h"
#include "vault/key.h"

#include <stdio.h>
#include <string.h>

int login_too_long(struct error *e)
{
    return error_set(e, -EMSGSIZE, "that is too long: a user name and a password have at most %d bytes together",
                     DEVICE_LOGIN_MAX - 1);
}

ssize_t login_decode(const char *text, size_t n, uint8_t bytes[ARENA_CELL_SIZE], struct error *e)
{
    const char *end = memchr(text, '\n', n);
    size_t user = end ? (size_t)(end - text) : n, at = end ? user + 1 : n, password = n - at;

    if (user == 0)
        return error_set(e, -EINVAL, "the user name is missing: it is the first line, the password the second");
    if (!text_printable(text, user) || !text_printable(text + at, password))
        return error_set(e, -EINVAL,
                         "a login is a line with the user name and one with the password, UTF-8 without control "
                         "characters");
    if (user + password > DEVICE_LOGIN_MAX - 1)
        return login_too_long(e);
    memcpy(bytes, text, user);
    if (password == 0)
        return (ssize_t)user;
    bytes[user] = 0;
    memcpy(bytes + user + 1, text + at, password);
    return (ssize_t)(user + 1 + password);
}

struct vault_change *vault_login_put(struct vault *vault, const char *device, const char *uplink,
                                     const struct secret *login, int *ret_r, struct error *e)
{
    const struct vault_entry *entry = vault_find(vault, device, VAULT_OF_LOGIN);
    _cleanup_(vault_change_freep) struct vault_change *c = vault_change_new(vault, device, VAULT_OF_LOGIN);
    char identity[IDENTITY_MAX + 1];
    int r;

    *ret_r = -ENOMEM;
    if (!c)
        return NULL;
    if (entry && vault_quarantine(entry))
        vault_change_reset(c);
    snprintf(identity, sizeof(identity), "%s/%s", VAULT_OF_LOGIN, device);
    r = vault_change_put(c, VAULT_MAIN, identity, VAULT_LOGIN, login, 0, e);
    if (r >= 0)
        r = vault_change_rotation(c, uplink, strlen(uplink));
    *ret_r = r;
    return r < 0 ? NULL : TAKE_PTR(c);
}

struct vault_entry *vault_login_find(struct vault *vault, const char *device, char ret_uplink[DEVICE_ID_MAX + 1])
{
    struct vault_entry *entry = vault_find(vault, device, VAULT_OF_LOGIN);
    size_t n = 0;
    const char *uplink = entry ? vault_rotation(entry, &n) : NULL;

    if (!entry || !vault_credential(entry, VAULT_MAIN)->present)
        return NULL;
    snprintf(ret_uplink, DEVICE_ID_MAX + 1, "%.*s", (int)MIN_OF(n, (size_t)DEVICE_ID_MAX), uplink ?: "");
    return entry;
}

int vault_login_open(struct vault *vault, const char *device, const char *uplink, struct vault_login *ret,
                     struct error *e)
{
    char of[DEVICE_ID_MAX + 1];
    const struct vault_entry *entry = vault_login_find(vault, device, of);
    struct secret *secret;
    const char *end;
    int r;

    if (!entry)
        return 0;
    /* Of one whose state is lost the uplink is not known: it may be this one's, which is told. */
    if (of[0] ? strcmp(of, uplink) != 0 : !vault_quarantine(entry))
        return 0;
    if (vault_quarantine(entry))
        return error_set(e, -EBADMSG,
                         "the login of %s does not open (%s): set it again, `gatehousectl key set %s --kind=login`",
                         device, vault_quarantine(entry), device);
    r = vault_key_open(vault, entry, VAULT_MAIN, &secret, e);
    if (r < 0)
        return r;
    secret->bytes[secret->size] = 0; /* DEVICE_LOGIN_MAX leaves room for it */
    end = memchr(secret->bytes, 0, secret->size);
    *ret =
        (struct vault_login){.secret = secret, .user = (const char *)secret->bytes, .password = end ? end + 1 : NULL};
    return 1;
}
