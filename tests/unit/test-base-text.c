/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What counts as text of others that may be shown, logged and put on a wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
