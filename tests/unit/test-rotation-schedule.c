/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fleet whose keys all rotate at once, or because a clock jumped, is a fleet that may be locked out at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "rotation/schedule.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define MAX_AGE (90 * USEC_PER_DAY)

static const struct schedule_policy policy = {.max_age = MAX_AGE, .concurrent = 2};

static struct stamp stamp(uint8_t boot, uint64_t boottime, uint64_t realtime)
{
    struct stamp s = {.boottime = boottime, .realtime = realtime};

    memset(s.boot, boot, sizeof(s.boot));
    return s;
}

static void test_due(void **state)
{
    const struct stamp since = stamp(1, USEC_PER_DAY, 1000 * USEC_PER_DAY);
    const struct {
        const char *what;
        struct stamp now;
        uint32_t spread;
        uint64_t due;
    } rows[] = {
        {"the same boot", stamp(1, 11 * USEC_PER_DAY, 0), 0, 91 * USEC_PER_DAY},
        {"spread by up to a tenth", stamp(1, 11 * USEC_PER_DAY, 0), 1u << 31, (91 * 2 - 9) * USEC_PER_DAY / 2},
        {"the same boot, and the clock set by ten years", stamp(1, 11 * USEC_PER_DAY, 4650 * USEC_PER_DAY), 0,
         91 * USEC_PER_DAY},
        {"another boot, both clocks known", stamp(2, 5 * USEC_PER_DAY, 1030 * USEC_PER_DAY), 0, 65 * USEC_PER_DAY},
        {"another boot, no clock", stamp(2, 5 * USEC_PER_DAY, 0), 0, UINT64_MAX},
        {"off for a year: spread over a tenth", stamp(2, USEC_PER_DAY, 1365 * USEC_PER_DAY), 1u << 31,
         (2 + 9) * USEC_PER_DAY / 2},
        {"a clock before the key was made", stamp(2, USEC_PER_DAY, 10 * USEC_PER_DAY), 0, UINT64_MAX},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct schedule *s;
        struct schedule_entry entry = {0};

        assert_int_equal(schedule_new(&policy, &s), 0);
        assert_int_equal(schedule_put(s, &entry, &since, &rows[i].now, rows[i].spread, false), 0);
        if (entry.due != rows[i].due)
            print_error("%s\n", rows[i].what);
        assert_int_equal(entry.due, rows[i].due);
        assert_int_equal(schedule_wake(s), rows[i].due);
        schedule_free(s);
    }
}

/* What was known stays known: only another key changes it. */
static void test_a_jump_fires_nothing(void **state)
{
    const struct stamp since = stamp(1, 0, 1000 * USEC_PER_DAY), before = stamp(2, 0, 1010 * USEC_PER_DAY),
                       after = stamp(2, USEC_PER_SEC, 9000 * USEC_PER_DAY), unknown = stamp(2, 0, 0);
    struct schedule_entry entry = {0}, late = {0};
    struct schedule *s;
    uint64_t due;

    assert_int_equal(schedule_new(&policy, &s), 0);
    schedule_put(s, &entry, &since, &before, 0, false);
    due = entry.due;
    schedule_put(s, &entry, &since, &after, 0, false);
    assert_int_equal(entry.due, due);
    assert_null(schedule_take(s, after.boottime));
    /* one that was not known becomes known when the clock is set */
    schedule_put(s, &late, &since, &unknown, 0, false);
    assert_int_equal(late.due, UINT64_MAX);
    schedule_put(s, &late, &since, &before, 0, false);
    assert_int_equal(late.due, 80 * USEC_PER_DAY);
    /* and a new key begins anew */
    schedule_put(s, &entry, &after, &after, 0, true);
    assert_int_equal(entry.due, after.boottime + MAX_AGE);
    schedule_free(s);
}

static void test_concurrent(void **state)
{
    struct schedule_entry entries[100] = {0}, *taken;
    struct schedule *s;
    uint64_t last = 0;

    assert_int_equal(schedule_new(&policy, &s), 0);
    for (size_t i = 0; i < 100; i++) {
        const struct stamp since = stamp(1, (i * 37 % 100) * USEC_PER_DAY, 0), now = stamp(1, 100 * USEC_PER_DAY, 0);

        entries[i].manual = i == 50;
        assert_int_equal(schedule_put(s, &entries[i], &since, &now, 0, false), 0);
    }
    for (size_t i = 0; i < 100; i += 7)
        schedule_drop(s, &entries[i]);
    assert_int_equal(schedule_wake(s), 100 * USEC_PER_DAY); /* those already of age, at once with spread 0 */
    for (size_t i = 0; i < 84; i++) {
        taken = schedule_take(s, 1000 * USEC_PER_DAY);
        assert_non_null(taken);
        assert_false(taken->manual);
        assert_true(taken->due >= last);
        last = taken->due;
        if (i % 2) {
            assert_null(schedule_take(s, 1000 * USEC_PER_DAY));
            assert_int_equal(schedule_wake(s), UINT64_MAX);
            schedule_finished(s);
            schedule_finished(s);
        }
    }
    assert_null(schedule_take(s, UINT64_MAX - 1));
    assert_true(entries[50].due < UINT64_MAX); /* still shown */
    schedule_free(s);
}

static void test_never(void **state)
{
    const struct schedule_policy never = {.max_age = UINT64_MAX, .concurrent = 1};
    const struct stamp since = stamp(1, 0, 1), now = stamp(1, 5000 * USEC_PER_DAY, 2), unset = {0};
    struct schedule_entry entry = {0};
    struct schedule *s;

    assert_int_equal(schedule_new(&never, &s), 0);
    schedule_put(s, &entry, &since, &now, 7, false);
    assert_int_equal(schedule_wake(s), UINT64_MAX);
    schedule_set_policy(s, &policy);
    schedule_put(s, &entry, &unset, &now, 7, true);
    assert_int_equal(schedule_wake(s), UINT64_MAX);
    schedule_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_a_jump_fires_nothing),
        cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
