/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What counts as text of others that may be shown, logged and put on a wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>

static const struct {
    const char *text;
    bool printable;
} texts[] = {
    {"", true},
    {"plain ~ text", true},
    {"gr\xc3\xbc\xc3\x9f", true},
    {"\xc2\xa0", true},
    {"\xe2\x82\xac", true},
    {"\xf0\x9f\x94\x91", true},
    {"tab\t", false},
    {"\x7f", false},
    {"\xc2\x80", false},
    {"\xc2\x9f", false},
    {"\xc0\x80", false},
    {"\xe0\x80\xaf", false},
    {"\xed\xa0\x80", false},
    {"\xf4\x90\x80\x80", false},
    {"\xff", false},
    {"a\xc3", false},
    {"\x80", false},
};

static void test_printable(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(texts); i++)
        if (text_printable(texts[i].text, strlen(texts[i].text)) != texts[i].printable)
            fail_msg("text %zu", i);
    assert_false(text_printable("a\0b", 3));
}

static const struct {
    const char *text, *trimmed;
} cut[] = {
    {"", ""},
    {"plain", "plain"},
    {"a\xc3", "a"},
    {"gr\xc3\xbc", "gr\xc3\xbc"},
    {"x\xe2\x82", "x"},
    {"x\xe2\x82\xac", "x\xe2\x82\xac"},
    {"x\xf0\x9f\x94", "x"},
    {"x\xf0\x9f\x94\x91", "x\xf0\x9f\x94\x91"},
};

static void test_trim(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(cut); i++) {
        char text[16];

        memcpy(text, cut[i].text, strlen(cut[i].text) + 1);
        text_trim(text);
        assert_string_equal(text, cut[i].trimmed);
    }
}

/* A text of others that does not fit, cut in the middle of a character. */
static void test_error_is_text(void **state)
{
    char many[2 * ERROR_TEXT_MAX + 1];
    struct error e;

    for (size_t i = 0; i < 2 * ERROR_TEXT_MAX; i += 2)
        memcpy(many + i, "\xc3\xbc", 3);
    for (int shift = 0; shift < 2; shift++) {
        error_set(&e, 0, "%s%s", shift ? "x" : "", many);
        assert_true(text_printable(e.text, strlen(e.text)));
        error_prefix(&e, 0, "%s", &"xy"[shift]);
        assert_true(text_printable(e.text, strlen(e.text)));
    }
}

static void test_repair(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"boiler", "boiler"},
        {"K\xc3\xbc"
         "che",
         "K\xc3\xbc"
         "che"},
        {"K\xc3", "K?"},
        {"\xff\xfe!", "?"
                      "?!"},
        {"a\xe2\x82z", "a??z"},
    };
    char text[16];

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        strcpy(text, rows[i][0]);
        text_repair(text);
        assert_string_equal(text, rows[i][1]);
    }
}

static void test_double(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},       {60.1, "60.1"},    {0.1 + 0.2, "0.30000000000000004"},
        {-2.5, "-2.5"}, {1e300, "1e+300"}, {1.0 / 3, "0.3333333333333333"},
    };
    char text[DOUBLE_TEXT_MAX];

    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        assert_string_equal(double_format(rows[i].value, text), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim),   cmocka_unit_test(test_error_is_text), cmocka_unit_test(test_printable),
        cmocka_unit_test(test_repair), cmocka_unit_test(test_double),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
