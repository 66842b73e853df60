/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cipher.h"

#include <nettle/aes.h>
#include <nettle/ccm.h>
#include <string.h>

#define TAG 4

static const char *const names[] = {"none", "bthome", "mibeacon", "pvvx", "victron"};

const char *cipher_name(enum cipher cipher)
{
    return names[cipher];
}

bool cipher_find(const char *name, enum cipher *ret)
{
    for (size_t i = 1; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0) {
            *ret = (enum cipher)i;
            return true;
        }
    return false;
}

struct nonce {
    uint8_t bytes[16];
    size_t n;
};

static void nonce_add(struct nonce *nonce, const uint8_t *bytes, size_t n)
{
    memcpy(nonce->bytes + nonce->n, bytes, n);
    nonce->n += n;
}

static void reverse(const uint8_t address[6], uint8_t ret[6])
{
    for (size_t i = 0; i < 6; i++)
        ret[i] = address[5 - i];
}

static bool ccm_open(const uint8_t key[16], const struct nonce *nonce, const uint8_t *aad, size_t n_aad,
                     const uint8_t *in, size_t n, const uint8_t tag[TAG], struct cipher_frame *ret)
{
    uint8_t sealed[ADVERT_PAYLOAD_MAX + TAG];
    struct aes128_ctx aes;

    memcpy(sealed, in, n);
    memcpy(sealed + n, tag, TAG);
    aes128_set_encrypt_key(&aes, key);
    bool good = ccm_decrypt_message(&aes, (nettle_cipher_func *)aes128_encrypt, nonce->n, nonce->bytes, n_aad, aad, TAG,
                                    n, ret->body, sealed);
    explicit_bzero(&aes, sizeof aes);
    if (!good)
        memset(ret->body, 0, n);
    ret->n = good ? n : 0;
    return good;
}

static uint32_t little(const uint8_t *p, size_t n)
{
    uint32_t value = 0;

    while (n-- > 0)
        value = value << 8 | p[n];
    return value;
}

static void put_body(struct cipher_frame *ret, const uint8_t *p, size_t n)
{
    memcpy(ret->body, p, n);
    ret->n = n;
}

/* info, [address], objects; or info, [address], sealed objects, counter, tag */
static enum cipher_result open_bthome(const uint8_t address[6], const uint8_t *p, size_t n, const struct bind_key *key,
                                      struct cipher_frame *ret)
{
    static const uint8_t uuid[] = {0xd2, 0xfc};
    struct nonce nonce = {.n = 0};
    uint8_t own[6];
    size_t at = 1;

    if (n < 1)
        return CIPHER_TRUNCATED;
    if (p[0] >> 5 != 2)
        return CIPHER_NOT_MINE;
    ret->encrypted = p[0] & 1;
    memcpy(own, address, sizeof own);
    if (p[0] & 2) {
        if (n < 7)
            return CIPHER_TRUNCATED;
        reverse(p + 1, own);
        at = 7;
    }
    if (!ret->encrypted) {
        put_body(ret, p + at, n - at);
        return CIPHER_OPENED;
    }
    if (n < at + 4 + TAG)
        return CIPHER_TRUNCATED;
    if (!key)
        return CIPHER_NEEDS_KEY;
    const uint8_t *counter = p + n - TAG - 4;
    nonce_add(&nonce, own, sizeof own);
    nonce_add(&nonce, uuid, sizeof uuid);
    nonce_add(&nonce, p, 1);
    nonce_add(&nonce, counter, 4);
    if (key->n != 16 || !ccm_open(key->bytes, &nonce, NULL, 0, p + at, n - at - 4 - TAG, p + n - TAG, ret))
        return CIPHER_WRONG_KEY;
    ret->counter = little(counter, 4);
    ret->counter_bits = 32;
    return CIPHER_OPENED;
}

enum {
    MI_ENCRYPTED = 1 << 3,
    MI_ADDRESS = 1 << 4,
    MI_CAPABILITY = 1 << 5,
    MI_OBJECT = 1 << 6,
};

/* Where the objects begin; 0: cut short. */
static size_t mibeacon_header(const uint8_t *p, size_t n, uint8_t reversed[6])
{
    uint32_t control = little(p, 2);
    size_t at = 5;

    if (control & MI_ADDRESS) {
        if (n < at + 6)
            return 0;
        memcpy(reversed, p + at, 6);
        at += 6;
    }
    if (control & MI_CAPABILITY) {
        if (n < at + 1)
            return 0;
        at += p[at] & 0x20 ? 3 : 1;
    }
    return at <= n ? at : 0;
}

/* control, product, frame counter, [address], [capability], objects; or sealed objects, the counter's upper bytes, tag
 */
