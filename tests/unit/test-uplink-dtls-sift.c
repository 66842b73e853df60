/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/dtls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Records in short: type, epoch, length of the payload; a type of 0 ends the list. */
struct record {
    uint8_t type;
    uint16_t epoch;
    uint16_t size;
};

static size_t put(uint8_t *to, const struct record *records)
{
    size_t n = 0;

    for (; records->type; records++) {
        const uint8_t header[13] = {records->type,
                                    0xfe,
                                    0xfd,
                                    (uint8_t)(records->epoch >> 8),
                                    (uint8_t)records->epoch,
                                    0,
                                    0,
                                    0,
                                    0,
                                    0,
                                    7,
                                    (uint8_t)(records->size >> 8),
                                    (uint8_t)records->size};

        memcpy(to + n, header, sizeof(header));
        memset(to + n + sizeof(header), records->type + records->epoch, records->size);
        if (records->epoch == 0 && records->type == 22) {
            const uint8_t message[12] = {14, 0, 0, (uint8_t)(records->size - 12), 0, 3, 0, 0, 0, 0, 0, 0};

            memcpy(to + n + sizeof(header), message, sizeof(message));
            to[n + sizeof(header) + 11] = message[3];
        } else if (records->epoch == 0 && records->type == 20) {
            to[n + sizeof(header)] = 1;
        }
        n += sizeof(header) + records->size;
    }
    return n;
}

static void test_sift(void **state)
{
    static const struct {
        struct record in[4], out[4];
        bool encrypted_only;
        uint64_t dropped;
    } cases[] = {
        {{{22, 0, 50}, {20, 0, 1}, {22, 1, 40}}, {{22, 0, 50}, {20, 0, 1}, {22, 1, 40}}, false, 0},
        /* A forged alert, in front of, between and behind what is real. */
        {{{21, 0, 2}, {23, 1, 30}}, {{23, 1, 30}}, true, 1},
        {{{23, 1, 30}, {21, 0, 2}, {23, 1, 9}}, {{23, 1, 30}, {23, 1, 9}}, true, 1},
        {{{23, 1, 30}, {21, 0, 2}}, {{23, 1, 30}}, true, 1},
        /* A flight sent again after the end of the handshake: its last, encrypted message is what matters. */
        {{{22, 0, 80}, {20, 0, 1}, {22, 1, 40}}, {{22, 1, 40}}, true, 2},
        {{{21, 0, 2}}, {{0}}, true, 1},
        /* In clear text only what a handshake needs. */
        {{{23, 0, 30}, {22, 0, 40}}, {{22, 0, 40}}, false, 1},
        {{{21, 0, 3}, {20, 0, 2}, {21, 0, 2}}, {{21, 0, 2}}, false, 2},
        /* Types that there are not, and a record of nothing. */
        {{{19, 1, 4}, {23, 1, 4}}, {{0}}, true, 1},
        {{{24, 1, 4}}, {{0}}, true, 1},
        {{{23, 1, 0}}, {{0}}, true, 1},
        {{{0}}, {{0}}, false, 1},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        uint8_t in[512], out[512];
        uint64_t dropped = 0;
        size_t n = put(in, cases[i].in), expected = put(out, cases[i].out);

        assert_int_equal(dtls_sift(in, n, cases[i].encrypted_only, &dropped), expected);
        assert_memory_equal(in, out, expected);
        assert_int_equal(dropped, cases[i].dropped);
    }
}

