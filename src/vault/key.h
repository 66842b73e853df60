/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one place where key bytes leave the vault: for a handshake (src/uplink) and for an offer (src/registrar/offer.c).
 * No other file outside src/vault may include this header; a test in the suite looks.
 *
 * Loop thread. The secret stands in the locked arena and is the caller's: free it as soon as the handshake ends. */

#include "vault/vault.h"

/* -ENOENT: the slot is empty. -EBADMSG: its record does not open. -ENOBUFS: the arena is full, wait for a handshake to
 * end. */
int vault_key_open(struct vault *vault, const struct vault_entry *entry, enum vault_slot slot, struct secret **ret,
                   struct error *e);

/* A device's login for this uplink, NUL-terminated; the pointers are into the secret. */
struct vault_login {
    struct secret *secret;
    const char *user;
    const char *password; /* NULL: none */
};
/* 1, or 0: it has none for this uplink. -EBADMSG: its record does not open; -ENOBUFS as above. */
int vault_login_open(struct vault *vault, const char *device, const char *uplink, struct vault_login *ret,
                     struct error *e);
