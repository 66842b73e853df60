/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys that anybody would try, and keys that only look odd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "vault/weak.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <string.h>

#define K(text, weak)                                                                                                  \
    {                                                                                                                  \
        text, sizeof(text) - 1, weak                                                                                   \
    }
static const struct {
    const char *key;
    size_t size;
    bool weak;
} keys[] = {
    K("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", true),
    K("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", true),
    K("aaaaaaaaaaaaaaaa", true),
    K("abcabcabcabcabcabc", true),
    K("deadbeefdeadbeef", true),
    K("k3Jx9QpLk3Jx9QpL", true),
    K("k3Jx9QpLk3Jx9QpLk3J", true),
    K("\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf\x10", true),
    K("\x10\xf\xe\xd\xc\xb\xa\x9\x8\x7\x6\x5\x4\x3\x2\x1", true),
    K("\0\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", true),
    K("abcdefghijklmnop", true),
    K("ABCDEFGHIJKLMNOPQRSTUVWXYZ", true),
    K("1234567890123456", true),
    K("0123456789abcdef", true),
    K("0123456789ABCDEF0123456789ABCDEF", true),
    K("00112233445566778899aabbccddeeff", true),
    K("000102030405060708090a0b0c0d0e0f", true),
    K("aabbaabbbabababa", true),
    K("passwordpassword1", true),
    K("Password12345678", true),
    K("secretPSK-secretPSK!", true),
    K("my-secret-gateway-key", true),
    K("correct horse battery staple", true),
    K("changeme-changeme", true),
    K("golioth device key 1", true),
    K("QWERTYUIOP123456", true),
    K("ThisIsMySecretKey!", true),
    K("8f3a01b2c4d5e6978899a0b1c2d3e4f5", false),
    K("\x8f\x3a\x01\xb2\xc4\xd5\xe6\x97\x88\x99\xa0\xb1\xc2\xd3\xe4\xf5", false),
    K("wP7x!qK2vR9z@mL4", false),
    K("5oNq0uHrXc1yTzEwJmVb", false),
    K("8357193620571943", false),
    K("gatehouse-x7Kq2Zp9Rw", false),
};

static void test_table(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
        const char *reason = weak_key((const uint8_t *)keys[i].key, keys[i].size);

        if ((reason != NULL) != keys[i].weak)
            fail_msg("'%s': %s", keys[i].key, reason ? reason : "not weak");
    }
}

/* No generated key is ever refused: raw, nor as hex text. */
static void test_random_is_not_weak(void **state)
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned i = 0; i < 20000; i++) {
        uint8_t key[32], text[64];
        size_t n = 16 + i % 17;

        assert_int_equal(gnutls_rnd(GNUTLS_RND_NONCE, key, n), 0);
        assert_null(weak_key(key, n));
        for (size_t k = 0; k < n; k++) {
            text[2 * k] = (uint8_t)digits[key[k] >> 4];
            text[2 * k + 1] = (uint8_t)digits[key[k] & 15];
        }
        assert_null(weak_key(text, 2 * n));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_random_is_not_weak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
