/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/suites.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What is offered, by IANA name, in order. */
static void offers(const char *const *names, const char *const *expected)
{
    gnutls_priority_t priority = NULL;
    struct error e = {0};
    size_t n = 0;

    assert_int_equal(suites_priority(names, &priority, &e), 0);
    for (unsigned i = 0;; i++) {
        unsigned index;
        int r = gnutls_priority_get_cipher_suite_index(priority, i, &index);

        if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            break;
        if (r < 0)
            continue;
        assert_non_null(expected[n]);
        assert_string_equal(gnutls_cipher_suite_info(index, NULL, NULL, NULL, NULL, NULL), expected[n]);
        n++;
    }
    assert_null(expected[n]);
    gnutls_priority_deinit(priority);
}

static void test_offered(void **state)
{
    offers(LIST("ecdhe-psk"), LIST("TLS_ECDHE_PSK_CHACHA20_POLY1305"));
    offers(LIST("ecdhe-psk-cbc"), LIST("TLS_ECDHE_PSK_AES_128_CBC_SHA256"));
    offers(LIST("psk-ccm8"), LIST("TLS_PSK_AES_128_CCM_8"));
    offers(LIST("psk"), LIST("TLS_PSK_AES_128_GCM_SHA256", "TLS_PSK_AES_256_GCM_SHA384", "TLS_PSK_AES_128_CCM",
                             "TLS_PSK_AES_256_CCM"));
    /* Forward secrecy comes first, whatever the ciphers. */
    offers(NULL, LIST("TLS_ECDHE_PSK_CHACHA20_POLY1305", "TLS_PSK_CHACHA20_POLY1305", "TLS_PSK_AES_128_GCM_SHA256",
                      "TLS_PSK_AES_256_GCM_SHA384", "TLS_PSK_AES_128_CCM", "TLS_PSK_AES_256_CCM"));
}

/* No list of ours may let a certificate, an anonymous or a clear-text suite in. */
static void test_only_psk(void **state)
{
    const char *const *all = LIST("psk-ccm8", "psk", "ecdhe-psk-cbc", "ecdhe-psk");
    gnutls_priority_t priority = NULL;
    const unsigned *list = NULL;
    int n;

    assert_int_equal(suites_priority(all, &priority, NULL), 0);
    n = gnutls_priority_kx_list(priority, &list);
    assert_int_equal(n, 2);
    for (int i = 0; i < n; i++)
        assert_true(list[i] == GNUTLS_KX_PSK || list[i] == GNUTLS_KX_ECDHE_PSK);
    n = gnutls_priority_cipher_list(priority, &list);
    for (int i = 0; i < n; i++)
        assert_int_not_equal(list[i], GNUTLS_CIPHER_NULL);
    n = gnutls_priority_protocol_list(priority, &list);
    assert_int_equal(n, 1);
    assert_int_equal(list[0], GNUTLS_DTLS1_2);
    n = gnutls_priority_group_list(priority, &list);
    assert_int_equal(n, 3);
    assert_int_equal(list[0], GNUTLS_GROUP_X25519);
    assert_int_equal(list[1], GNUTLS_GROUP_SECP256R1);
    assert_int_equal(list[2], GNUTLS_GROUP_SECP384R1);
    gnutls_priority_deinit(priority);
}

static void test_refused(void **state)
{
    static const struct {
        const char *names[3];
        const char *says;
    } cases[] = {
        {{NULL}, "empty"},
        {{"psk", "rsa"}, "\"rsa\""},
        {{"psk", ""}, "unknown suite \"\""},
        {{"PSK"}, "ecdhe-psk, ecdhe-psk-cbc, psk, psk-ccm8"},
        {{"psk", "psk"}, "twice"},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        gnutls_priority_t priority = NULL;
        struct error e = {0};

        assert_int_equal(suites_priority(cases[i].names, &priority, &e), -EINVAL);
        assert_non_null(strstr(e.text, cases[i].says));
        assert_null(priority);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offered),
        cmocka_unit_test(test_only_psk),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
