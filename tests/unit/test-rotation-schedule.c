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
        assert_int_equal(schedule_wake(s, 0), rows[i].due);
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

/* Both ways, and to never and back: a key that is on the calendar follows the policy, not only one that comes to it. */
static void test_another_max_age_moves_what_is_planned(void **state)
{
    const struct stamp since = stamp(1, USEC_PER_DAY, 0), now = stamp(1, 10 * USEC_PER_DAY, 0);
    const struct {
        uint64_t max_age, due;
    } rows[] = {
        {MAX_AGE, MAX_AGE + USEC_PER_DAY},      {30 * USEC_PER_DAY, 31 * USEC_PER_DAY},
        {60 * USEC_PER_DAY, 61 * USEC_PER_DAY}, {UINT64_MAX, UINT64_MAX},
        {MAX_AGE, MAX_AGE + USEC_PER_DAY},
    };
    struct schedule_entry entry = {0};
    struct schedule *s;

    assert_int_equal(schedule_new(&policy, &s), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct schedule_policy other = policy;

        other.max_age = rows[i].max_age;
        schedule_set_policy(s, &other);
        schedule_put(s, &entry, &since, &now, 0, false);
        assert_int_equal(entry.due, rows[i].due);
        assert_int_equal(schedule_wake(s, 0), rows[i].due);
    }
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
    assert_int_equal(schedule_wake(s, 0), 100 * USEC_PER_DAY); /* those already of age, at once with spread 0 */
    for (size_t i = 0; i < 84; i++) {
        taken = schedule_take(s, 1000 * USEC_PER_DAY);
        assert_non_null(taken);
        assert_false(taken->manual);
        assert_true(taken->due >= last);
        last = taken->due;
        if (i % 2) {
            assert_null(schedule_take(s, 1000 * USEC_PER_DAY));
            assert_int_equal(schedule_wake(s, 0), UINT64_MAX);
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
    assert_int_equal(schedule_wake(s, 0), UINT64_MAX);
    schedule_set_policy(s, &policy);
    schedule_put(s, &entry, &unset, &now, 7, true);
    assert_int_equal(schedule_wake(s, 0), UINT64_MAX);
    schedule_free(s);
}

/* No battery-backed clock: each boot begins in 1970, and only later does a time server say what day it is. */
static void test_boot_in_1970(void **state)
{
    const uint64_t made = 20000 * USEC_PER_DAY;
    const struct {
        const char *what;
        struct stamp since, synchronised;
        uint64_t due; /* as it is once the clock is set, a minute after the boot */
    } rows[] = {
        {"ten days off", stamp(1, USEC_PER_DAY, made), stamp(2, USEC_PER_MINUTE, made + 10 * USEC_PER_DAY),
         80 * USEC_PER_DAY - MAX_AGE / 20 + USEC_PER_MINUTE},
        {"off for longer than a key may live: within the next tenth, not at once", stamp(1, USEC_PER_DAY, made),
         stamp(2, USEC_PER_MINUTE, made + 200 * USEC_PER_DAY), USEC_PER_MINUTE + MAX_AGE / 20},
        {"made in a boot that never knew the time", stamp(1, USEC_PER_DAY, 0),
         stamp(2, USEC_PER_MINUTE, made + 200 * USEC_PER_DAY), UINT64_MAX},
        {"made in this boot, before the clock was set", stamp(2, USEC_PER_SEC, 0),
         stamp(2, USEC_PER_MINUTE, made + 200 * USEC_PER_DAY), USEC_PER_SEC + MAX_AGE - MAX_AGE / 20},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct stamp booted = stamp(2, 2 * USEC_PER_SEC, 0);
        struct schedule_entry entry = {0};
        struct schedule *s;

        assert_int_equal(schedule_new(&policy, &s), 0);
        schedule_put(s, &entry, &rows[i].since, &booted, 1u << 31, true);
        /* Nothing is due for want of a clock, nor at the moment when it jumps by fifty years. */
        assert_null(schedule_take(s, rows[i].synchronised.boottime));
        schedule_put(s, &entry, &rows[i].since, &rows[i].synchronised, 1u << 31, false);
        assert_null(schedule_take(s, rows[i].synchronised.boottime));
        if (rows[i].due != UINT64_MAX && entry.due / USEC_PER_MINUTE != rows[i].due / USEC_PER_MINUTE)
            print_error("%s\n", rows[i].what);
        assert_int_equal(entry.due / USEC_PER_MINUTE, rows[i].due / USEC_PER_MINUTE);
        schedule_free(s);
    }
}

/* What came of age in a long power-off. */
static void test_spread_after_power_off(void **state)
{
    const struct stamp since = stamp(1, 0, 1000 * USEC_PER_DAY), now = stamp(2, 0, 1365 * USEC_PER_DAY);
    unsigned tenths[10] = {0};
    uint64_t at_first = 0, moved = 0;

    for (uint32_t seed = 1; seed <= 2; seed++) {
        const struct schedule_policy p = {.max_age = MAX_AGE, .concurrent = 1, .seed = seed * 0x9e3779b9U};
        struct schedule *s;

        assert_int_equal(schedule_new(&p, &s), 0);
        for (uint32_t i = 0; i < 10000; i++) {
            struct schedule_entry entry = {0};

            schedule_put(s, &entry, &since, &now, i * 2654435761U, true);
            assert_true(entry.due < MAX_AGE / 10);
            tenths[entry.due * 100 / MAX_AGE]++;
            if (i == 7 && seed == 1)
                at_first = entry.due;
            else if (i == 7)
                moved = entry.due;
            schedule_drop(s, &entry);
        }
        schedule_free(s);
    }
    for (size_t i = 0; i < 10; i++)
        assert_in_range(tenths[i], 1700, 2300);
    /* Who has bad luck at one start has other luck at the next: nobody waits for ever. */
    assert_int_not_equal(at_first, moved);
}

static void test_rate(void **state)
{
    const struct schedule_policy p = {.max_age = MAX_AGE, .concurrent = 1000, .rate = 20};
    const struct stamp since = stamp(1, 1, 0), now = stamp(1, 100 * USEC_PER_DAY, 0);
    struct schedule_entry entries[100] = {0};
    uint64_t t = now.boottime + USEC_PER_DAY;
    struct schedule *s;
    size_t begun = 0;

    assert_int_equal(schedule_new(&p, &s), 0);
    for (size_t i = 0; i < 100; i++)
        schedule_put(s, &entries[i], &since, &now, 0, true);
    while (begun < 100) {
        size_t burst = 0;

        /* By age and otherwise: the same bound. */
        while (begun % 2 ? schedule_begin(s, t, false) : schedule_take(s, t) != NULL) {
            begun++;
            burst++;
        }
        assert_true(burst <= 2);
        assert_int_equal(schedule_room(s, t), schedule_wake(s, t));
        t = schedule_wake(s, t);
    }
    assert_in_range(t - now.boottime - USEC_PER_DAY, 4900 * USEC_PER_MSEC, 5100 * USEC_PER_MSEC);
    schedule_free(s);
}

static void test_room(void **state)
{
    struct schedule *s;

    assert_int_equal(schedule_new(&policy, &s), 0);
    assert_true(schedule_begin(s, 0, true));
    assert_true(schedule_begin(s, 0, false));
    assert_false(schedule_begin(s, 0, false));
    assert_int_equal(schedule_room(s, 5), UINT64_MAX);
    assert_true(schedule_begin(s, 0, true)); /* what runs counts, whatever the bound */
    schedule_finished(s);
    assert_int_equal(schedule_room(s, 5), UINT64_MAX);
    schedule_finished(s);
    assert_int_equal(schedule_room(s, 5), 5);
    schedule_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_a_jump_fires_nothing),
        cmocka_unit_test(test_another_max_age_moves_what_is_planned),
        cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_boot_in_1970),
        cmocka_unit_test(test_spread_after_power_off),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
