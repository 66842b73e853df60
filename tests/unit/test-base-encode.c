/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The encodings against the vectors of RFC 4648 section 10, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/encode.h"

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *plain, *base64, *base32, *hex;
} vectors[] = {
    {"", "", "", ""},
    {"f", "Zg==", "my", "66"},
    {"fo", "Zm8=", "mzxq", "666f"},
    {"foo", "Zm9v", "mzxw6", "666f6f"},
    {"foob", "Zm9vYg==", "mzxw6yq", "666f6f62"},
    {"fooba", "Zm9vYmE=", "mzxw6ytb", "666f6f6261"},
    {"foobar", "Zm9vYmFy", "mzxw6ytboi", "666f6f626172"},
};

static void test_rfc4648(void **state)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        size_t n = strlen(vectors[i].plain);
        char text[64], back[64];

        base64_encode(vectors[i].plain, n, text);
        assert_string_equal(text, vectors[i].base64);
        assert_int_equal(base64_decode(text, strlen(text), back, sizeof(back)), n);
        assert_memory_equal(back, vectors[i].plain, n);
        base32_encode(vectors[i].plain, n, text);
        assert_string_equal(text, vectors[i].base32);
        hex_encode(vectors[i].plain, n, text);
        assert_string_equal(text, vectors[i].hex);
        assert_int_equal(hex_decode(text, strlen(text), back, sizeof(back)), n);
        assert_memory_equal(back, vectors[i].plain, n);
    }
}

static void test_every_byte(void **state)
{
    uint8_t all[256], back[256];
    char text[BASE64_SIZE(256)], hex[HEX_SIZE(256)];

    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    base64_encode(all, sizeof(all), text);
    assert_int_equal(strlen(text), BASE64_SIZE(256) - 1);
    assert_int_equal(base64_decode(text, strlen(text), back, sizeof(back)), 256);
    assert_memory_equal(back, all, 256);
    hex_encode(all, sizeof(all), hex);
    for (size_t i = 0; i < HEX_SIZE(256) - 1; i += 3)
        if (hex[i] >= 'a' && hex[i] <= 'f')
            hex[i] = (char)(hex[i] - 'a' + 'A');
    assert_int_equal(hex_decode(hex, strlen(hex), back, sizeof(back)), 256);
    assert_memory_equal(back, all, 256);
}

static void test_refused(void **state)
{
    static const char *const bad64[] = {
        "Zg=", "Zg", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\n", "Z===", "====", "Zm-v", "Zm 9"};
    static const char *const bad_hex[] = {"6", "6g", "0x66", "66 ", " 66", "@`", "/:"};
    char back[64];

    for (size_t i = 0; i < sizeof(bad64) / sizeof(bad64[0]); i++)
        assert_int_equal(base64_decode(bad64[i], strlen(bad64[i]), back, sizeof(back)), -EINVAL);
    for (size_t i = 0; i < sizeof(bad_hex) / sizeof(bad_hex[0]); i++)
        assert_int_equal(hex_decode(bad_hex[i], strlen(bad_hex[i]), back, sizeof(back)), -EINVAL);
    assert_int_equal(base64_decode("Zm9v", 4, back, 2), -ENOBUFS);
    assert_int_equal(base64_decode("Zm9v", 4, back, 3), 3);
    assert_int_equal(hex_decode("6666", 4, back, 1), -ENOBUFS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc4648),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
