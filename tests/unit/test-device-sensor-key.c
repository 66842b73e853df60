/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bind key that does not reach its driver leaves a sensor mute; one that reaches another driver, or outlives its
 * device, is a key in the wrong hands; a forgotten counter lets old messages in again. */
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

#include "driver-bench.h"

#define KEY "231d39c1d7cc1ab1aee224cd096db932"
#define FIRST 0x23

static struct fleet_bench b;
static struct driver_bench driver;

static int setup(void **state)
{
    scratch_setup(state);
    bench_begin_fleet(&b, *state);
    driver = (struct driver_bench){0};
    return 0;
}

static int teardown(void **state)
{
    driver_end(&driver);
    bench_end_fleet(&b);
    return scratch_teardown(state);
}

static int wait_for(struct bench_done *done)
{
    run_until(b.s->event, done->called);
    return done->r;
}

static int set(const char *id, const char *hex, struct bench_done *done)
{
    int fd = bench_sealed(hex, strlen(hex)), r;
    struct error e = {0};

    *done = (struct bench_done){0};
    r = device_set_sensor_key(bench_find(&b, id), fd, VAULT_HEX, bench_done, done, &e);
    if (r < 0)
        return r;
    return wait_for(done);
}

static void set_well(const char *id)
{
    struct bench_done done;

    if (set(id, KEY, &done) < 0)
        fail_msg("%s", done.text);
}

/* The driver comes anew, as after a crash. */
static void another_driver(void)
{
    driver_end(&driver);
    driver = (struct driver_bench){0};
    driver_begin(&driver, &b);
}

static void test_a_bind_key_goes_to_the_driver_of_its_device(void **state)
{
    struct device_status status;

    driver_begin(&driver, &b);
    set_well("pump-2");
    run_until(b.s->event, driver.secrets == 1);
    assert_int_equal(driver.secret_size, SENSOR_KEY_SIZE);
    assert_int_equal(driver.secret[0], FIRST);
    assert_string_equal(driver.remembered, "");
    device_status(bench_find(&b, "pump-2"), &status);
    assert_int_equal(strlen(status.keys.bind_fingerprint), 16);
    assert_string_equal(status.keys.main_identity, ""); /* it is no credential of a cloud */
    device_status(bench_find(&b, "boiler-1"), &status);
    assert_string_equal(status.keys.bind_fingerprint, "");
}

static void test_a_driver_that_comes_later_or_again_gets_it_too(void **state)
{
    set_well("pump-2");
    driver_begin(&driver, &b);
    run_until(b.s->event, driver.secrets == 1);
    another_driver();
    run_until(b.s->event, driver.secrets == 1);
    assert_int_equal(driver.secret[0], FIRST);
}

static void test_what_the_driver_has_counted_outlives_driver_and_agent(void **state)
{
    driver_begin(&driver, &b);
    set_well("pump-2");
    run_until(b.s->event, driver.secrets == 1);
    run_until(b.s->event, link_client_keep(driver.client, "pump-2", "n=5") == 0);
    do { /* it is on its way to the agent */
        another_driver();
        run_until(b.s->event, driver.secrets == 1);
    } while (strcmp(driver.remembered, "n=5") != 0);
    driver_end(&driver);
    bench_restart(&b);
    driver = (struct driver_bench){0};
    driver_begin(&driver, &b);
    run_until(b.s->event, driver.secrets == 1);
    assert_string_equal(driver.remembered, "n=5");
    assert_int_equal(driver.secret[0], FIRST);
}

static void test_another_key_begins_to_count_anew(void **state)
{
    driver_begin(&driver, &b);
    set_well("pump-2");
    run_until(b.s->event, driver.secrets == 1);
    run_until(b.s->event, link_client_keep(driver.client, "pump-2", "n=5") == 0);
    do {
        another_driver();
        run_until(b.s->event, driver.secrets == 1);
    } while (strcmp(driver.remembered, "n=5") != 0);
    driver_end(&driver);
    bench_restart(&b); /* the vault has it */
    set_well("pump-2");
    bench_restart(&b);
    driver = (struct driver_bench){0};
    driver_begin(&driver, &b);
    run_until(b.s->event, driver.secrets == 1);
    assert_string_equal(driver.remembered, "");
}

static void test_a_counter_that_was_reset_is_forgotten_at_the_driver_as_well(void **state)
{
    struct bench_done done = {0};
    struct error e = {0};

    driver_begin(&driver, &b);
    set_well("pump-2");
    run_until(b.s->event, driver.secrets == 1);
    run_until(b.s->event, link_client_keep(driver.client, "pump-2", "n=5") == 0);
    assert_true(device_reset_counter(bench_find(&b, "pump-2"), bench_done, &done, &e) >= 0);
    assert_int_equal(wait_for(&done), 0);
    run_until(b.s->event, driver.secrets == 2);
    assert_string_equal(driver.remembered, "");
    assert_int_equal(driver.secret[0], FIRST);
}

