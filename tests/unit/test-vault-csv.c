/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/csv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The fields of one record, joined by '|'. */
static int take(const char *text, bool last, char joined[256], size_t *used, const char **why)
{
    static char buffer[256];
    struct csv_record record;
    int r;

    snprintf(buffer, sizeof(buffer), "%s", text);
    r = csv_read(buffer, strlen(text), last, &record, used, why);
    joined[0] = 0;
    for (size_t i = 0; r > 0 && i < record.n; i++) {
        assert_int_equal(strlen(record.fields[i]), record.lengths[i]);
        snprintf(joined + strlen(joined), 256 - strlen(joined), "%s%s", i ? "|" : "", record.fields[i]);
    }
    return r;
}

static void test_records(void **state)
{
    static const struct {
        const char *text, *joined;
        size_t used;
    } cases[] = {
        {"a,b,c\nd", "a|b|c", 6},
        {"a,b\r\nc", "a|b", 5},
        {"\n", "", 1},
        {"a,\n", "a|", 3},
        {",\n", "|", 2},
        {"\"a,b\",c\n", "a,b|c", 8},
        {"\"say \"\"x\"\"\"\n", "say \"x\"", 12},
        {"\"two\nlines\",b\n", "two\nlines|b", 14},
        {"\"\"\n", "", 3},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *why;
        char joined[256];
        size_t used;

        assert_int_equal(take(cases[i].text, false, joined, &used, &why), 1);
        assert_string_equal(joined, cases[i].joined);
        assert_int_equal(used, cases[i].used);
    }
}

static void test_the_end(void **state)
{
    const char *why;
    char joined[256];
    size_t used;

    assert_int_equal(take("a,b", false, joined, &used, &why), 0);
    assert_int_equal(take("a,\"b\n", false, joined, &used, &why), 0);
    assert_int_equal(take("a,b", true, joined, &used, &why), 1);
    assert_string_equal(joined, "a|b");
    assert_int_equal(used, 3);
}

static void test_mistakes_end_with_their_line(void **state)
{
    static const struct {
        const char *text;
        size_t used;
        const char *why;
    } cases[] = {
        {"a\"b,c\nd\n", 6, "a quote in the middle of a field"},
        {"\"a\"b,c\nd\n", 7, "text behind a closing quote"},
        {"a\rb\nd\n", 4, "a carriage return without a line end"},
        {"\"open,c\nd\n", 8, "a quote that is not closed"},
        {"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\nd\n", 34, "too many fields"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *why = "";
        char joined[256];
        size_t used = 0;

        assert_int_equal(take(cases[i].text, true, joined, &used, &why), -EBADMSG);
        assert_string_equal(why, cases[i].why);
        assert_int_equal(used, cases[i].used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_mistakes_end_with_their_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
