/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registrar/offer.h"

#include "base/encode.h"
#include "base/json.h"
#include "uplink/session.h"
#include "vault/key.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_TEXT_MAX (2 * KEY_MAX + 1)                          /* hex, or text of which each character is escaped */
#define BODY_MAX (6 * IDENTITY_MAX + BASE64_SIZE(KEY_MAX) + 64) /* each byte of an identity may become \u00xx */

int offer_body(const struct registrar_credential *credential, char **ret_body, size_t *ret_size, struct error *e)
{
    const struct vault_credential *c = vault_credential(credential->entry, credential->slot);
    _cleanup_(secret_freep) struct secret *key = NULL;
    _cleanup_(offer_freep) char *body = NULL;
    _cleanup_json_ json_object *identity = json_object_new_string(c->identity);
    const char *text = identity ? json_object_to_json_string_ext(identity, JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
    size_t n;
    int r;

    body = calloc(1, BODY_MAX);
    if (!body || !text)
        return -ENOMEM;
    r = vault_key_open(credential->vault, credential->entry, credential->slot, &key, e);
    if (r < 0)
        return r;
    n = (size_t)snprintf(body, BODY_MAX, "{\"identity\":%s,\"key\":\"", text);
    if (n + BASE64_SIZE(key->size) + strlen("\"}") > BODY_MAX)
        return error_set(e, -E2BIG, "the identity is too long to be offered");
    base64_encode(key->bytes, key->size, body + n);
    n += strlen(body + n);
    n += (size_t)snprintf(body + n, BODY_MAX - n, "\"}");
    *ret_size = n;
    *ret_body = TAKE_PTR(body);
    return 0;
}

/* The inside of a JSON string. */
static int write_text(const struct secret *key, char *to, struct error *e)
{
    for (size_t i = 0; i < key->size; i++) {
        if (key->bytes[i] < 0x20 || key->bytes[i] > 0x7e)
            return error_set(e, -EILSEQ,
                             "this cloud takes keys as text, and this one is none: set it with \"encoding\": \"text\", "
                             "or rotate");
        if (key->bytes[i] == '"' || key->bytes[i] == '\\')
            *to++ = '\\';
        *to++ = (char)key->bytes[i];
    }
    *to = 0;
    return 0;
}

static int write_key(const struct secret *key, enum vault_encoding encoding, char *to, struct error *e)
{
    switch (encoding) {
    case VAULT_HEX:
        hex_encode(key->bytes, key->size, to);
        return 0;
    case VAULT_BASE64:
        base64_encode(key->bytes, key->size, to);
        return 0;
    case VAULT_TEXT:
        return write_text(key, to, e);
    case VAULT_RAW:
        break;
    }
    return error_set(e, -EINVAL, "raw bytes cannot stand in a request to a registrar");
}

int offer_request(const char *head, const struct registrar_credential *credential, enum vault_encoding encoding,
                  char **ret, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    _cleanup_(offer_freep) char *text = NULL;
    size_t n = strlen(head), size = n + KEY_TEXT_MAX + 64;
    int r = 0;

    text = calloc(1, size);
    if (!text)
        return -ENOMEM;
    memcpy(text, head, n);
    if (credential) {
        r = vault_key_open(credential->vault, credential->entry, credential->slot, &key, e);
        if (r < 0)
            return r;
        n +=
            (size_t)snprintf(text + n, size - n, ",\"encoding\":\"%s\",\"key\":\"", vault_encoding_to_string(encoding));
        r = write_key(key, encoding, text + n, e);
        n += strlen(text + n);
        text[n++] = '"';
    }
    if (r < 0)
        return r;
    text[n] = '}';
    *ret = TAKE_PTR(text);
    return 0;
}

char *offer_free(char *body)
{
    if (body)
        gnutls_memset(body, 0, strlen(body));
    free(body);
    return NULL;
}

int offer_session_check(const struct uplink_info *info, uint64_t now, bool without_pfs, struct error *e)
{
    if (!info->established)
        return error_set(e, -EAGAIN, "there is no session to offer the key over");
    if (without_pfs)
        return 0;
    if (!info->forward_secrecy)
        return error_set(
            e, -EPROTONOSUPPORT,
            "the session (%s) has no forward secrecy, so a new key told over it is no safer than the old one: "
            "let the cloud take ecdhe-psk, or set \"offer_without_pfs\"",
            info->suite);
    if (now > info->full_at + ROTATION_PFS_AGE_MAX)
        return error_set(e, -EAGAIN, "the session's handshake is over a day old; a fresh one is made first");
    return 0;
}