static void test_a_forgotten_key_is_taken_from_the_driver(void **state)
{
    struct bench_done done = {0};
    struct device_status status;
    struct error e = {0};

    driver_begin(&driver, &b);
    set_well("pump-2");
    run_until(b.s->event, driver.secrets == 1);
    assert_true(device_forget_sensor_key(bench_find(&b, "pump-2"), bench_done, &done, &e) >= 0);
    assert_int_equal(wait_for(&done), 0);
    run_until(b.s->event, driver.secrets == 2);
    assert_int_equal(driver.secret_size, 0);
    device_status(bench_find(&b, "pump-2"), &status);
    assert_string_equal(status.keys.bind_fingerprint, "");
    bench_restart(&b);
    assert_int_equal(device_forget_sensor_key(bench_find(&b, "pump-2"), bench_done, &done, &e), -ENOKEY);
    assert_int_equal(device_reset_counter(bench_find(&b, "pump-2"), bench_done, &done, &e), -ENOKEY);
    assert_non_null(strstr(e.text, "pump-2 has no bind key"));
}

static void test_a_key_of_another_length_is_refused_with_the_length_that_it_should_have(void **state)
{
    struct bench_done done;

    assert_int_equal(set("pump-2", "231d39c1d7cc1ab1aee224cd", &done), -EINVAL);
    assert_non_null(strstr(done.text, "32 hex digits"));
    assert_int_equal(set("pump-2", "231d", &done), -EINVAL);
    assert_non_null(strstr(done.text, "32 hex digits"));
    assert_int_equal(set("pump-2", KEY KEY, &done), -EINVAL);
    assert_non_null(strstr(done.text, "this has 32"));
    assert_null(vault_find(b.s->vault, "pump-2", VAULT_OF_SENSOR));
}

static void test_a_key_that_is_read_while_its_device_goes_ends_with_it(void **state)
{
    struct bench_done done = {0}, second = {0};
    struct error e = {0};
    int pipes[2];

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0); /* nobody writes yet */
    assert_int_equal(device_set_sensor_key(bench_find(&b, "pump-2"), pipes[0], VAULT_HEX, bench_done, &done, &e), 0);
    assert_int_equal(
        device_set_sensor_key(bench_find(&b, "pump-2"), bench_sealed(KEY, 32), VAULT_HEX, bench_done, &second, &e),
        -EBUSY);
    unlink(bench_path(&b, "etc/devices.d/pump-2.json"));
    assert_int_equal(bench_reload(&b), 0);
    assert_int_equal(wait_for(&done), -ECANCELED);
    assert_false(second.called);
    close(pipes[1]);
}

static void test_a_driver_that_takes_no_keys_keeps_no_other_device_waiting(void **state)
{
    driver.no_secret = -EOPNOTSUPP;
    driver_begin(&driver, &b);
    set_well("pump-2");
    set_well("boiler-1");
    run_until(b.s->event, driver.secrets == 2);
    driver_push(&driver, "boiler-1", "x", 1);
    run_until(b.s->event, link_client_pending(driver.client) == 0);
}

static void on_added(int r, struct device *d, const struct error *e, void *userdata)
{
    bench_done(r, e, userdata);
}

static void test_a_removed_device_leaves_no_key_behind(void **state)
{
    static const char text[] = "{\"device\":\"fan-3\",\"uplink\":\"cloud\",\"driver\":\"sim\",\"sim\":"
                               "{\"interval\":\"1s\"},\"points\":{\"z\":{\"signal\":\"sine\",\"period\":\"10s\"}}}";
    struct bench_done added = {0}, removed = {0};
    struct error e = {0};

    if (fleet_add_device(b.fleet, "fan-3", text, on_added, &added, &e) < 0 || wait_for(&added) < 0)
        fail_msg("%s%s", e.text, added.text);
    driver_begin(&driver, &b);
    set_well("fan-3");
    run_until(b.s->event, driver.secrets == 1);
    run_until(b.s->event, link_client_keep(driver.client, "fan-3", "n=9") == 0);
    if (fleet_remove_device(b.fleet, "fan-3", false, true, bench_done, &removed, &e) < 0 || wait_for(&removed) < 0)
        fail_msg("%s%s", e.text, removed.text);
    bench_restart(&b);
    assert_null(vault_find(b.s->vault, "fan-3", VAULT_OF_SENSOR));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_bind_key_goes_to_the_driver_of_its_device),
        WITH(test_a_driver_that_comes_later_or_again_gets_it_too),
        WITH(test_what_the_driver_has_counted_outlives_driver_and_agent),
        WITH(test_another_key_begins_to_count_anew),
        WITH(test_a_counter_that_was_reset_is_forgotten_at_the_driver_as_well),
        WITH(test_a_forgotten_key_is_taken_from_the_driver),
        WITH(test_a_key_of_another_length_is_refused_with_the_length_that_it_should_have),
        WITH(test_a_key_that_is_read_while_its_device_goes_ends_with_it),
        WITH(test_a_driver_that_takes_no_keys_keeps_no_other_device_waiting),
        WITH(test_a_removed_device_leaves_no_key_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
