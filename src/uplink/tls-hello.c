/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/tls-hello.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>

#define RECORD_ALERT 21
#define RECORD_HANDSHAKE 22
#define CLIENT_HELLO 1
#define TLS_1_2 0x0303
#define TLS_1_3 0x0304
#define EXT_SERVER_NAME 0
#define EXT_GROUPS 10
#define EXT_POINT_FORMATS 11
#define EXT_SIGNATURE_ALGORITHMS 13
#define EXT_ENCRYPT_THEN_MAC 22
#define EXT_EXTENDED_MASTER_SECRET 23
#define EXT_PRE_SHARED_KEY 41
#define EXT_VERSIONS 43
#define EXT_KEY_MODES 45
#define EXT_KEY_SHARE 51
#define GROUP_X25519 29
#define GROUP_P256 23
#define GROUP_P384 24
#define RANDOM_SIZE 32
#define HASH_MAX 48
#define SUITE_SHA384 0x1302

static const uint16_t suites_13[] = {0x1301, 0x1303};
static const uint16_t signatures[] = {0x0403, 0x0804, 0x0401};

struct out {
    uint8_t *at;
    const uint8_t *random; /* what is left of it */
};

static void put8(struct out *o, unsigned n)
{
    *o->at++ = (uint8_t)n;
}

static void put16(struct out *o, unsigned n)
{
    put8(o, n >> 8);
    put8(o, n & 0xff);
}

static void put(struct out *o, const void *data, size_t n)
{
    memcpy(o->at, data, n);
    o->at += n;
}

static void put_random(struct out *o, size_t n)
{
    put(o, o->random, n);
    o->random += n;
}

/* A length of two bytes is left out, and filled in by close16() once it is known. */
static uint8_t *open16(struct out *o)
{
    o->at += 2;
    return o->at;
}

static void close16(struct out *o, uint8_t *begin)
{
    size_t n = (size_t)(o->at - begin);

    begin[-2] = (uint8_t)(n >> 8);
    begin[-1] = (uint8_t)n;
}

static uint8_t *open_extension(struct out *o, unsigned type)
{
    put16(o, type);
    return open16(o);
}

static void put_list(struct out *o, unsigned extension, const uint16_t *list, size_t n)
{
    uint8_t *begin = open_extension(o, extension), *inner = open16(o);

    for (size_t i = 0; i < n; i++)
        put16(o, list[i]);
    close16(o, inner);
    close16(o, begin);
}

static void put_name(struct out *o, const char *name)
{
    uint8_t *begin = open_extension(o, EXT_SERVER_NAME), *list = open16(o), *text;

    put8(o, 0); /* a host name */
    text = open16(o);
    put(o, name, strlen(name));
    close16(o, text);
    close16(o, list);
    close16(o, begin);
}

static void put_versions(struct out *o, bool old)
{
    uint8_t *begin = open_extension(o, EXT_VERSIONS);

    put8(o, old ? 4 : 2);
    put16(o, TLS_1_3);
    if (old)
        put16(o, TLS_1_2);
    close16(o, begin);
}

static void put_share(struct out *o)
{
    uint8_t *begin = open_extension(o, EXT_KEY_SHARE), *list = open16(o), *share;

    put16(o, GROUP_X25519);
    share = open16(o);
    put_random(o, RANDOM_SIZE); /* as good a public key as any */
    close16(o, share);
    close16(o, list);
    close16(o, begin);
}

/* The last extension, as RFC 8446 section 4.2.11 has it. */
static void put_key(struct out *o, enum tls_question question, const char *identity)
{
    uint8_t *begin = open_extension(o, EXT_PRE_SHARED_KEY), *list, *text;
    size_t hash = question == TLS_ASK_HASH ? HASH_MAX : RANDOM_SIZE;

    if (question == TLS_ASK_OFFER) {
        put16(o, UINT16_MAX); /* identities that are longer than what there is */
        close16(o, begin);
        return;
    }
    list = open16(o);
    text = open16(o);
    put(o, identity, strnlen(identity, IDENTITY_MAX));
    close16(o, text);
    put16(o, 0); /* its age, of which a key has none */
    put16(o, 0);
    close16(o, list);
    list = open16(o);
    put8(o, (unsigned)hash);
    put_random(o, hash);
    close16(o, list);
    close16(o, begin);
}

