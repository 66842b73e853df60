/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A battery change does not lock a sensor out, and a recording that is played again is not accepted. */

#include "ble/counter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)
#define HOUR (3600 * SECOND)

/* So many advertisements, one a `step`, from `first` on; how many of them were accepted. */
static unsigned hear(struct counter_state *s, uint32_t first, unsigned n, uint64_t *now, uint64_t step)
{
    unsigned accepted = 0;

    for (unsigned i = 0; i < n; i++, *now += step)
        accepted += counter_check(s, first + i, 32, *now) <= COUNTER_RESTARTED;
    return accepted;
}

static void test_rising_ones_are_new_and_the_newest_again_is_a_duplicate(void **state)
{
    struct counter_state s = {0};

    (void)state;
    assert_int_equal(counter_check(&s, 500, 32, 1), COUNTER_NEW);
    assert_int_equal(counter_check(&s, 500, 32, 2), COUNTER_DUPLICATE);
    assert_int_equal(counter_check(&s, 502, 32, 3), COUNTER_NEW);
    assert_int_equal(counter_check(&s, 501, 32, 4), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 100000, 32, 5), COUNTER_NEW);
}

static void test_a_changed_battery_is_believed_at_the_third_one_after_silence(void **state)
{
    struct counter_state s = {0};
    uint64_t now = 0;

    (void)state;
    assert_int_equal(hear(&s, 90000, 10, &now, 10 * SECOND), 10);
    now += 60 * SECOND;
    assert_int_equal(counter_check(&s, 0, 32, now), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 0, 32, now + 1 * SECOND),
                     COUNTER_HELD); /* the same once more is no further one */
    assert_int_equal(counter_check(&s, 1, 32, now + 10 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 2, 32, now + 20 * SECOND), COUNTER_RESTARTED);
    assert_int_equal(counter_check(&s, 3, 32, now + 30 * SECOND), COUNTER_NEW);
}

static void test_a_changed_battery_is_believed_too_when_the_first_ones_were_not_heard(void **state)
{
    struct counter_state s = {0};
    uint64_t now = 0;

    (void)state;
    assert_int_equal(hear(&s, 90000, 10, &now, 10 * SECOND), 10);
    now += 600 * SECOND;
    assert_int_equal(counter_check(&s, 7, 32, now), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 19, 32, now + 10 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 70, 32, now + 20 * SECOND), COUNTER_RESTARTED);
}

static void test_a_battery_changed_twice_is_believed_twice(void **state)
{
    struct counter_state s = {0};
    uint64_t now = 0;

    (void)state;
    assert_int_equal(hear(&s, 1000, 10, &now, 10 * SECOND), 10);
    for (int i = 0; i < 2; i++) {
        now += 61 * SECOND;
        assert_int_equal(hear(&s, 0, 12, &now, 10 * SECOND), 10);
    }
}

static void test_a_recording_is_not_accepted_while_the_sensor_is_heard(void **state)
{
    struct counter_state s = {0};
    uint64_t now = 0;
    uint32_t live = 1000;

    (void)state;
    assert_int_equal(hear(&s, 0, 1000, &now, 30 * SECOND), 1000);
    for (uint32_t i = 0; i < 1000; i++, now += 10 * SECOND) {
        assert_int_equal(counter_check(&s, i, 32, now), COUNTER_HELD);
        if (i % 3 == 0)
            assert_int_equal(counter_check(&s, live++, 32, now + SECOND), COUNTER_NEW);
    }
}

static void test_a_recording_is_not_accepted_when_the_sensor_is_gone(void **state)
{
    static const uint64_t steps[] = {1000, SECOND, 10 * SECOND, 59 * SECOND};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct counter_state s = {0};
        uint64_t now = 0;
        assert_int_equal(hear(&s, 0, 1000, &now, steps[i]), 1000);
        /* from the first on, at once; */
        assert_int_equal(hear(&s, 0, 1000, &now, steps[i]), 0);
        /* and from the middle on, after a night. */
        now += 10 * HOUR;
        assert_int_equal(hear(&s, 500, 500, &now, steps[i]), 0);
    }
}

static void test_recorded_presses_of_a_button_open_nothing_a_week_later(void **state)
{
    struct counter_state s = {0};
    uint64_t now = 0;

    (void)state;
    assert_int_equal(hear(&s, 300, 50, &now, 10 * HOUR), 50);
    now += 168 * HOUR;
    assert_int_equal(hear(&s, 340, 9, &now, 2 * SECOND), 0);
}

static void test_a_lower_one_waits_for_others_that_rise_from_it(void **state)
{
    struct counter_state s = {0};

    (void)state;
    assert_int_equal(counter_check(&s, 5000, 32, 0), COUNTER_NEW);
    assert_int_equal(counter_check(&s, 30, 32, 100 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 20, 32, 101 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 10, 32, 102 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 9, 32, 103 * SECOND), COUNTER_HELD);
}

static void test_the_sensor_itself_ends_what_was_held(void **state)
{
    struct counter_state s = {0};

    (void)state;
    assert_int_equal(counter_check(&s, 5000, 32, 0), COUNTER_NEW);
    assert_int_equal(counter_check(&s, 0, 32, 100 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 1, 32, 101 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 5001, 32, 102 * SECOND), COUNTER_NEW);
    assert_int_equal(counter_check(&s, 2, 32, 103 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 3, 32, 104 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 4, 32, 105 * SECOND), COUNTER_HELD);
}

