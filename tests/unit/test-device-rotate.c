/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A rotation that forgets a key which the cloud still needs locks a device out, and one that leaves the old key there
 * has rotated nothing: a fleet, and a cloud that learns and deletes keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "fleet-bench.h"

#include "cloud-bench.h"
#include "driver-bench.h"
#include "set-clock.h"

#define OFFERS "credentials"

static struct fleet_bench b;
static struct driver_bench driver;
static struct {
    unsigned times;
    char device[32], outcome[32], reason[256];
} finished;

static void on_finished(void *userdata, struct device *d, const char *outcome, const char *reason)
{
    finished.times++;
    snprintf(finished.device, sizeof(finished.device), "%s", device_id(d));
    snprintf(finished.outcome, sizeof(finished.outcome), "%s", outcome);
    snprintf(finished.reason, sizeof(finished.reason), "%s", reason);
}

static const struct fleet_listener listener = {.rotation_finished = on_finished};

static int setup(void **state)
{
    scratch_setup(state);
    bench_begin_fleet(&b, *state);
    cloud_begin(&b.peer);
    driver = (struct driver_bench){0};
    memset(&finished, 0, sizeof(finished));
    fleet_listen(b.fleet, &listener);
    return 0;
}

static int teardown(void **state)
{
    driver_end(&driver);
    bench_end_fleet(&b);
    return scratch_teardown(state);
}

static struct device *boiler(void)
{
    return bench_find(&b, "boiler-1");
}

static const char *state_of(const char *id)
{
    struct device_status status;

    device_status(bench_find(&b, id), &status);
    return status.rotation.state;
}

static struct job *rotate(void)
{
    struct job *job = NULL;
    struct error e = {0};

    if (device_rotate(boiler(), false, &job, &e) < 0)
        fail_msg("%s", e.text);
    return job;
}

/* Brought to its end. */
static void rotated(void)
{
    struct job *job = rotate();

    run_until(b.s->event, job->state != JOB_RUNNING);
    assert_int_equal(job->state, JOB_DONE);
}

static void begin(void)
{
    driver_begin(&driver, &b);
    run_until(b.s->event, device_state(boiler()) == DEVICE_ONLINE);
    await_dated(&b, "boiler-1");
}

static void test_a_rotation_ends_with_the_cloud_and_the_vault_at_one_about_the_new_key(void **state)
{
    struct device_status status;

    begin();
    rotated();
    assert_int_equal(cloud.offered, 1);
    device_status(boiler(), &status);
    assert_string_equal(status.keys.main_identity, b.peer.keys[0].identity);
    assert_string_equal(status.keys.backup_identity, "child-1"); /* until the cloud has deleted it */
    assert_string_equal(status.rotation.state, "swapped");
    assert_int_equal(cloud.deleted, 0);
    assert_string_equal(finished.device, "boiler-1");
    assert_string_equal(finished.outcome, "done");
    assert_int_equal(finished.times, 1);
    run_until(b.s->event, device_state(boiler()) == DEVICE_ONLINE);
    bench_restart(&b);
    run_until(b.s->event, b.peer.handshakes >= 3); /* with the new key, which alone the cloud has under that name */
    assert_string_equal(state_of("boiler-1"), "swapped");
}

static void test_the_old_key_is_deleted_at_the_cloud_and_only_then_forgotten(void **state)
{
    struct device_status status;

    bench_gateway(&b, "senml", ",\"registrar\":{\"type\":\"coap\"}", ",\"rotation\":{\"retire_after\":\"1s\"}");
    assert_int_equal(bench_reload(&b), 0);
    begin();
    rotated();
    run_until(b.s->event, strcmp(state_of("boiler-1"), "idle") == 0);
    assert_int_equal(cloud.deleted, 1);
    assert_non_null(cloud_got("credentials/c-2")); /* the id of the old one, which the cloud told when asked */
    device_status(boiler(), &status);
    assert_string_equal(status.keys.main_identity, b.peer.keys[0].identity);
    assert_string_equal(status.keys.backup_identity, "");
    assert_int_equal(device_state(boiler()), DEVICE_ONLINE);
}

static void test_who_may_have_the_key_is_not_told_the_next_one(void **state)
{
    struct job *job = NULL;
    struct error e = {0};

    begin();
    assert_true(device_rotate(boiler(), true, &job, &e) < 0);
    assert_non_null(strstr(e.text, "revoke it at the cloud"));
    assert_int_equal(cloud.offered, 0);
}