static void put_extensions(struct out *o, enum tls_question question, const struct tls_hello *hello)
{
    static const uint16_t groups[] = {GROUP_X25519, GROUP_P256, GROUP_P384};
    uint8_t *all = open16(o), *begin;

    if (hello->server_name && strlen(hello->server_name) < CONFIG_HOST_MAX)
        put_name(o, hello->server_name);
    begin = open_extension(o, EXT_POINT_FORMATS);
    put16(o, 0x0100); /* one: uncompressed */
    close16(o, begin);
    put_list(o, EXT_GROUPS, groups, ELEMENTSOF(groups));
    put_list(o, EXT_SIGNATURE_ALGORITHMS, signatures, ELEMENTSOF(signatures));
    close16(o, open_extension(o, EXT_ENCRYPT_THEN_MAC));
    close16(o, open_extension(o, EXT_EXTENDED_MASTER_SECRET));
    put_versions(o, question != TLS_ASK_HASH);
    begin = open_extension(o, EXT_KEY_MODES);
    put16(o, 0x0101); /* one: with (EC)DHE */
    close16(o, begin);
    put_share(o);
    put_key(o, question, hello->identity);
    close16(o, all);
}

size_t tls_hello_make(enum tls_question question, const struct tls_hello *hello, uint8_t ret[static TLS_HELLO_MAX])
{
    struct out o = {ret, hello->random};
    uint8_t *record, *message, *suites;

    put8(&o, RECORD_HANDSHAKE);
    put16(&o, 0x0301);
    record = open16(&o);
    put8(&o, CLIENT_HELLO);
    put8(&o, 0);
    message = open16(&o);
    put16(&o, TLS_1_2);
    put_random(&o, RANDOM_SIZE);
    put8(&o, RANDOM_SIZE); /* the session id */
    put_random(&o, RANDOM_SIZE);
    suites = open16(&o);
    if (question == TLS_ASK_HASH)
        put16(&o, SUITE_SHA384);
    for (size_t i = 0; question != TLS_ASK_HASH && i < ELEMENTSOF(suites_13); i++)
        put16(&o, suites_13[i]);
    for (size_t i = 0; question != TLS_ASK_HASH && i < MIN_OF(hello->n_suites, (size_t)TLS_HELLO_SUITES_MAX); i++)
        put16(&o, hello->suites[i]);
    close16(&o, suites);
    put16(&o, 0x0100); /* one method of compression: none */
    put_extensions(&o, question, hello);
    close16(&o, message);
    close16(&o, record);
    return (size_t)(o.at - ret);
}

int tls_hello_answer(const uint8_t *data, size_t n)
{
    if (n > 0 && data[0] != RECORD_ALERT && data[0] != RECORD_HANDSHAKE)
        return -EPROTO;
    if (n > 1 && data[1] != 3)
        return -EPROTO;
    if (n < TLS_ANSWER_SIZE)
        return -EAGAIN;
    return data[0] == RECORD_ALERT ? data[6] : -ENOMSG;
}

static const struct handshake_end nothing_common = {
    .verdict = HANDSHAKE_MISMATCH, .about = ABOUT_ANY, .what = "alert: handshake_failure"};
/* A wrong proof was not looked at, and nothing else is amiss. */
static const struct handshake_end refused = {
    .verdict = HANDSHAKE_REFUSED, .what = "alert: handshake_failure", .unknown = true};
static const struct handshake_end next = {.verdict = HANDSHAKE_UNCLEAR, .what = "alert: handshake_failure"};

struct handshake_end tls_hello_verdict(enum tls_question question, int answer)
{
    /* A wrong proof was looked at. */
    bool known = answer >= 0 && handshake_alert(answer, HANDSHAKE_BINDER).verdict == HANDSHAKE_REFUSED;

    /* It would not have turned the first one away. */
    if (answer == -ENOMSG)
        return nothing_common;
    switch (question) {
    case TLS_ASK_IDENTITY:
        return known ? nothing_common : next;
    case TLS_ASK_OFFER:
        return handshake_alert(answer, HANDSHAKE_BINDER).verdict == HANDSHAKE_UNCLEAR ? nothing_common : next;
    case TLS_ASK_HASH:
        return known ? (struct handshake_end){.verdict = HANDSHAKE_MISMATCH, .about = ABOUT_HASH, .what = "SHA-384"}
                     : refused;
    }
    return refused;
}
