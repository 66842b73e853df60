/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "table.h"

#include <locale.h>
#include <string.h>

static const struct table_column columns[] = {
    {.heading = "DEVICE", .whole = true},
    {.heading = "STATE", .marks = true},
    {.heading = "N", .right = true},
    {.heading = "REASON"},
};

static struct table *example(void)
{
    struct table *t = table_new(columns, ELEMENTSOF(columns));

    table_cell(t, STYLE_PLAIN, "a");
    table_cell(t, STYLE_GOOD, "online");
    table_cell(t, STYLE_PLAIN, "7");
    table_cell(t, STYLE_PLAIN, NULL);
    table_cell(t, STYLE_PLAIN, "a-longer-id");
    table_cell(t, STYLE_BAD, "refused");
    table_printf(t, STYLE_PLAIN, "%d", 12345);
    table_cell(t, STYLE_PLAIN, "the cloud does not know the identity");
    return t;
}

static char *printed(struct table *t, const struct terminal *terminal, bool heading)
{
    char text[4096] = "";
    FILE *f = fmemopen(text, sizeof(text), "w");

    assert_int_equal(table_print(t, terminal, heading, f), 0);
    fclose(f);
    table_free(t);
    return strdup(text);
}

static void test_as_wide_as_its_content(void **state)
{
    const struct terminal pipe = {0};
    _cleanup_free_ char *with = printed(example(), &pipe, true), *without = printed(example(), &pipe, false);

    assert_string_equal(with, "DEVICE       STATE        N  REASON\n"
                              "a            online       7\n"
                              "a-longer-id  refused  12345  the cloud does not know the identity\n");
    assert_string_equal(without, strchr(with, '\n') + 1);
}

static void test_on_a_terminal(void **state)
{
    const struct terminal t = {.width = 80, .colour = true, .symbols = true};
    _cleanup_free_ char *text = printed(example(), &t, true);

    assert_string_equal(
        text, "\033[4mDEVICE\033[0m       \033[4m  STATE\033[0m        \033[4mN\033[0m  \033[4mREASON\033[0m\n"
              "a            \033[32m● online\033[0m       7\n"
              "a-longer-id  \033[1;31m✗ refused\033[0m  12345  the cloud does not know the identity\n");
}

/* No line is longer than the terminal is wide, however narrow that is; ids stay whole as long as anything does. */
static void test_fits(void **state)
{
    for (size_t width = 20; width < 80; width++) {
        const struct terminal t = {.width = width};
        _cleanup_free_ char *text = printed(example(), &t, true);
        size_t lines = 0;

        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++)
            if (text_width(line) > width)
                fail_msg("%zu columns: %s", width, line);
        assert_int_equal(lines, 3);
    }
    for (size_t width = 40; width < 80; width++) {
        const struct terminal t = {.width = width};
        _cleanup_free_ char *text = printed(example(), &t, true);

        assert_non_null(strstr(text, "a-longer-id"));
        assert_non_null(strstr(text, "refused"));
        assert_non_null(strstr(text, "12345"));
    }
}

static void test_empty_columns_are_left_out(void **state)
{
    const struct terminal pipe = {0};
    struct table *t = table_new(columns, ELEMENTSOF(columns));
    _cleanup_free_ char *text = NULL, *empty = NULL;

    table_cell(t, STYLE_PLAIN, "a");
    table_cell(t, STYLE_PLAIN, "");
    table_cell(t, STYLE_PLAIN, "");
    table_cell(t, STYLE_PLAIN, "why");
    text = printed(t, &pipe, true);
    assert_string_equal(text, "DEVICE  REASON\na       why\n");
    empty = printed(table_new(columns, ELEMENTSOF(columns)), &pipe, true);
    assert_string_equal(empty, "DEVICE  STATE  N  REASON\n");
}

/* What drivers and clouds say is shown, and moves nothing on the screen. */
static void test_foreign_text(void **state)
{
    const struct terminal pipe = {0};
    struct table *t = table_new(columns, 1);
    _cleanup_free_ char *text = NULL;

    table_cell(t, STYLE_PLAIN, "a\033[2J\nb\xc2\x9b\x33\xff");
    text = printed(t, &pipe, false);
    assert_string_equal(text, "a?[2J?b??3?\n");
}

static void test_widths(void **state)
{
    static const struct {
        const char *text;
        size_t width;
    } rows[] = {{"", 0}, {"abc", 3}, {"gr\xc3\xbc\xc3\x9f", 4}, {"\xe2\x82\xac", 1}, {"\xff", 1}, {"a\xc3", 2}};
    char *cut;

    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        assert_int_equal(text_width(rows[i].text), rows[i].width);
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return;
    assert_int_equal(text_width("\xe6\xb8\xa9\xe5\xba\xa6"), 4); /* two wide characters */
    assert_int_equal(text_width("e\xcc\x81"), 1);                /* one that combines */
    cut = text_cut("\xe6\xb8\xa9\xe5\xba\xa6", 3, true);
    assert_string_equal(cut, "\xe6\xb8\xa9…");
    free(cut);
    cut = text_cut("\xe6\xb8\xa9\xe5\xba\xa6", 2, true);
    assert_string_equal(cut, "…");
    free(cut);
    cut = text_cut("abcdef", 5, false);
    assert_string_equal(cut, "ab...");
    free(cut);
    cut = text_cut("abcdef", 2, false);
    assert_string_equal(cut, "..");
    free(cut);
    setlocale(LC_CTYPE, "C");
}

static char *field(size_t width, const char *label, const char *value)
{
    const struct terminal t = {.width = width};
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    print_field(&t, f, label, STYLE_PLAIN, "%s", value);
    fclose(f);
    return text;
}

static void test_fields(void **state)
{
    _cleanup_free_ char *plain = field(0, "last error", "the cloud does not know the identity of this device");
    _cleanup_free_ char *wrapped = field(40, "last error", "the cloud does not know the identity");
    _cleanup_free_ char *more = field(40, "", "x"), *empty = field(40, "a", "");
    _cleanup_free_ char *word = field(30, "a", "abcdefghijklmnopqrs t");

    assert_string_equal(plain, "      last error: the cloud does not know the identity of this device\n");
    assert_string_equal(wrapped, "      last error: the cloud does not\n"
                                 "                  know the identity\n");
    assert_string_equal(more, "                  x\n");
    assert_string_equal(empty, "               a: \n");
    assert_string_equal(word, "               a: abcdefghijklmnopqrs\n"
                              "                  t\n");
}

static char *wrapped(size_t width, const char *text)
{
    struct terminal terminal = {.width = width};
    char found[1024] = "";
    FILE *f = fmemopen(found, sizeof(found), "w");

    assert_non_null(f);
    print_wrapped(&terminal, f, 4, text);
    fclose(f);
    return strdup(found);
}

static void test_wrapped(void **state)
{
    static const struct {
        size_t width;
        const char *text, *expected;
    } cases[] = {
        {0, "one two three four five six", "one two three four five six\n"},         {0, "one\ntwo", "one\n    two\n"},
        {24, "one two three four five six", "one two three four\n    five six\n"},   {24, "one\ntwo", "one two\n"},
        {24, "abcdefghijklmnopqrstuvwxyz a", "abcdefghijklmnopqrstuvwxyz\n    a\n"}, {24, "", "\n"},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_free_ char *found = wrapped(cases[i].width, cases[i].text);

        assert_string_equal(found, cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_wide_as_its_content),
        cmocka_unit_test(test_on_a_terminal),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_empty_columns_are_left_out),
        cmocka_unit_test(test_foreign_text),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_wrapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
