/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"

#include <cmocka.h>

#define YEAR_2000 (UINT64_C(946684800) * USEC_PER_SEC)
#define BUILT SERVER_TIME_MIN
#define NEWEST (BUILT + 100 * USEC_PER_DAY)

static void test_judged(void **state)
{
    static const struct {
        struct clock_evidence evidence;
        enum clock_verdict verdict;
    } rows[] = {
        {{.now = NEWEST + 1}, CLOCK_UNSET},
        {{.now = YEAR_2000}, CLOCK_UNSET},
        {{.boot = true, .now = YEAR_2000}, CLOCK_BEFORE_BUILT},
        {{.trusted = true, .now = YEAR_2000}, CLOCK_BEFORE_BUILT},
        {{.network = true, .now = YEAR_2000}, CLOCK_RIGHT},
        {{.boot = true, .now = BUILT}, CLOCK_BEFORE_NEWEST},
        {{.boot = true, .now = NEWEST - 1}, CLOCK_BEFORE_NEWEST},
        {{.boot = true, .now = NEWEST}, CLOCK_RIGHT},
        {{.trusted = true, .now = BUILT}, CLOCK_RIGHT},
        {{.boot = true, .trusted = true, .now = BUILT}, CLOCK_RIGHT},
        {{.trusted = true, .now = NEWEST}, CLOCK_RIGHT},
        {{.network = true, .now = BUILT}, CLOCK_RIGHT}, /* what was written down was wrong */
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct clock_evidence evidence = rows[i].evidence;

        evidence.built = BUILT;
        evidence.newest = NEWEST;
        assert_int_equal(clock_judge(&evidence), rows[i].verdict);
    }
}

/* The floor only rises, and never beyond what can be. */
static void test_never_before(void **state)
{
    clock_never_before(NEWEST);
    clock_never_before(BUILT);
    assert_int_equal(clock_newest(), NEWEST);
    clock_never_before(SERVER_TIME_MAX + 1);
    assert_int_equal(clock_newest(), NEWEST);
    assert_true(clock_built() >= SERVER_TIME_MIN && clock_built() <= clock_realtime());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judged),
        cmocka_unit_test(test_never_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
