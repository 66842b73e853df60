/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a cloud says of a key never shows the key. */
#include "outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KEY "00ff8899aabbccdd1122334455667788"

static const char *hidden(struct outcome *o, const char *reason)
{
    outcome_retry(o, true, 0, "%s", reason);
    outcome_hide(o, KEY);
    return o->answer.reason;
}

static void test_a_quoted_key_is_hidden(void **state)
{
    struct outcome o;

    assert_string_equal(hidden(&o, "the cloud answered 500: cannot store \"" KEY "\" now"),
                        "the cloud answered 500: cannot store \"********************************\" now");
    assert_string_equal(hidden(&o, KEY), "********************************");
}

static void test_a_part_of_it_too(void **state)
{
    struct outcome o;

    assert_string_equal(hidden(&o, "begins with 00ff8899aabb"), "begins with ************");
    assert_string_equal(hidden(&o, "ends with 55667788, begins with 00ff8899"),
                        "ends with ********, begins with ********");
}

static void test_other_words_stay(void **state)
{
    struct outcome o;

    assert_string_equal(hidden(&o, "the identity exists"), "the identity exists");
    assert_string_equal(hidden(&o, ""), "");
    assert_string_equal(hidden(&o, "00ff889"), "00ff889");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_quoted_key_is_hidden),
        cmocka_unit_test(test_a_part_of_it_too),
        cmocka_unit_test(test_other_words_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
