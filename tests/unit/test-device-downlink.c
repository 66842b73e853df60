/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command that is lost, carried out twice, or answered with another outcome than it had moves a valve that nobody
 * looks at: the cloud of a profile with calls, a desired state and settings, a fleet, and a driver. */
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

#define JSON 50
#define CBOR 60
#define RPC ".rpc"
#define STATUS ".rpc/status"

static struct fleet_bench b;
static struct driver_bench driver;
static unsigned mark; /* of calls, each of another id */

static int setup(void **state)
{
    struct error e = {0};

    scratch_setup(state);
    bench_prepare(&b, *state);
    cloud_begin(&b.peer);
    driver = (struct driver_bench){0};
    if (scratch_put(b.s, "pump-2", VAULT_MAIN, "child-2", 1, &e) < 0)
        fail_msg("%s", e.text);
    bench_gateway(&b, "golioth", ",\"registrar\":{\"type\":\"manual\"}", "");
    bench_device(&b, "pump-2",
                 "{\"y\":{\"signal\":\"sine\",\"period\":\"10s\",\"writable\":true,\"min\":0,\"max\":100},"
                 "\"z\":{\"signal\":\"sine\",\"period\":\"10s\",\"writable\":true},"
                 "\"x\":{\"signal\":\"sine\",\"period\":\"10s\"}}");
    bench_fleet(&b);
    return 0;
}

static int teardown(void **state)
{
    driver_end(&driver);
    bench_end_fleet(&b);
    return scratch_teardown(state);
}

/* Connected, and listened to. */
static void begin(void)
{
    driver_begin(&driver, &b);
    run_until(b.s->event, cloud_got(RPC) && cloud_got(".d/desired") && cloud_got(".c"));
}

static void tell(const char *path, const char *text)
{
    assert_true(peer_tell(&b.peer, path, JSON, text, strlen(text)));
}

/* A call of y, with an id of its own; the body of its answer. */
static const char *call(const char *point, const char *parameter)
{
    size_t before = cloud_count(STATUS);
    char text[128];

    snprintf(text, sizeof(text), "{\"id\":\"c%u\",\"method\":\"%s\",\"params\":[%s]}", ++mark, point, parameter);
    tell(RPC, text);
    run_until(b.s->event, cloud_count(STATUS) > before);
    return cloud_got(STATUS)->payload;
}

static void has(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("not %s in %s", words, text);
}

static void test_settings_which_would_all_fail_are_asked_for_once_the_driver_is_there(void **state)
{
    run_until(b.s->event, cloud_got(RPC) && cloud_got(".d/desired"));
    assert_null(cloud_got(".c"));
    driver_begin(&driver, &b);
    run_until(b.s->event, cloud_got(".c"));
}

static void test_a_call_is_written_and_answered_with_what_the_sensor_took(void **state)
{
    const char *answer;

    begin();
    answer = call("y", "21.5");
    assert_string_equal(driver.device, "pump-2");
    assert_string_equal(driver.point, "y");
    assert_true(driver.value > 21.4 && driver.value < 21.6);
    has(answer, "\"status\":0");
    has(answer, "\"value\":21.5");
}

static void test_a_call_that_is_shown_again_is_answered_again_and_not_carried_out_twice(void **state)
{
    begin();
    call("y", "1");
    tell(RPC, "{\"id\":\"same\",\"method\":\"y\",\"params\":[2]}");
    run_until(b.s->event, cloud_count(STATUS) == 2);
    tell(RPC, "{\"id\":\"same\",\"method\":\"y\",\"params\":[2]}");
    run_until(b.s->event, cloud_count(STATUS) == 3);
    assert_int_equal(driver.writes, 2);
    has(cloud_got(STATUS)->payload, "\"id\":\"same\"");
    has(cloud_got(STATUS)->payload, "\"status\":0");
}

static void test_what_may_not_be_written_is_not_even_asked_of_the_driver(void **state)
{
    begin();
    has(call("nothing", "1"), "\"status\":");
    has(call("x", "1"), "\"status\":7");
    has(call("y", "101"), "\"status\":");
    has(call("y", "\"warm\""), "\"status\":");
    assert_int_equal(driver.writes, 0);
}

static void test_a_sensor_that_fails_is_told_in_its_own_words(void **state)
{
    const char *answer;

    begin();
    driver.fails = -EIO;
    answer = call("y", "3");
    has(answer, "\"status\":13");
    has(answer, "the sensor said no");
}

static void test_more_calls_at_once_than_a_few_are_refused_as_busy(void **state)
{
    begin();
    driver.keeps = true;
    for (unsigned i = 0; i <= COMMANDS_AT_ONCE; i++) {
        char text[128];

        snprintf(text, sizeof(text), "{\"id\":\"at-once-%u\",\"method\":\"z\",\"params\":[%u]}", i, i);
        tell(RPC, text);
    }
    run_until(b.s->event, cloud_count(STATUS) == 1);
    has(cloud_got(STATUS)->payload, "\"status\":8");
    run_until(b.s->event, driver.n_kept > 0);
    while (cloud_count(STATUS) < COMMANDS_AT_ONCE + 1u) {
        driver_answer_kept(&driver);
        assert_true(sd_event_run(b.s->event, 100 * USEC_PER_MSEC) >= 0);
    }
    assert_int_equal(driver.writes, COMMANDS_AT_ONCE);
}