static void test_without_silence_a_restarted_sensor_is_believed_after_a_day(void **state)
{
    struct counter_state s = {0};
    uint64_t now = 0;

    (void)state;
    assert_int_equal(hear(&s, 90000, 10, &now, 10 * SECOND), 10);
    assert_int_equal(hear(&s, 5000, 24 * 60, &now, 59 * SECOND), 0);
    assert_int_equal(counter_check(&s, 9000, 32, now + HOUR), COUNTER_RESTARTED);
}

static void test_past_the_highest_it_goes_on_at_zero(void **state)
{
    struct counter_state s = {0};

    (void)state;
    assert_int_equal(counter_check(&s, UINT32_MAX, 32, 0), COUNTER_NEW);
    assert_int_equal(counter_check(&s, 0, 32, 1), COUNTER_NEW);
    assert_int_equal(counter_check(&s, UINT32_MAX, 32, 2), COUNTER_HELD);
    assert_int_equal(counter_check(&s, 1, 32, 3), COUNTER_NEW);
}

static void test_far_below_the_highest_zero_is_a_restart(void **state)
{
    struct counter_state s = {0};

    (void)state;
    assert_int_equal(counter_check(&s, UINT32_MAX - 100000, 32, 0), COUNTER_NEW);
    assert_int_equal(counter_check(&s, 0, 32, 1), COUNTER_HELD);
}

static void test_eight_bits_go_round(void **state)
{
    struct counter_state s = {0};
    uint64_t now = 0;

    (void)state;
    for (unsigned i = 0; i < 1000; i++, now += 10 * SECOND)
        assert_int_equal(counter_check(&s, i & 0xff, 8, now), COUNTER_NEW);
    assert_int_equal(counter_check(&s, (1000 - 5) & 0xff, 8, now), COUNTER_HELD);
}

static void test_a_reset_takes_whatever_comes(void **state)
{
    struct counter_state s = {0};

    (void)state;
    assert_int_equal(counter_check(&s, 5000, 32, 0), COUNTER_NEW);
    counter_reset(&s);
    assert_int_equal(counter_check(&s, 300, 32, 1), COUNTER_NEW);
    assert_int_equal(counter_check(&s, 299, 32, 2), COUNTER_HELD);
}

static void test_a_restart_of_the_gateway_lets_no_recording_in(void **state)
{
    struct counter_state s = {0}, again = {0};
    uint8_t bytes[COUNTER_SAVED_MAX];

    (void)state;
    assert_int_equal(counter_save(&s, bytes), 0);
    assert_int_equal(counter_check(&s, 0x12345678, 32, 0), COUNTER_NEW);
    size_t n = counter_save(&s, bytes);
    assert_true(n > 0 && n <= COUNTER_SAVED_MAX);
    /* The clock began again, too. */
    assert_int_equal(counter_restore(&again, bytes, n, 5 * SECOND), 0);
    assert_int_equal(counter_check(&again, 0x12345678, 32, 6 * SECOND), COUNTER_DUPLICATE);
    assert_int_equal(counter_check(&again, 0, 32, 7 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&again, 1, 32, 8 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&again, 2, 32, 9 * SECOND), COUNTER_HELD);
    assert_int_equal(counter_check(&again, 0x12345679, 32, 10 * SECOND), COUNTER_NEW);
    for (size_t i = 1; i < n; i++)
        assert_int_equal(counter_restore(&again, bytes, i, 0), -EINVAL);
    bytes[0] ^= 0xff;
    assert_int_equal(counter_restore(&again, bytes, n, 0), -EINVAL);
    assert_int_equal(again.last, 0x12345679);
    assert_int_equal(counter_restore(&again, NULL, 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rising_ones_are_new_and_the_newest_again_is_a_duplicate),
        cmocka_unit_test(test_a_changed_battery_is_believed_at_the_third_one_after_silence),
        cmocka_unit_test(test_a_changed_battery_is_believed_too_when_the_first_ones_were_not_heard),
        cmocka_unit_test(test_a_battery_changed_twice_is_believed_twice),
        cmocka_unit_test(test_a_recording_is_not_accepted_while_the_sensor_is_heard),
        cmocka_unit_test(test_a_recording_is_not_accepted_when_the_sensor_is_gone),
        cmocka_unit_test(test_recorded_presses_of_a_button_open_nothing_a_week_later),
        cmocka_unit_test(test_a_lower_one_waits_for_others_that_rise_from_it),
        cmocka_unit_test(test_the_sensor_itself_ends_what_was_held),
        cmocka_unit_test(test_without_silence_a_restarted_sensor_is_believed_after_a_day),
        cmocka_unit_test(test_past_the_highest_it_goes_on_at_zero),
        cmocka_unit_test(test_far_below_the_highest_zero_is_a_restart),
        cmocka_unit_test(test_eight_bits_go_round),
        cmocka_unit_test(test_a_reset_takes_whatever_comes),
        cmocka_unit_test(test_a_restart_of_the_gateway_lets_no_recording_in),
    };

    return cmocka_run_group_tests_name("ble-counter", tests, NULL, NULL);
}
