/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/timers.h"

#include "base/clock.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N 1000

struct owner {
    struct timer timer;
    uint64_t at;
    bool set, fired;
};

static struct owner owners[N];
static struct timers *timers;
static uint64_t last;
static size_t n_fired, again, to_stop;

/* Each comes once, when it is due, after all that were due before it. */
static void fire(struct timer *timer)
{
    struct owner *o = (struct owner *)timer;

    assert_true(o->set && !o->fired);
    assert_true(o->at <= clock_boottime());
    assert_true(o->at >= last);
    assert_true(timer_at(timers, timer) == USEC_INFINITY);
    last = o->at;
    o->fired = true;
    n_fired++;
    if (n_fired == 1 && to_stop > 0) {
        timer_stop(timers, &owners[to_stop].timer);
        owners[to_stop].set = false;
    }
    if (again > 0) {
        again--;
        o->fired = false;
        timer_set(timers, timer, o->at);
    }
}

static int setup(void **state)
{
    sd_event *event;

    memset(owners, 0, sizeof(owners));
    last = n_fired = again = to_stop = 0;
    assert_int_equal(sd_event_new(&event), 0);
    assert_int_equal(timers_new(event, 1, fire, &timers), 0);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(timers_reserve(timers), 0);
    *state = event;
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < N; i++)
        timer_stop(timers, &owners[i].timer);
    timers_free(timers);
    sd_event_unref(*state);
    return 0;
}

static void set(size_t i, uint64_t at)
{
    owners[i].at = at;
    owners[i].set = true;
    timer_set(timers, &owners[i].timer, at);
    assert_true(timer_at(timers, &owners[i].timer) == at);
}

static size_t count_set(void)
{
    size_t n = 0;

    for (size_t i = 0; i < N; i++)
        n += owners[i].set;
    return n;
}

/* Until nothing comes within a tenth of a second: how many turns of the loop it took. */
static size_t run(sd_event *event)
{
    size_t turns = 0;

    while (sd_event_run(event, 100 * USEC_PER_MSEC) > 0)
        turns++;
    return turns;
}

static void each_fires_once_in_order(void **state)
{
    uint64_t now = clock_boottime();

    srand(1);
    for (size_t i = 0; i < N; i++)
        set(i, now - 1000 + (uint64_t)rand() % 50000);
    /* Moved both ways, stopped, and set again. */
    for (size_t i = 0; i < 5 * N; i++) {
        size_t k = (size_t)rand() % N;

        if (rand() % 4 == 0) {
            timer_stop(timers, &owners[k].timer);
            assert_true(timer_at(timers, &owners[k].timer) == USEC_INFINITY);
            owners[k].set = false;
        } else {
            set(k, now - 1000 + (uint64_t)rand() % 50000);
        }
    }
    run(*state);
    assert_int_equal(n_fired, count_set());
}

static void many_at_once_share_turns_with_others(void **state)
{
    uint64_t now = clock_boottime();

    for (size_t i = 0; i < N; i++)
        set(i, now);
    assert_true(run(*state) >= N / TIMERS_PER_TURN);
    assert_int_equal(n_fired, N);
}

static void may_be_set_and_stopped_while_one_fires(void **state)
{
    uint64_t now = clock_boottime();

    for (size_t i = 0; i < 10; i++)
        set(i, now - 10 + i);
    to_stop = 5;
    again = 3;
    run(*state);
    assert_int_equal(n_fired, 9 + 3);
    assert_false(owners[5].fired);
}

static void an_earlier_one_is_not_kept_waiting(void **state)
{
    uint64_t now = clock_boottime();

    set(0, now + USEC_PER_HOUR);
    set(1, now + 1000);
    run(*state);
    assert_true(owners[1].fired && !owners[0].fired);
    /* Armed too early for what is left: it just looks again. */
    set(2, now + 2000);
    timer_stop(timers, &owners[2].timer);
    owners[2].set = false;
    run(*state);
    assert_int_equal(n_fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_fires_once_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(many_at_once_share_turns_with_others, setup, teardown),
        cmocka_unit_test_setup_teardown(may_be_set_and_stopped_while_one_fires, setup, teardown),
        cmocka_unit_test_setup_teardown(an_earlier_one_is_not_kept_waiting, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
