/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A key that was given in the wrong encoding is told from a wrong key by its form alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/shape.h"

#include <cmocka.h>
#include <string.h>

static enum vault_shape of(const char *text)
{
    return vault_shape_of((const uint8_t *)text, strlen(text));
}

static void test_shapes(void **state)
{
    static const uint8_t bytes[16] = {0x12, 0x9a, 0xff};

    assert_int_equal(vault_shape_of(bytes, sizeof(bytes)), VAULT_SHAPE_BYTES);
    assert_int_equal(vault_shape_of(bytes, 0), VAULT_SHAPE_BYTES);
    assert_int_equal(of("00112233445566778899aabbCCDDEEFF"), VAULT_SHAPE_HEX);
    assert_int_equal(of("00112233445566778899aabbccddeef"), VAULT_SHAPE_TEXT);
    assert_int_equal(of("3q2+7wABAgMEBQYHCAkKCw=="), VAULT_SHAPE_BASE64);
    assert_int_equal(of("ABCDwxyz0189+/Zz"), VAULT_SHAPE_BASE64);
    assert_int_equal(of("3q2+7wABAgMEBQYHCAkKCw="), VAULT_SHAPE_TEXT);
    assert_int_equal(of("===="), VAULT_SHAPE_TEXT);
    assert_int_equal(of("correct horse battery"), VAULT_SHAPE_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