static void test_what_is_no_command_is_left_out_and_the_next_one_is_heard(void **state)
{
    begin();
    tell(RPC, "[1,2");
    run_until(b.s->event, cloud_heard(STATUS, "not JSON"));
    tell(RPC, "{\"id\":7}");
    run_until(b.s->event, cloud_heard(STATUS, "\"id\":7"));
    has(call("y", "4"), "\"status\":0");
    assert_int_equal(driver.writes, 1);
}

static void test_a_desired_state_is_written_point_by_point(void **state)
{
    begin();
    tell(".d/desired", "{\"y\":5,\"z\":6}");
    run_until(b.s->event, cloud_got(".d/outcome/y") && cloud_got(".d/outcome/z"));
    has(cloud_got(".d/outcome/y")->payload, "\"ok\":true");
    assert_int_equal(driver.writes, 2);
    /* The same state again, as an observation brings it, asks for nothing new. */
    tell(".d/desired", "{\"y\":5,\"z\":7}");
    run_until(b.s->event, driver.writes == 3);
    assert_string_equal(driver.point, "z");
}

/* {"version": 3, "settings": {"y": 21.5, "nothing": 1}} */
static const char settings[] = "\xa2\x67version\x03\x68settings\xa2\x61y\xf9\x4d\x60\x67nothing\x01";

static void test_settings_are_answered_as_a_whole_with_what_was_not_taken(void **state)
{
    begin();
    assert_true(peer_tell(&b.peer, ".c", CBOR, settings, sizeof(settings) - 1));
    run_until(b.s->event, cloud_got(".c/status"));
    assert_int_equal(driver.writes, 1);
    assert_true(driver.value > 21.4 && driver.value < 21.6);
    assert_true(cloud_heard(".c/status", "nothing"));
    assert_true(cloud_heard(".c/status", "version"));
    assert_int_equal(cloud_count(".c/status"), 1);
}

static void test_a_cloud_that_lets_nobody_listen_is_named(void **state)
{
    struct device_status status;

    snprintf(cloud.refused, sizeof(cloud.refused), "%s", RPC);
    cloud.code = COAP_FORBIDDEN;
    begin();
    do {
        assert_true(sd_event_run(b.s->event, 100 * USEC_PER_MSEC) >= 0);
        device_status(bench_find(&b, "pump-2"), &status);
    } while (!strstr(status.last_error, "commands of the cloud cannot be heard"));
    has(status.last_error, "4.03");
    has(status.last_error, "\".rpc\"");
}

static void test_an_outcome_that_the_cloud_did_not_take_is_not_lost_with_its_session(void **state)
{
    begin();
    snprintf(cloud.refused, sizeof(cloud.refused), "%s", STATUS);
    cloud.code = COAP_SERVICE_UNAVAILABLE;
    has(call("y", "8"), "\"status\":0");
    cloud.refused[0] = 0;
    device_disconnect(bench_find(&b, "pump-2"));
    device_connect(bench_find(&b, "pump-2"));
    run_until(b.s->event, cloud_count(STATUS) == 2);
    has(cloud_got(STATUS)->payload, "\"value\":8");
    assert_int_equal(driver.writes, 1);
}

static void test_a_write_that_ends_after_its_device_has_gone_is_nobodys(void **state)
{
    begin();
    driver.keeps = true;
    tell(RPC, "{\"id\":\"late\",\"method\":\"y\",\"params\":[9]}");
    run_until(b.s->event, driver.n_kept == 1);
    unlink(bench_path(&b, "etc/devices.d/pump-2.json"));
    bench_reload(&b);
    run_until(b.s->event, !fleet_find(b.fleet, "pump-2"));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_settings_which_would_all_fail_are_asked_for_once_the_driver_is_there),
        WITH(test_a_call_is_written_and_answered_with_what_the_sensor_took),
        WITH(test_a_call_that_is_shown_again_is_answered_again_and_not_carried_out_twice),
        WITH(test_what_may_not_be_written_is_not_even_asked_of_the_driver),
        WITH(test_a_sensor_that_fails_is_told_in_its_own_words),
        WITH(test_more_calls_at_once_than_a_few_are_refused_as_busy),
        WITH(test_what_is_no_command_is_left_out_and_the_next_one_is_heard),
        WITH(test_a_desired_state_is_written_point_by_point),
        WITH(test_settings_are_answered_as_a_whole_with_what_was_not_taken),
        WITH(test_a_cloud_that_lets_nobody_listen_is_named),
        WITH(test_an_outcome_that_the_cloud_did_not_take_is_not_lost_with_its_session),
        WITH(test_a_write_that_ends_after_its_device_has_gone_is_nobodys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
