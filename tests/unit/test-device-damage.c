/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A record that does not open stops its own device and no other, says how to get out, and is mended by one command: a
 * fleet over a vault file that was tampered with while the agent was stopped. */
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

#include <sqlite3.h>

#define KEY "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0"
#define BAD_MAIN "UPDATE record SET record = substr(record, 1, 40) WHERE device = 'boiler-1' AND slot = 0"
#define BAD_BACKUP "UPDATE record SET record = substr(record, 1, 40) WHERE device = 'boiler-1' AND slot = 1"
#define BAD_STATE "UPDATE entry SET state = x'00' WHERE device = 'boiler-1'"

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

/* The agent stops, somebody changes the file, and it starts again. */
static void tampered(const char *sql)
{
    struct error e = {0};
    sqlite3 *db;
    char *why = NULL;

    bench_stop_fleet(&b);
    b.fleet = fleet_free(b.fleet);
    b.s->vault = vault_free(b.s->vault);
    assert_int_equal(sqlite3_open(b.s->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    if (scratch_open(b.s, &e) < 0)
        fail_msg("%s", e.text);
    bench_fleet(&b);
    driver_begin(&driver, &b);
}

static struct device *boiler(void)
{
    return bench_find(&b, "boiler-1");
}

static const char *last_error(void)
{
    static char text[ERROR_TEXT_MAX];
    struct device_status status;

    device_status(boiler(), &status);
    snprintf(text, sizeof(text), "%s", status.last_error);
    return text;
}

/* Sets a key as an operator does. */
static int set(enum vault_slot slot, const char *identity, bool force, char text[ERROR_TEXT_MAX + 512])
{
    struct bench_done done = {0};
    struct error e = {0};
    int r = device_set_credential(boiler(), slot, identity, bench_sealed(KEY, strlen(KEY)), VAULT_HEX, force,
                                  bench_done, &done, &e);

    if (r >= 0) {
        run_until(b.s->event, done.called);
        r = done.r;
    }
    snprintf(text, ERROR_TEXT_MAX + 512, "%s%s", e.text, done.text);
    return r;
}

static void test_a_damaged_main_key_stops_its_device_alone_and_names_the_ways_out(void **state)
{
    tampered(BAD_MAIN);
    assert_int_equal(device_state(boiler()), DEVICE_DAMAGED);
    assert_non_null(strstr(last_error(), "cut off"));
    assert_non_null(strstr(last_error(), "gatehousectl key set boiler-1 IDENTITY --force"));
    assert_int_equal(device_state(bench_find(&b, "pump-2")), DEVICE_NO_CREDENTIAL);
}

static void test_a_key_in_its_place_brings_the_device_back(void **state)
{
    char text[ERROR_TEXT_MAX + 512];

    tampered(BAD_MAIN);
    assert_int_equal(set(VAULT_MAIN, "child-9", false, text), -EBUSY); /* what is there would be lost */
    assert_non_null(strstr(text, "--force"));
    assert_int_equal(set(VAULT_BACKUP, "child-9", false, text), -EBUSY);
    assert_int_equal(device_state(boiler()), DEVICE_DAMAGED);
    if (set(VAULT_MAIN, "child-9", true, text) < 0)
        fail_msg("%s", text);
    run_until(b.s->event, device_state(boiler()) != DEVICE_DAMAGED);
    bench_restart(&b);
    assert_int_not_equal(device_state(boiler()), DEVICE_DAMAGED);
    assert_string_equal(vault_credential(vault_find(b.s->vault, "boiler-1", "cloud"), VAULT_MAIN)->identity, "child-9");
}

static void test_a_damaged_state_is_put_right_in_the_same_way(void **state)
{
    char text[ERROR_TEXT_MAX + 512];

    tampered(BAD_STATE);
    assert_int_equal(device_state(boiler()), DEVICE_DAMAGED);
    assert_true(last_error()[0] != 0);
    if (set(VAULT_MAIN, "child-9", true, text) < 0)
        fail_msg("%s", text);
    run_until(b.s->event, device_state(boiler()) != DEVICE_DAMAGED);
}

static void test_a_damaged_backup_stops_no_session_and_can_be_forgotten(void **state)
{
    char text[ERROR_TEXT_MAX + 512];
    struct bench_done done = {0};
    struct device_status status;
    struct error e = {0};

    if (set(VAULT_BACKUP, "child-7", false, text) < 0)
        fail_msg("%s", text);
    tampered(BAD_BACKUP);
    run_until(b.s->event, device_state(boiler()) == DEVICE_ONLINE);
    assert_non_null(strstr(last_error(), "gatehousectl key forget boiler-1 backup --force"));
    if (device_forget_credential(boiler(), VAULT_BACKUP, true, bench_done, &done, &e) < 0)
        fail_msg("%s", e.text);
    run_until(b.s->event, done.called);
    if (done.r < 0)
        fail_msg("%s", done.text);
    device_status(boiler(), &status);
    assert_string_equal(status.keys.backup_identity, "");
    assert_null(strstr(last_error(), "key forget"));
}

static void test_a_damaged_device_is_not_rotated(void **state)
{
    struct job *job = NULL;
    struct error e = {0};

    tampered(BAD_MAIN);
    assert_true(device_rotate(boiler(), false, &job, &e) < 0);
    assert_non_null(strstr(e.text, "boiler-1"));
}

static void test_a_damaged_device_can_be_removed(void **state)
{
    struct bench_done done = {0};
    struct error e = {0};

    bench_stop_fleet(&b);
    bench_file(&b, "state/devices.d/boiler-1.json",
               "{\"device\":\"boiler-1\",\"uplink\":\"cloud\"," BENCH_SIM
               "\"points\":{\"x\":{\"signal\":\"sine\",\"period\":\"10s\"}}}");
    unlink(bench_path(&b, "etc/devices.d/boiler-1.json"));
    b.fleet = fleet_free(b.fleet);
    bench_fleet(&b);
    tampered(BAD_MAIN);
    if (fleet_remove_device(b.fleet, "boiler-1", false, true, bench_done, &done, &e) < 0)
        fail_msg("%s", e.text);
    run_until(b.s->event, done.called);
    if (done.r < 0)
        fail_msg("%s", done.text);
    bench_restart(&b);
    assert_null(fleet_find(b.fleet, "boiler-1"));
    assert_null(vault_find(b.s->vault, "boiler-1", "cloud"));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_damaged_main_key_stops_its_device_alone_and_names_the_ways_out),
        WITH(test_a_key_in_its_place_brings_the_device_back),
        WITH(test_a_damaged_state_is_put_right_in_the_same_way),
        WITH(test_a_damaged_backup_stops_no_session_and_can_be_forgotten),
        WITH(test_a_damaged_device_is_not_rotated),
        WITH(test_a_damaged_device_can_be_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
