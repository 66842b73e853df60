/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/tls-hello.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t random_bytes[TLS_HELLO_RANDOM] = {1, 2, 3};
static const uint16_t suites[] = {0xccac, 0x00a8};

static size_t number(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

/* Each length inside a hello fits what is around it. */
static void well_formed(const uint8_t *hello, size_t n)
{
    size_t at = 5 + 4 + 2 + 32, end;

    assert_int_equal(number(hello + 3), n - 5);
    assert_int_equal(number(hello + 7), n - 9);
    at += 1 + (size_t)hello[at];
    at += 2 + number(hello + at);
    at += 1 + (size_t)hello[at];
    end = at + 2 + number(hello + at);
    assert_int_equal(end, n);
    for (at += 2; at < end; at += 4 + number(hello + at + 2))
        assert_true(at + 4 <= end);
    assert_int_equal(at, end);
}

static void test_fits(void **state)
{
    char identity[IDENTITY_MAX + 1] = "", name[CONFIG_HOST_MAX + 1] = "";
    uint16_t many[TLS_HELLO_SUITES_MAX] = {0};
    const struct tls_hello hellos[] = {
        {"device-0", NULL, suites, ELEMENTSOF(suites), random_bytes},
        {"", "broker.example", suites, 0, random_bytes},
        {identity, name, many, ELEMENTSOF(many), random_bytes},
    };

    memset(identity, 'i', IDENTITY_MAX);
    memset(name, 'n', CONFIG_HOST_MAX - 1);
    for (size_t i = 0; i < ELEMENTSOF(hellos); i++)
        for (enum tls_question q = TLS_ASK_IDENTITY; q < TLS_QUESTIONS; q++) {
            uint8_t hello[TLS_HELLO_MAX];
            size_t n = tls_hello_make(q, &hellos[i], hello);

            assert_true(n <= sizeof(hello));
            well_formed(hello, n);
        }
}

static void test_answer(void **state)
{
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 40}, server_hello[] = {22, 3, 3, 0, 90, 2, 0};

    assert_int_equal(tls_hello_answer(alert, sizeof(alert)), 40);
    assert_int_equal(tls_hello_answer(server_hello, sizeof(server_hello)), -ENOMSG);
    for (size_t n = 0; n < sizeof(alert); n++)
        assert_int_equal(tls_hello_answer(alert, n), -EAGAIN);
    assert_int_equal(tls_hello_answer((const uint8_t *)"HTTP/1.", 7), -EPROTO);
    assert_int_equal(tls_hello_answer((const uint8_t *)"\x15\x02", 2), -EPROTO);
}

static void test_verdict(void **state)
{
    static const struct {
        enum tls_question question;
        int answer;
        enum handshake_verdict verdict;
        enum handshake_about about;
    } cases[] = {
        /* It knows the identity, and had turned away the right proof: something else is missing. */
        {TLS_ASK_IDENTITY, 47, HANDSHAKE_MISMATCH, ABOUT_ANY},
        {TLS_ASK_IDENTITY, 51, HANDSHAKE_MISMATCH, ABOUT_ANY},
        {TLS_ASK_IDENTITY, 40, HANDSHAKE_UNCLEAR, ABOUT_NOTHING},
        {TLS_ASK_IDENTITY, -ECONNRESET, HANDSHAKE_UNCLEAR, ABOUT_NOTHING},
        {TLS_ASK_IDENTITY, -ENOMSG, HANDSHAKE_MISMATCH, ABOUT_ANY},
        /* It got as far as the nonsense, so it had found a suite. */
        {TLS_ASK_OFFER, 50, HANDSHAKE_UNCLEAR, ABOUT_NOTHING},
        {TLS_ASK_OFFER, 47, HANDSHAKE_UNCLEAR, ABOUT_NOTHING},
        {TLS_ASK_OFFER, 40, HANDSHAKE_MISMATCH, ABOUT_ANY},
        {TLS_ASK_HASH, 47, HANDSHAKE_MISMATCH, ABOUT_HASH},
        {TLS_ASK_HASH, 40, HANDSHAKE_REFUSED, ABOUT_NOTHING},
        {TLS_ASK_HASH, 70, HANDSHAKE_REFUSED, ABOUT_NOTHING},
        {TLS_ASK_HASH, -ECONNRESET, HANDSHAKE_REFUSED, ABOUT_NOTHING},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct handshake_end end = tls_hello_verdict(cases[i].question, cases[i].answer);

        assert_int_equal(end.verdict, cases[i].verdict);
        assert_int_equal(end.about, cases[i].about);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
