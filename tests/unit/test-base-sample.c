/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What may be a value, and what would poison a payload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/sample.h"

#include <cmocka.h>
#include <math.h>
#include <string.h>

static void test_values(void **state)
{
    const struct {
        struct sample_value value;
        bool valid;
    } rows[] = {
        {{.type = SAMPLE_BOOL, .b = true}, true},
        {{.type = SAMPLE_INT, .x = INT64_MIN}, true},
        {{.type = SAMPLE_UINT, .t = UINT64_MAX}, true},
        {{.type = SAMPLE_DOUBLE, .d = -0.5}, true},
        {{.type = SAMPLE_DOUBLE, .d = NAN}, false},
        {{.type = SAMPLE_DOUBLE, .d = INFINITY}, false},
        {{.type = SAMPLE_STRING, .s = ""}, true},
        {{.type = SAMPLE_STRING, .s = "\xc2\xb0 \xe2\x82\xac \xf0\x9f\x8c\xa1"}, true},
        {{.type = SAMPLE_STRING, .s = "\xc0\x80"}, false},         /* overlong */
        {{.type = SAMPLE_STRING, .s = "\xed\xa0\x80"}, false},     /* surrogate */
        {{.type = SAMPLE_STRING, .s = "\xf4\x90\x80\x80"}, false}, /* beyond U+10FFFF */
        {{.type = SAMPLE_STRING, .s = "\xe2\x82"}, false},         /* cut short */
        {{.type = SAMPLE_STRING, .s = NULL}, false},
        {{.type = (enum sample_type)'y'}, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(sample_value_valid(&rows[i].value), rows[i].valid);
}

static void test_string_length(void **state)
{
    char text[SAMPLE_TEXT_MAX + 1];
    struct sample_value v = {.type = SAMPLE_STRING, .s = text};

    memset(text, 'a', sizeof(text));
    text[SAMPLE_TEXT_MAX - 1] = 0;
    assert_true(sample_value_valid(&v));
    text[SAMPLE_TEXT_MAX - 1] = 'a';
    text[SAMPLE_TEXT_MAX] = 0;
    assert_false(sample_value_valid(&v));
}

static void test_units(void **state)
{
    assert_true(sample_unit_valid(""));
    assert_true(sample_unit_valid("%RH"));
    assert_true(sample_unit_valid("\xc2\xb0"
                                  "C"));
    assert_false(sample_unit_valid(NULL));
    assert_false(sample_unit_valid("a\nb"));
    assert_false(sample_unit_valid("12345678901234567890123456789012"));
}

static void test_copy(void **state)
{
    char text[] = "open";
    struct sample_value v = {.type = SAMPLE_STRING, .s = text}, copy;

    assert_int_equal(sample_value_copy(&v, &copy), 0);
    text[0] = 'O';
    assert_int_equal(copy.type, SAMPLE_STRING);
    assert_string_equal(copy.s, "open");
    sample_value_done(&copy);
    sample_value_done(&copy);
    assert_int_equal(copy.type, SAMPLE_BOOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_string_length),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
