/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/seal.h"

#include <assert.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

void seal_ad_add(struct seal_ad *ad, const void *data, size_t n)
{
    assert(n <= UINT16_MAX && ad->size + 2 + n <= sizeof(ad->bytes));
    ad->bytes[ad->size++] = (uint8_t)(n >> 8);
    ad->bytes[ad->size++] = (uint8_t)n;
    memcpy(ad->bytes + ad->size, data, n);
    ad->size += n;
}

void seal_ad_text(struct seal_ad *ad, const char *text)
{
    seal_ad_add(ad, text, strlen(text));
}

void seal_ad_u8(struct seal_ad *ad, uint8_t value)
{
    seal_ad_add(ad, &value, 1);
}

void seal_ad_u64(struct seal_ad *ad, uint64_t value)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    seal_ad_add(ad, bytes, sizeof(bytes));
}

void seal_ad_init(struct seal_ad *ad, const char *magic, const uint8_t vault_id[VAULT_ID_SIZE])
{
    ad->size = 0;
    seal_ad_text(ad, magic);
    seal_ad_u8(ad, VAULT_FORMAT);
    seal_ad_add(ad, vault_id, VAULT_ID_SIZE);
}

static int cipher_init(const struct secret *key, gnutls_aead_cipher_hd_t *ret)
{
    gnutls_datum_t datum = {key->bytes, SEAL_KEY_SIZE};

    assert(key->size == SEAL_KEY_SIZE);
    return gnutls_aead_cipher_init(ret, GNUTLS_CIPHER_CHACHA20_POLY1305, &datum) < 0 ? -EIO : 0;
}

int seal_box(const struct secret *key, const struct seal_ad *ad, const void *data, size_t n, uint8_t *box)
{
    gnutls_aead_cipher_hd_t cipher;
    size_t size = n + SEAL_TAG_SIZE;
    int r;

    if (gnutls_rnd(GNUTLS_RND_NONCE, box, SEAL_NONCE_SIZE) < 0)
        return -EIO;
    r = cipher_init(key, &cipher);
    if (r < 0)
        return r;
    r = gnutls_aead_cipher_encrypt(cipher, box, SEAL_NONCE_SIZE, ad->bytes, ad->size, SEAL_TAG_SIZE, data, n,
                                   box + SEAL_NONCE_SIZE, &size);
    gnutls_aead_cipher_deinit(cipher);
    return r < 0 || size != n + SEAL_TAG_SIZE ? -EIO : 0;
}

int open_box(const struct secret *key, const struct seal_ad *ad, const uint8_t *box, size_t box_size, void *data)
{
    gnutls_aead_cipher_hd_t cipher;
    size_t size;
    int r;

    if (box_size <= SEAL_OVERHEAD)
        return -EBADMSG;
    r = cipher_init(key, &cipher);
    if (r < 0)
        return r;
    size = box_size - SEAL_OVERHEAD;
    r = gnutls_aead_cipher_decrypt(cipher, box, SEAL_NONCE_SIZE, ad->bytes, ad->size, SEAL_TAG_SIZE,
                                   box + SEAL_NONCE_SIZE, box_size - SEAL_NONCE_SIZE, data, &size);
    gnutls_aead_cipher_deinit(cipher);
    return r < 0 || size != box_size - SEAL_OVERHEAD ? -EBADMSG : 0;
}

int derive_key(const struct secret *from, const uint8_t salt[VAULT_ID_SIZE], const char *label, struct secret **ret)
{
    _cleanup_(secret_freep) struct secret *extracted = NULL, *key = NULL;
    const gnutls_datum_t in = {from->bytes, (unsigned)from->size}, salt_datum = {(void *)salt, VAULT_ID_SIZE},
                         info = {(void *)label, (unsigned)strlen(label)};
    gnutls_datum_t prk;
    int r = secret_new(from->arena, &extracted);

    if (r >= 0)
        r = secret_new(from->arena, &key);
    if (r < 0)
        return r;
    prk = (gnutls_datum_t){extracted->bytes, DIGEST_SIZE};
    if (gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &in, &salt_datum, extracted->bytes) < 0 ||
        gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &prk, &info, key->bytes, SEAL_KEY_SIZE) < 0)
        return -EIO;
    key->size = SEAL_KEY_SIZE;
    *ret = TAKE_PTR(key);
    return 0;
}

int hmac_sha256(const struct secret *key, const void *data, size_t n, uint8_t ret_digest[DIGEST_SIZE])
{
    return gnutls_hmac_fast(GNUTLS_MAC_SHA256, key->bytes, key->size, data, n, ret_digest) < 0 ? -EIO : 0;
}
