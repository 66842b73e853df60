/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A key that came of age and is not rotated is a promise broken in silence; one that is rotated outside the hours that
 * were asked for disturbs a plant: a fleet whose wall clock is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "fleet-bench.h"

#include "cloud-bench.h"
#include "driver-bench.h"

#define KEY "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0"
#define NOON UINT64_C(1796299200000000) /* of a day in 2026, UTC */
#define OFFERS "credentials"

static struct fleet_bench b;
static struct driver_bench driver;
static uint64_t wall;     /* what the clock shows */
static bool unset;        /* nobody has set it */
static uint64_t set_at;   /* the key, CLOCK_BOOTTIME: a key's age in one boot goes by that */
static uint64_t set_from; /* and not before */

bool wrap_synchronized(void) __asm__("__wrap_clock_synchronized");
uint64_t wrap_realtime(void) __asm__("__wrap_clock_realtime");

bool wrap_synchronized(void)
{
    return !unset;
}

uint64_t wrap_realtime(void)
{
    return wall;
}

static int setup(void **state)
{
    setenv("TZ", "UTC", 1);
    tzset();
    wall = NOON;
    unset = false;
    scratch_setup(state);
    bench_begin_fleet(&b, *state);
    cloud_begin(&b.peer);
    driver = (struct driver_bench){0};
    return 0;
}

static int teardown(void **state)
{
    driver_end(&driver);
    bench_end_fleet(&b);
    return scratch_teardown(state);
}

/* A key of pump-2, set now. */
static void key(void)
{
    struct bench_done done = {0};
    struct error e = {0};
    struct peer_key *at = &b.peer.keys[b.peer.n_keys++];

    snprintf(at->identity, sizeof(at->identity), "child-2");
    at->size = 32;
    assert_int_equal(hex_decode(KEY, strlen(KEY), at->bytes, sizeof(at->bytes)), 32);
    set_from = clock_boottime();
    if (device_set_credential(bench_find(&b, "pump-2"), VAULT_MAIN, "child-2", bench_sealed(KEY, strlen(KEY)),
                              VAULT_HEX, false, bench_done, &done, &e) < 0)
        fail_msg("%s", e.text);
    run_until(b.s->event, done.called);
    if (done.r < 0)
        fail_msg("%s", done.text);
    set_at = clock_boottime();
}

/* It has come of age, by a rule of a second, and all that follows from it had its turns. */
static void of_age(void)
{
    run_until(b.s->event, clock_boottime() > set_at + USEC_PER_SEC);
    for (int i = 0; i < 30; i++)
        assert_true(sd_event_run(b.s->event, 10 * USEC_PER_MSEC) >= 0);
}

static void rules(const char *rotation)
{
    char text[160];

    snprintf(text, sizeof(text), ",\"rotation\":{%s}", rotation);
    bench_gateway(&b, "senml", ",\"registrar\":{\"type\":\"coap\"}", text);
    assert_int_equal(bench_reload(&b), 0);
}

static void online(void)
{
    driver_begin(&driver, &b);
    run_until(b.s->event, device_state(bench_find(&b, "pump-2")) == DEVICE_ONLINE);
}

static void test_a_key_that_came_of_age_is_rotated_by_itself(void **state)
{
    rules("\"max_age\":\"1s\"");
    key();
    online();
    run_until(b.s->event, cloud.offered > 0);
    assert_true(clock_boottime() >= set_from + USEC_PER_SEC * 9 / 10); /* and not before its time */
}

/* The key was planned by the rule before: a year hence. */
static void test_a_reload_with_a_shorter_max_age_moves_a_key_that_is_planned(void **state)
{
    struct device_status before, after;

    rules("\"max_age\":\"365d\"");
    key();
    device_status(bench_find(&b, "pump-2"), &before);
    rules("\"max_age\":\"30d\"");
    device_status(bench_find(&b, "pump-2"), &after);
    assert_true(before.rotation.next > 0);
    assert_true(after.rotation.next > 0);
    assert_true(after.rotation.next + 200 * USEC_PER_DAY < before.rotation.next);
}

static void test_outside_its_window_no_rotation_begins_and_the_next_one_is_shown_in_it(void **state)
{
    struct device_status status;

    rules("\"max_age\":\"1s\",\"window\":\"02:00-04:00\"");
    key();
    online();
    of_age();
    assert_int_equal(cloud.offered, 0);
    device_status(bench_find(&b, "pump-2"), &status);
    assert_true(status.rotation.next > NOON);
    assert_true(status.rotation.next % USEC_PER_DAY >= 2 * USEC_PER_HOUR);
    assert_true(status.rotation.next % USEC_PER_DAY < 4 * USEC_PER_HOUR);
    wall += 15 * USEC_PER_HOUR; /* three at night */
    rules("\"max_age\":\"2s\",\"window\":\"02:00-04:00\"");
    run_until(b.s->event, cloud.offered > 0);
}

static void test_while_nobody_has_set_the_clock_no_window_is_open(void **state)
{
    rules("\"max_age\":\"1s\",\"window\":\"00:00-23:59\"");
    key();
    unset = true;
    online();
    of_age();
    assert_int_equal(cloud.offered, 0);
}

static void test_a_rotation_that_somebody_asks_for_waits_for_no_window(void **state)
{
    struct job *job = NULL;
    struct error e = {0};

    key();
    rules("\"window\":\"02:00-04:00\"");
    online();
    if (device_rotate(bench_find(&b, "pump-2"), false, &job, &e) < 0)
        fail_msg("%s", e.text);
    run_until(b.s->event, job->state == JOB_DONE);
}

static void test_a_young_key_is_left_alone_and_its_day_is_shown(void **state)
{
    struct device_status status;

    key();
    rules("\"max_age\":\"90d\"");
    online();
    assert_int_equal(cloud.offered, 0);
    device_status(bench_find(&b, "pump-2"), &status);
    assert_true(status.rotation.next > NOON + 79 * USEC_PER_DAY);
    assert_true(status.rotation.next < NOON + 91 * USEC_PER_DAY);
    assert_int_equal(status.keys.main_since, NOON);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_key_that_came_of_age_is_rotated_by_itself),
        WITH(test_a_reload_with_a_shorter_max_age_moves_a_key_that_is_planned),
        WITH(test_outside_its_window_no_rotation_begins_and_the_next_one_is_shown_in_it),
        WITH(test_while_nobody_has_set_the_clock_no_window_is_open),
        WITH(test_a_rotation_that_somebody_asks_for_waits_for_no_window),
        WITH(test_a_young_key_is_left_alone_and_its_day_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
