/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/arm.h"

#include "base/clock.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct scene {
    sd_event *event;
    sd_event_source *timer;
    unsigned fired, others;
};

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct scene *s = userdata;

    s->fired++;
    return 0;
}

static int on_other(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct scene *s = userdata;

    s->others++;
    return 0;
}

static int setup(void **state)
{
    static struct scene s;

    s = (struct scene){0};
    *state = &s;
    return sd_event_new(&s.event);
}

static int teardown(void **state)
{
    struct scene *s = *state;

    sd_event_source_disable_unref(s->timer);
    sd_event_unref(s->event);
    return 0;
}

/* All that is due now. */
static void run_due(struct scene *s)
{
    while (sd_event_run(s->event, 0) > 0)
        ;
}

static void test_a_timer_is_made_when_it_is_first_armed_and_fires_once(void **state)
{
    struct scene *s = *state;

    assert_int_equal(timer_armed(NULL), USEC_INFINITY);
    assert_int_equal(timer_arm(s->event, &s->timer, clock_boottime(), 1, on_time, s), 0);
    assert_non_null(s->timer);
    run_due(s);
    run_due(s);
    assert_int_equal(s->fired, 1);
    assert_int_equal(timer_armed(s->timer), USEC_INFINITY);
}

static void test_arming_again_moves_the_same_timer(void **state)
{
    struct scene *s = *state;
    sd_event_source *first;
    uint64_t later = clock_boottime() + 3600 * USEC_PER_SEC, accuracy;

    assert_int_equal(timer_arm(s->event, &s->timer, clock_boottime(), USEC_PER_SEC, on_time, s), 0);
    first = s->timer;
    assert_int_equal(timer_arm(s->event, &s->timer, later, 5, on_time, s), 0);
    assert_ptr_equal(s->timer, first);
    assert_int_equal(timer_armed(s->timer), later);
    assert_true(sd_event_source_get_time_accuracy(s->timer, &accuracy) >= 0);
    assert_int_equal(accuracy, 5);
    run_due(s);
    assert_int_equal(s->fired, 0);
    timer_rearm(s->timer, clock_boottime());
    run_due(s);
    assert_int_equal(s->fired, 1);
}

static void test_a_timer_that_has_fired_can_be_armed_again(void **state)
{
    struct scene *s = *state;

    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(timer_arm(s->event, &s->timer, clock_boottime(), 1, on_time, s), 0);
        run_due(s);
        assert_int_equal(s->fired, i);
    }
}

/* One that is made for later must not fire by itself, nor at infinity. */
static void test_one_that_is_made_or_disarmed_does_not_fire(void **state)
{
    struct scene *s = *state;
    sd_event_source *other = NULL;

    assert_int_equal(timer_make(s->event, &s->timer, 1, on_time, s), 0);
    assert_int_equal(timer_armed(s->timer), USEC_INFINITY);
    assert_int_equal(timer_arm(s->event, &other, clock_boottime(), 1, on_other, s), 0);
    run_due(s);
    assert_int_equal(s->fired, 0);
    assert_int_equal(s->others, 1);
    timer_rearm(s->timer, clock_boottime());
    timer_rearm(s->timer, USEC_INFINITY);
    run_due(s);
    assert_int_equal(s->fired, 0);
    sd_event_source_disable_unref(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_timer_is_made_when_it_is_first_armed_and_fires_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arming_again_moves_the_same_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_timer_that_has_fired_can_be_armed_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_is_made_or_disarmed_does_not_fire, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