static void test_a_key_that_the_cloud_may_know_outlives_a_restart(void **state)
{
    struct device_status status;

    snprintf(cloud.refused, sizeof(cloud.refused), "%s", OFFERS);
    cloud.code = COAP_CODE(5, 0); /* which may have carried it out */
    begin();
    rotate();
    run_until(b.s->event, cloud_count(OFFERS) == 1);
    bench_restart(&b);
    device_status(boiler(), &status);
    assert_string_equal(status.rotation.state, "offered");
    assert_string_equal(status.keys.main_identity, "child-1");
    assert_true(cloud_heard(OFFERS, status.keys.backup_identity)); /* the very one that was offered */
}

static void test_a_key_that_the_cloud_does_not_take_is_given_up_and_the_old_one_stays(void **state)
{
    struct device_status status;
    struct job *job;

    snprintf(cloud.refused, sizeof(cloud.refused), "%s", OFFERS);
    cloud.code = COAP_BAD_REQUEST;
    begin();
    job = rotate();
    run_until(b.s->event, job->state != JOB_RUNNING);
    assert_int_equal(job->state, JOB_FAILED);
    assert_string_equal(finished.outcome, "abandoned");
    assert_non_null(strstr(finished.reason, "refused the new key as invalid"));
    device_status(boiler(), &status);
    assert_string_equal(status.keys.main_identity, "child-1");
    assert_int_equal(device_state(boiler()), DEVICE_ONLINE);
}

static void test_a_new_key_that_the_cloud_refuses_leaves_the_device_online_on_the_old_one(void **state)
{
    struct device_status status;

    begin();
    b.peer.unknown = true; /* from now on, for new handshakes */
    rotate();
    run_until(b.s->event, cloud.offered == 1);
    do {
        assert_true(sd_event_run(b.s->event, 100 * USEC_PER_MSEC) >= 0);
        device_status(boiler(), &status);
    } while (strcmp(status.rotation.state, "probing") != 0 || !status.rotation.reason[0]);
    assert_string_equal(status.keys.main_identity, "child-1");
    assert_string_equal(status.keys.backup_identity, b.peer.keys[0].identity); /* which the cloud has */
}

static void test_a_rotation_that_is_asked_for_twice_is_one(void **state)
{
    struct job *first, *second = NULL;
    struct error e = {0};

    b.peer.silent = false;
    snprintf(cloud.refused, sizeof(cloud.refused), "%s", OFFERS);
    cloud.code = COAP_CODE(5, 0);
    begin();
    first = rotate();
    run_until(b.s->event, cloud_count(OFFERS) == 1);
    if (device_rotate(boiler(), false, &second, &e) >= 0)
        assert_ptr_equal(first, second);
    else
        assert_non_null(strstr(e.text, "boiler-1"));
    assert_int_equal(cloud_count(OFFERS), 1);
}

static void test_a_device_without_a_key_has_nothing_to_rotate(void **state)
{
    struct job *job = NULL;
    struct error e = {0};

    assert_int_equal(device_rotate(bench_find(&b, "pump-2"), false, &job, &e), 0);
    run_until(b.s->event, job->state != JOB_RUNNING);
    assert_int_equal(job->state, JOB_FAILED);
    assert_non_null(strstr(job->results[0].reason, "no key yet"));
}

/* ── All of them ── */

static void two_keys(void)
{
    struct error e = {0};

    b.fleet = fleet_free(b.fleet);
    if (scratch_put(b.s, "pump-2", VAULT_MAIN, "child-2", 2, &e) < 0)
        fail_msg("%s", e.text);
    snprintf(b.peer.keys[0].identity, sizeof(b.peer.keys[0].identity), "child-2");
    _cleanup_(secret_freep) struct secret *key = scratch_key(b.s, 2, 32);

    memcpy(b.peer.keys[0].bytes, key->bytes, key->size);
    b.peer.keys[0].size = key->size;
    b.peer.n_keys = 1;
    bench_fleet(&b);
    fleet_listen(b.fleet, &listener);
    await_dated(&b, "boiler-1");
    await_dated(&b, "pump-2");
}

static struct job *rotate_all(void)
{
    struct job *job = NULL;
    struct error e = {0};

    if (fleet_rotate_all(b.fleet, false, &job, &e) < 0)
        fail_msg("%s", e.text);
    return job;
}

