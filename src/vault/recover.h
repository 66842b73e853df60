/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The recovery key: 256 random bits, shown once as RECOVERY_KEY_TEXT_SIZE - 1 characters, that open the vault without
 * keyfile and bind value. Blocking; no agent runs. */

#include "vault/keys.h"

/* Reads it as text, a line of hex digits with spaces and dashes wherever they are. -EINVAL. */
int recovery_key_read(struct arena *arena, int fd, struct secret **ret, struct error *e);

struct vault_wrapping {
    const char *path;    /* of vault.db */
    const char *keyfile; /* what opens it from now on; NULL: the credential */
    const void *bind;
    size_t bind_size;
};

/* Wraps the vault key anew under this keyfile and bind value. `keys` are the vault's, or NULL: then the recovery key
 * opens it. -ENOENT: there is no vault. -ENOKEY, -EKEYREJECTED: see keys_open_recovery(). */
int vault_wrap_anew(struct arena *arena, const struct vault_wrapping *w, const struct vault_keys *keys,
                    const struct secret *recovery_key, struct error *e);