static enum cipher_result open_mibeacon(const uint8_t address[6], const uint8_t *p, size_t n,
                                        const struct bind_key *key, struct cipher_frame *ret)
{
    static const uint8_t aad = 0x11;
    struct nonce nonce = {.n = 0};
    uint8_t reversed[6];

    if (n < 5)
        return CIPHER_TRUNCATED;
    uint32_t control = little(p, 2);
    reverse(address, reversed);
    size_t at = mibeacon_header(p, n, reversed);
    if (at == 0)
        return CIPHER_TRUNCATED;
    if (!(control & MI_OBJECT))
        return CIPHER_NOT_MINE;
    ret->encrypted = control & MI_ENCRYPTED;
    if (!ret->encrypted) {
        ret->has_sequence = true;
        ret->sequence = p[4];
        put_body(ret, p + at, n - at);
        return CIPHER_OPENED;
    }
    if (n < at + 3 + TAG)
        return CIPHER_TRUNCATED;
    if (!key)
        return CIPHER_NEEDS_KEY;
    const uint8_t *upper = p + n - TAG - 3;
    nonce_add(&nonce, reversed, sizeof reversed);
    nonce_add(&nonce, p + 2, 3);
    nonce_add(&nonce, upper, 3);
    if (key->n != 16 || control >> 12 < 4 ||
        !ccm_open(key->bytes, &nonce, &aad, 1, p + at, n - at - 3 - TAG, p + n - TAG, ret))
        return CIPHER_WRONG_KEY;
    ret->counter = little(upper, 3) << 8 | p[4];
    ret->counter_bits = 32;
    return CIPHER_OPENED;
}

/* counter, sealed values, tag. The nonce has the head of the advertisement's element, of which the length is a part. */
static enum cipher_result open_pvvx(const uint8_t address[6], uint16_t service, const uint8_t *p, size_t n,
                                    const struct bind_key *key, struct cipher_frame *ret)
{
    static const uint8_t aad = 0x11;
    struct nonce nonce = {.n = 0};
    uint8_t reversed[6];

    if (n < 1 + TAG)
        return CIPHER_TRUNCATED;
    ret->encrypted = true;
    if (!key)
        return CIPHER_NEEDS_KEY;
    uint8_t head[] = {(uint8_t)(n + 3), 0x16, (uint8_t)service, (uint8_t)(service >> 8), p[0]};
    reverse(address, reversed);
    nonce_add(&nonce, reversed, sizeof reversed);
    nonce_add(&nonce, head, sizeof head);
    if (key->n != 16 || !ccm_open(key->bytes, &nonce, &aad, 1, p + 1, n - 1 - TAG, p + n - TAG, ret))
        return CIPHER_WRONG_KEY;
    ret->counter = p[0];
    ret->counter_bits = 8;
    return CIPHER_OPENED;
}

/* record type, ?, model (2), readout type, counter (2), first byte of the key, encrypted values */
static enum cipher_result open_victron(const uint8_t *p, size_t n, const struct bind_key *key, struct cipher_frame *ret)
{
    uint8_t block[16] = {0}, stream[16];
    struct aes128_ctx aes;

    if (n < 8)
        return CIPHER_TRUNCATED;
    ret->encrypted = true;
    ret->has_sequence = true;
    ret->sequence = little(p + 5, 2);
    if (!key)
        return CIPHER_NEEDS_KEY;
    if (key->n != 16 || p[7] != key->bytes[0])
        return CIPHER_WRONG_KEY;
    aes128_set_encrypt_key(&aes, key->bytes);
    for (size_t at = 8; at < n; at += sizeof block) {
        size_t left = n - at < sizeof block ? n - at : sizeof block;
        uint32_t counter = ret->sequence + (uint32_t)(at - 8) / 16;
        for (size_t i = 0; i < 4; i++)
            block[i] = (uint8_t)(counter >> (8 * i));
        aes128_encrypt(&aes, sizeof block, stream, block);
        for (size_t i = 0; i < left; i++)
            ret->body[at - 8 + i] = p[at + i] ^ stream[i];
    }
    ret->n = n - 8;
    explicit_bzero(&aes, sizeof aes);
    explicit_bzero(stream, sizeof stream);
    return CIPHER_OPENED;
}

enum cipher_result cipher_open(enum cipher cipher, const uint8_t address[6], uint16_t service, const uint8_t *payload,
                               size_t n, const struct bind_key *key, struct cipher_frame *ret)
{
    memset(ret, 0, sizeof *ret);
    if (n > ADVERT_PAYLOAD_MAX)
        return CIPHER_NOT_MINE;
    switch (cipher) {
    case CIPHER_NONE:
        put_body(ret, payload, n);
        return CIPHER_OPENED;
    case CIPHER_BTHOME:
        return open_bthome(address, payload, n, key, ret);
    case CIPHER_MIBEACON:
        return open_mibeacon(address, payload, n, key, ret);
    case CIPHER_PVVX:
        return open_pvvx(address, service, payload, n, key, ret);
    case CIPHER_VICTRON:
        return open_victron(payload, n, key, ret);
    }
    return CIPHER_NOT_MINE;
}
