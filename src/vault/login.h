/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Logins: a user name and a password that a device has beside its key, for a broker that wants both. Both are secret,
 * since some clouds take a token for a user name. A record holds "user", or "user", NUL, "password"; the entry's state
 * is the uplink that it is for, so that it is never shown to another cloud.
 *
 * Loop thread, except login_decode(). Opening one is vault/key.h. */

#include "vault/vault.h"

/* A first line, the user name, and what follows it, the password: bytes of a record, or -EINVAL, -EMSGSIZE. */
ssize_t login_decode(const char *text, size_t n, uint8_t bytes[ARENA_CELL_SIZE], struct error *e);
int login_too_long(struct error *e);

/* As vault_key_read(): a text of one or two lines. */
int vault_login_read(struct arena *arena, sd_event *event, int fd, vault_key_done_fn *done, void *userdata,
                     struct vault_key_read **ret, struct error *e);
/* The change that puts it in; NULL with *ret_r < 0 and words. */
struct vault_change *vault_login_put(struct vault *vault, const char *device, const char *uplink,
                                     const struct secret *login, int *ret_r, struct error *e);
/* NULL: there is none. Otherwise its uplink is copied. */
struct vault_entry *vault_login_find(struct vault *vault, const char *device, char ret_uplink[DEVICE_ID_MAX + 1]);
