/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who cuts the power after "quiesced" has lost nothing: what was open is durable when the job is done, no rotation
 * begins meanwhile, and all goes on afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "device/quiesce.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "fleet-bench.h"

#include "cloud-bench.h"
#include "driver-bench.h"
#include "set-clock.h"

static struct fleet_bench b;
static struct driver_bench driver;

static int setup(void **state)
{
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

static struct job *quiesce(uint64_t duration)
{
    struct job *job = NULL;
    struct error e = {0};

    if (fleet_quiesce(b.fleet, duration, &job, &e) < 0)
        fail_msg("%s", e.text);
    return job;
}

static void quiesced(void)
{
    struct job *job = quiesce(USEC_PER_HOUR);

    run_until(b.s->event, job->state != JOB_RUNNING);
    assert_int_equal(job->state, JOB_DONE);
    assert_int_equal(job->done, 1);
}

static uint64_t spooled(void)
{
    struct fleet_totals totals;

    fleet_totals(b.fleet, &totals);
    return totals.spooled;
}

static void push(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        driver_push(&driver, "pump-2", "y", i);
    run_until(b.s->event, link_client_pending(driver.client) == 0);
}

/* The agent ends without a word, as when the power goes. */
static void power_cut(void)
{
    b.fleet = fleet_free(b.fleet);
    scratch_reopen(b.s);
    bench_fleet(&b);
}

static void test_samples_taken_while_quiesced_are_there_after_the_power_was_cut(void **state)
{
    driver_begin(&driver, &b);
    push(3);
    quiesced();
    push(2);
    driver_end(&driver);
    power_cut();
    run_until(b.s->event, spooled() == 5);
}

static void test_no_rotation_begins_until_it_is_over(void **state)
{
    struct job *rotation = NULL;
    struct error e = {0};

    driver_begin(&driver, &b);
    run_until(b.s->event, device_state(bench_find(&b, "boiler-1")) == DEVICE_ONLINE);
    quiesced();
    if (fleet_rotate_all(b.fleet, false, &rotation, &e) < 0)
        fail_msg("%s", e.text);
    for (int i = 0; i < 20; i++) /* turns of the loop, in which it would */
        assert_true(sd_event_run(b.s->event, 1) >= 0);
    assert_int_equal(cloud.offered, 0);
    assert_int_equal(rotation->state, JOB_RUNNING);
    quiesce(0);
    run_until(b.s->event, cloud.offered >= 1);
    run_until(b.s->event, rotation->state != JOB_RUNNING);
}

static void test_asking_again_gives_it_a_new_time_and_a_job_of_its_own(void **state)
{
    struct job *first = quiesce(USEC_PER_HOUR), *second;

    assert_ptr_equal(quiesce(USEC_PER_HOUR), first); /* still under way: the same */
    run_until(b.s->event, first->state == JOB_DONE);
    second = quiesce(USEC_PER_HOUR);
    assert_ptr_not_equal(first, second);
    run_until(b.s->event, second->state == JOB_DONE);
}

static void test_it_ends_by_itself_when_its_time_is_over(void **state)
{
    struct job *job = quiesce(USEC_PER_MSEC), *rotation = NULL;
    struct error e = {0};

    run_until(b.s->event, job->state != JOB_RUNNING);
    if (fleet_rotate_all(b.fleet, false, &rotation, &e) < 0)
        fail_msg("%s", e.text);
    driver_begin(&driver, &b);
    run_until(b.s->event, cloud.offered >= 1);
}

static void test_a_cancelled_one_holds_nothing_back(void **state)
{
    struct job *job = quiesce(USEC_PER_HOUR), *rotation = NULL;
    struct error e = {0};

    assert_int_equal(job_cancel(fleet_jobs(b.fleet), job, NULL), 0);
    assert_int_equal(job->state, JOB_CANCELLED);
    if (fleet_rotate_all(b.fleet, false, &rotation, &e) < 0)
        fail_msg("%s", e.text);
    driver_begin(&driver, &b);
    run_until(b.s->event, cloud.offered >= 1);
}

static void test_a_rotation_that_is_in_the_middle_is_named(void **state)
{
    struct job *rotation = NULL, *job;
    struct error e = {0};

    snprintf(cloud.refused, sizeof(cloud.refused), "credentials");
    cloud.code = COAP_CODE(5, 0);
    driver_begin(&driver, &b);
    run_until(b.s->event, device_state(bench_find(&b, "boiler-1")) == DEVICE_ONLINE);
    assert_int_equal(device_rotate(bench_find(&b, "boiler-1"), false, &rotation, &e), 0);
    run_until(b.s->event, cloud_count("credentials") == 1);
    job = quiesce(USEC_PER_HOUR);
    run_until(b.s->event, job->state == JOB_DONE);
    assert_int_equal(job->n_results, 1);
    assert_string_equal(job->results[0].device, "boiler-1");
    assert_string_equal(job->results[0].outcome, "rotating");
    assert_string_equal(job->results[0].reason, "offered");
}

static void test_ending_what_is_not_quiesced_is_no_mistake(void **state)
{
    struct job *job = quiesce(0);

    assert_int_equal(job->state, JOB_DONE);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_samples_taken_while_quiesced_are_there_after_the_power_was_cut),
        WITH(test_no_rotation_begins_until_it_is_over),
        WITH(test_asking_again_gives_it_a_new_time_and_a_job_of_its_own),
        WITH(test_it_ends_by_itself_when_its_time_is_over),
        WITH(test_a_cancelled_one_holds_nothing_back),
        WITH(test_a_rotation_that_is_in_the_middle_is_named),
        WITH(test_ending_what_is_not_quiesced_is_no_mistake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
