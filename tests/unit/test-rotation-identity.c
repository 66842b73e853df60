/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "rotation/identity.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void test_tells(void **state)
{
    assert_true(identity_template_tells("x-{device}-{n}"));
    assert_false(identity_template_tells("{opaque}-{n}"));
}

static void test_make(void **state)
{
    char identity[IDENTITY_MAX + 1] = "as it was", long_device[IDENTITY_MAX + 1];

    assert_int_equal(identity_make("a/{device}-{opaque}-{n}", "abcdefghij", "boiler-1", 17, identity), 0);
    assert_string_equal(identity, "a/boiler-1-abcdefghij-17");
    assert_int_equal(identity_make("{n}", "", "", UINT64_MAX, identity), 0);
    assert_string_equal(identity, "18446744073709551615");
    memset(long_device, 'd', sizeof(long_device));
    long_device[IDENTITY_MAX] = 0;
    assert_int_equal(identity_make("{device}", "", long_device, 1, identity), 0);
    assert_int_equal(strlen(identity), IDENTITY_MAX);
    assert_int_equal(identity_make("{device}x", "", long_device, 1, identity), -E2BIG);
    assert_int_equal(identity_make("{oops}", "", "d", 1, identity), -EINVAL);
    assert_int_equal(identity_make("", "", "d", 1, identity), -EINVAL);
    assert_int_equal(strlen(identity), IDENTITY_MAX); /* untouched by failures */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tells), cmocka_unit_test(test_make)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