/* One field of a ServerHelloDone changed at a time. */
static void test_handshake_messages(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        bool kept;
    } cases[] = {
        {0, 14, true},                                                                   /* as it is */
        {0, 2, true},    {0, 3, true},   {0, 4, true},   {0, 12, true},   {0, 0, false}, /* HelloRequest */
        {0, 1, false},   {0, 11, false}, {0, 20, false}, {0, 255, false}, {1, 1, false}, /* a message of 65 kB */
        {4, 1, false},                                                                   /* number 256 */
        {8, 1, false},   /* a fragment from its second byte, as long as the whole */
        {3, 27, false},  /* shorter than its fragment */
        {3, 29, true},   /* a first fragment */
        {11, 29, false}, /* longer than the record */
    };
    static const struct record done[] = {{22, 0, 40}, {0}};

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        uint8_t in[64];
        uint64_t dropped = 0;
        size_t n = put(in, done);

        in[13 + cases[i].at] = cases[i].value;
        assert_int_equal(dtls_sift(in, n, false, &dropped), cases[i].kept ? n : 0);
        assert_int_equal(dropped, !cases[i].kept);
    }
}

/* Cut anywhere, or with anything appended: the whole records before are kept, and nothing is read beyond the end. */
static void test_cut(void **state)
{
    static const struct record records[] = {{23, 1, 20}, {23, 1, 30}, {0}};
    uint8_t whole[128];
    size_t n = put(whole, records);

    for (size_t cut = 0; cut <= n; cut++) {
        _cleanup_free_ uint8_t *in = malloc(cut + 1);
        uint64_t dropped = 0;
        size_t kept = cut < 33 ? 0 : cut < n ? 33 : n;

        memcpy(in, whole, cut);
        assert_int_equal(dtls_sift(in, cut, true, &dropped), kept);
        assert_int_equal(dropped, kept != cut || cut == 0);
    }
    whole[1] = 3; /* TLS, not DTLS */
    assert_int_equal(dtls_sift(whole, n, true, &(uint64_t){0}), 0);
}

/* Alerts in clear text are taken out, the first that would end a handshake is told, and encrypted ones are left. */
static void test_alerts(void **state)
{
    static const struct record records[] = {{21, 0, 2}, {22, 1, 40}, {21, 0, 2}, {21, 1, 26}, {21, 0, 2}, {0}};
    static const struct record left[] = {{22, 1, 40}, {21, 1, 26}, {0}};
    uint8_t in[256], expected[256];
    size_t n = put(in, records), n_left = put(expected, left);
    int alert = -1;

    memcpy(in + 13, (const uint8_t[]){1, 100}, 2);                      /* a warning: no renegotiation */
    memcpy(in + 15 + 53 + 13, (const uint8_t[]){2, 40}, 2);             /* fatal */
    memcpy(in + n - 2, (const uint8_t[]){1, GNUTLS_A_CLOSE_NOTIFY}, 2); /* a later one */
    assert_int_equal(dtls_sift_alerts(in, n, &alert), n_left);
    assert_memory_equal(in, expected, n_left);
    assert_int_equal(alert, 40);
    alert = -1;
    assert_int_equal(dtls_sift_alerts(in, n_left, &alert), n_left);
    assert_int_equal(alert, -1);
}

static void test_look(void **state)
{
    static const struct record hello[] = {{22, 0, 60}, {0}}, alert[] = {{21, 0, 2}, {0}};
    struct dtls_seen seen;
    uint8_t in[128];
    size_t n = put(in, hello);

    in[13] = GNUTLS_HANDSHAKE_SERVER_HELLO;
    dtls_look(in, n, &seen);
    assert_true(seen.flight && seen.cookie == 0);
    in[13] = GNUTLS_HANDSHAKE_HELLO_VERIFY_REQUEST;
    in[13 + 12 + 2] = 45;
    dtls_look(in, n, &seen);
    assert_true(!seen.flight && seen.cookie == 45);
    dtls_look(in, 13 + 12 + 2, &seen);
    assert_true(!seen.flight && seen.cookie == 0);
    dtls_look(in, 13, &seen);
    assert_true(!seen.flight && seen.cookie == 0);
    dtls_look(in, put(in, alert), &seen);
    assert_true(!seen.flight && seen.cookie == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sift), cmocka_unit_test(test_handshake_messages),
        cmocka_unit_test(test_cut),  cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_look),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
