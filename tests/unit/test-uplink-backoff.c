/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/backoff.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_spans(void **state)
{
    static const struct {
        unsigned failures;
        uint64_t max, longest;
    } cases[] = {
        {1, BACKOFF_MAX, 2 * USEC_PER_SEC},           {2, BACKOFF_MAX, 4 * USEC_PER_SEC},
        {4, BACKOFF_MAX, 16 * USEC_PER_SEC},          {5, BACKOFF_MAX, BACKOFF_MAX},
        {4000000000, BACKOFF_MAX, BACKOFF_MAX},       {1, BACKOFF_REFUSED_MAX, 2 * USEC_PER_SEC},
        {9, BACKOFF_REFUSED_MAX, 512 * USEC_PER_SEC}, {30, BACKOFF_REFUSED_MAX, BACKOFF_REFUSED_MAX},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        uint64_t span = cases[i].longest - BACKOFF_MIN;

        assert_int_equal(backoff_delay(cases[i].failures, cases[i].max, 0), BACKOFF_MIN);
        assert_int_equal(backoff_delay(cases[i].failures, cases[i].max, span), cases[i].longest);
        assert_int_equal(backoff_delay(cases[i].failures, cases[i].max, span + 1), BACKOFF_MIN);
    }
}

static void test_counts_and_resets(void **state)
{
    struct backoff b = {0};
    uint64_t longest = 0;

    for (int i = 0; i < 2000; i++) {
        uint64_t delay = backoff_failed(&b, false);

        assert_in_range(delay, BACKOFF_MIN, BACKOFF_MAX);
        longest = MAX_OF(longest, delay);
    }
    /* Two thousand draws without one near the end would mean that the span does not grow. */
    assert_true(longest > BACKOFF_MAX * 9 / 10);
    backoff_reset(&b);
    assert_in_range(backoff_failed(&b, true), BACKOFF_MIN, 2 * BACKOFF_MIN);
}

static void test_spread(void **state)
{
    assert_int_equal(backoff_spread(0), 0);
    for (int i = 0; i < 1000; i++)
        assert_in_range(backoff_spread(10), 0, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_counts_and_resets),
        cmocka_unit_test(test_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
