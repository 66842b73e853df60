/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The body that tells a cloud a key: the one place outside the vault and the handshake where a key is opened. */

#include "registrar/registrar.h"

/* {"identity": "...", "key": "<base64>"}, NUL-terminated. The caller hands it to offer_free(), which wipes it. */
int offer_body(const struct registrar_credential *credential, char **ret_body, size_t *ret_size, struct error *e);
char *offer_free(char *body);

/* A request to gatehouse-registrar: `head` (wire_write_request()) closed, with the key of the credential in that
 * encoding (NULL: without). To be given to offer_free() as well. -EILSEQ: the key cannot be written as text. */
int offer_request(const char *head, const struct registrar_credential *credential, enum vault_encoding encoding,
                  char **ret, struct error *e);

static inline void offer_freep(char **body)
{
    offer_free(*body);
}

/* Whether a key may be told over this session: one with forward secrecy, made by a full handshake within
 * ROTATION_PFS_AGE_MAX, or what is recorded today gives the next key away with the present one. 0; -EAGAIN: a fresh
 * handshake would do; -EPROTONOSUPPORT: no handshake would. Pure. */
struct uplink_info;
int offer_session_check(const struct uplink_info *info, uint64_t now, bool without_pfs, struct error *e);
