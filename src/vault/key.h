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