static const struct job_result *result_of(const struct job *job, const char *id)
{
    for (size_t i = 0; i < job->n_results; i++)
        if (strcmp(job->results[i].device, id) == 0)
            return &job->results[i];
    return NULL;
}

static void test_all_devices_get_new_keys_and_the_job_has_each_of_them(void **state)
{
    struct job *job;

    two_keys();
    driver_begin(&driver, &b);
    job = rotate_all();
    assert_ptr_equal(job, rotate_all()); /* joined */
    run_until(b.s->event, job->state != JOB_RUNNING);
    assert_int_equal(job->state, JOB_DONE);
    assert_int_equal(job->done, 2);
    assert_string_equal(result_of(job, "boiler-1")->outcome, "done");
    assert_string_equal(result_of(job, "pump-2")->outcome, "done");
    assert_int_equal(cloud.offered, 2);
    run_until(b.s->event, !vault_find(b.s->vault, VAULT_FLEET, VAULT_FLEET)); /* not done once more at the next start */
}

static void test_of_all_devices_the_one_that_cannot_be_rotated_is_named(void **state)
{
    struct job *job;

    begin();
    job = rotate_all();
    run_until(b.s->event, job->state != JOB_RUNNING);
    assert_int_equal(job->state, JOB_FAILED);
    assert_string_equal(result_of(job, "boiler-1")->outcome, "done");
    assert_string_equal(result_of(job, "pump-2")->outcome, "failed");
    assert_true(result_of(job, "pump-2")->reason[0] != 0);
    assert_int_equal(job->failed, 1);
}

static void test_a_rotation_of_all_goes_on_where_it_was_when_the_agent_is_started_again(void **state)
{
    char batch[sizeof(((struct job *)0)->batch_id)];
    struct job *job;

    two_keys();
    snprintf(cloud.refused, sizeof(cloud.refused), "%s", OFFERS);
    cloud.code = COAP_CODE(5, 0);
    driver_begin(&driver, &b);
    job = rotate_all();
    run_until(b.s->event, cloud_count(OFFERS) > 0);
    snprintf(batch, sizeof(batch), "%s", job->batch_id);
    assert_int_equal(strlen(batch), sizeof(batch) - 1);
    bench_restart(&b);
    job = job_first(fleet_jobs(b.fleet));
    assert_non_null(job);
    assert_string_equal(job->kind, "rotate-all");
    assert_string_equal(job->batch_id, batch);
    assert_int_equal(job->total, 2);
    assert_int_equal(job->state, JOB_RUNNING);
}

static void test_a_cancelled_rotation_of_all_begins_with_no_other_device(void **state)
{
    struct job *job;

    b.peer.deaf = true; /* nobody is online, so all of them wait */
    two_keys();
    job = rotate_all();
    run_until(b.s->event, vault_find(b.s->vault, VAULT_FLEET, VAULT_FLEET));
    for (int i = 0; i < 20; i++) /* turns of the loop, in which they are put aside */
        assert_true(sd_event_run(b.s->event, USEC_PER_MSEC) >= 0);
    assert_int_equal(job_cancel(fleet_jobs(b.fleet), job, NULL), 0);
    run_until(b.s->event, job->state == JOB_CANCELLED);
    assert_string_equal(result_of(job, "boiler-1")->outcome, "cancelled");
    assert_string_equal(result_of(job, "pump-2")->outcome, "cancelled");
    assert_int_equal(cloud.offered, 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_rotation_ends_with_the_cloud_and_the_vault_at_one_about_the_new_key),
        WITH(test_the_old_key_is_deleted_at_the_cloud_and_only_then_forgotten),
        WITH(test_who_may_have_the_key_is_not_told_the_next_one),
        WITH(test_a_key_that_the_cloud_may_know_outlives_a_restart),
        WITH(test_a_key_that_the_cloud_does_not_take_is_given_up_and_the_old_one_stays),
        WITH(test_a_new_key_that_the_cloud_refuses_leaves_the_device_online_on_the_old_one),
        WITH(test_a_rotation_that_is_asked_for_twice_is_one),
        WITH(test_a_device_without_a_key_has_nothing_to_rotate),
        WITH(test_all_devices_get_new_keys_and_the_job_has_each_of_them),
        WITH(test_of_all_devices_the_one_that_cannot_be_rotated_is_named),
        WITH(test_a_rotation_of_all_goes_on_where_it_was_when_the_agent_is_started_again),
        WITH(test_a_cancelled_rotation_of_all_begins_with_no_other_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
