/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of device states, which agent and client share: one that either did not know would be lost in its tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/device-state.h"

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void test_each_state_has_a_name_of_its_own(void **state)
{
    for (int i = 0; i < DEVICE_STATES; i++) {
        const char *name = device_state_name((enum device_state)i);

        assert_string_not_equal(name, "unknown");
        assert_int_equal(device_state_from_name(name), i);
    }
    assert_string_equal(device_state_name((enum device_state)DEVICE_STATES), "unknown");
}

static void test_other_words_are_no_state(void **state)
{
    static const char *const others[] = {"", "unknown", "Online", "online ", "on", "bad-setting", "degraded"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(device_state_from_name(others[i]), -EINVAL);
}

static void test_all_of_them_may_be_asked_for(void **state)
{
    char expected[512] = "";

    for (int i = 0; i < DEVICE_STATES; i++) {
        size_t n = strlen(expected);

        snprintf(expected + n, sizeof(expected) - n, "%s|", device_state_name((enum device_state)i));
    }
    assert_string_equal(DEVICE_STATE_CHOICES, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_state_has_a_name_of_its_own),
        cmocka_unit_test(test_other_words_are_no_state),
        cmocka_unit_test(test_all_of_them_may_be_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
