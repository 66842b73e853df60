/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Characters beyond ASCII, which every json-c has to read the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void test_texts(void **state)
{
    static const struct {
        const char *json, *text; /* NULL: refused */
    } rows[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\xc3\xa4\"", "\xc3\xa4"},
        {"\"a\xe2\x82\xac z\"", "a\xe2\x82\xac z"},
        {"\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80"},
        {"\"\xef\xbf\xbd\xf4\x8f\xbf\xbf\"", "\xef\xbf\xbd\xf4\x8f\xbf\xbf"},
        {"\"\\u00e4\\ud83d\\ude00\xc3\xa4\"", "\xc3\xa4\xf0\x9f\x98\x80\xc3\xa4"},
        {"\"\xc3\"", NULL},
        {"\"\xc0\xaf\"", NULL},         /* overlong */
        {"\"\xed\xa0\x80\"", NULL},     /* a surrogate */
        {"\"\xf4\x90\x80\x80\"", NULL}, /* beyond U+10FFFF */
        {"\xc3\xa4", NULL},             /* outside a text */
        {"'a'", NULL},
        {"\"a\" x", NULL},
        {"\"a", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        _cleanup_json_ json_object *o = NULL;
        struct error e = {0};
        int r = json_parse(rows[i].json, strlen(rows[i].json), &o, &e);

        if ((r == 0) != (rows[i].text != NULL))
            fail_msg("%s: %d %s", rows[i].json, r, e.text);
        if (r == 0)
            assert_string_equal(json_object_get_string(o), rows[i].text);
        else
            assert_true(e.text[0]);
    }
}

static void test_values(void **state)
{
    static const struct {
        struct sample_value value;
        const char *text;
    } rows[] = {
        {{.type = SAMPLE_BOOL, .b = true}, "true"},
        {{.type = SAMPLE_INT, .x = INT64_MIN}, "-9223372036854775808"},
        {{.type = SAMPLE_UINT, .t = UINT64_MAX}, "18446744073709551615"},
        {{.type = SAMPLE_DOUBLE, .d = 1.5}, "1.5"},
        {{.type = SAMPLE_STRING, .s = "\xc3\xa4"}, "\"\xc3\xa4\""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        _cleanup_json_ json_object *o = json_of_value(&rows[i].value);

        assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_values)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
