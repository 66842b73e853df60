/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a caller of org.gatehouse1 sees beside the plain case: several points at once, jobs with their results, what is
 * said to options and keys that do not go together, and to who asks for too much at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include "bus/internal.h"
#include "link/client.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "bus-bench.h"

#define MANAGER BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER
#define DEVICE(path) DEVICE_PATH(path), BUS_INTERFACE_DEVICE
#define BOILER DEVICE("boiler_2d1")
#define PUMP DEVICE("pump_2d2")
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define OBJECTS "org.freedesktop.DBus.ObjectManager"
#define LOG "/org/freedesktop/LogControl1"
#define LOG_INTERFACE "org.freedesktop.LogControl1"

static struct bus_bench b;
static struct link_client *driver;

static int setup(void **state)
{
    scratch_setup(state);
    if (!bench_begin_bus(&b, *state))
        exit(77); /* no dbus-daemon here */
    return 0;
}

static int teardown(void **state)
{
    driver = link_client_free(driver);
    bench_end_bus(&b);
    return scratch_teardown(state);
}

static void succeeds(const char *error)
{
    if (error)
        fail_msg("%s: %s", error, sd_bus_message_get_error(b.reply)->message);
}

/* With that name, and these words. */
static void fails(const char *error, const char *name, const char *words)
{
    const char *text;

    assert_non_null(error);
    text = sd_bus_message_get_error(b.reply)->message;
    if (strcmp(error, name) != 0 || !strstr(text, words))
        fail_msg("%s (%s) instead of %s (%s)", error, text, name, words);
}

static const char *property(const char *path, const char *interface, const char *name)
{
    return bench_call(&b, path, PROPERTIES, "Get", "ss", interface, name);
}

static const char *text_property(const char *path, const char *interface, const char *name)
{
    const char *text = NULL;

    succeeds(property(path, interface, name));
    assert_true(sd_bus_message_read(b.reply, "v", "s", &text) >= 0);
    return text;
}

static void await_property(const char *path, const char *interface, const char *name, const char *wanted)
{
    time_t begun = time(NULL);

    while (strcmp(text_property(path, interface, name), wanted) != 0)
        if (time(NULL) - begun > DEADLINE_SECONDS)
            fail_msg("%s is %s, and not %s", name, text_property(path, interface, name), wanted);
}

/* ---- Points ---- */

static void on_connection(int r, const char *reason, void *userdata) {}

static void on_devices(const struct link_device *devices, size_t n, void *userdata)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(link_client_device_state(driver, devices[i].id, "ok", ""), 0);
}

static void on_write(struct link_call *call, const char *device, const char *point, const struct sample_value *value,
                     void *userdata)
{
    link_call_value(call, value);
}

/* Takes what it is given, but nothing over 100. */
static void on_write_points(struct link_call *call, const char *device, const struct sample_write *writes, size_t n,
                            void *userdata)
{
    struct sample_value set[LINK_WRITES_MAX];

    for (size_t i = 0; i < n; i++) {
        set[i] = writes[i].value;
        if (set[i].type == SAMPLE_DOUBLE && set[i].d > 100) {
            link_call_fail(call, -ERANGE, "z takes at most 100");
            return;
        }
    }
    link_call_values(call, set, n);
}

static void on_check(struct link_call *call, const char *device, const char *text, void *userdata)
{
    link_call_complaints(call, NULL, 0);
}

static void on_quit(void *userdata) {}

/* A device with two writable points, and its driver. */
static void begin_driver(void)
{
    static const struct link_client_ops client_ops = {.connection = on_connection,
                                                      .set_devices = on_devices,
                                                      .write = on_write,
                                                      .write_points = on_write_points,
                                                      .check_config = on_check,
                                                      .quit = on_quit};
    char run[160];
    const struct link_client_options options = {run, "sim", "1"};
    struct error e;

    bench_device(&b.on, "valve-5",
                 "{\"y\":{\"signal\":\"sine\",\"period\":\"10s\",\"writable\":true},"
                 "\"z\":{\"signal\":\"sine\",\"period\":\"10s\",\"writable\":true}}");
    succeeds(bench_call(&b, MANAGER, "Reload", ""));
    snprintf(run, sizeof(run), "%s", bench_path(&b.on, "run"));
    assert_int_equal(link_client_new(b.on.s->event, &options, &client_ops, NULL, &driver, &e), 0);
    await_property(DEVICE("valve_2d5"), "SensorState", "ok");
}

static void test_several_points_are_written_and_answered_as_the_sensor_took_them(void **state)
{
    const char *point;
    double value;

    begin_driver();
    succeeds(bench_call(&b, DEVICE("valve_2d5"), "WritePoints", "a{sv}", 2, "y", "d", 1.5, "z", "d", 2.5));
    assert_true(sd_bus_message_enter_container(b.reply, 'a', "{sv}") > 0);
    assert_true(sd_bus_message_read(b.reply, "{sv}", &point, "d", &value) > 0);
    assert_string_equal(point, "y");
    assert_true(value > 1.4 && value < 1.6);
    assert_true(sd_bus_message_read(b.reply, "{sv}", &point, "d", &value) > 0);
    assert_string_equal(point, "z");
    assert_true(value > 2.4 && value < 2.6);
    fails(bench_call(&b, DEVICE("valve_2d5"), "WritePoints", "a{sv}", 2, "y", "d", 1.5, "z", "d", 101.0),
          ERROR_OUT_OF_RANGE, "at most 100");
    fails(bench_call(&b, DEVICE("valve_2d5"), "WritePoints", "a{sv}", 2, "y", "d", 1.5, "none", "d", 1.0),
          ERROR_NO_SUCH_POINT, "none");
}

static void test_points_that_cannot_be_written_together_are_refused_before_the_sensor_is_asked(void **state)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    fails(bench_call(&b, PUMP, "WritePoints", "a{sv}", 0), ERROR_INVALID_ARGUMENT, "expected 1 to 20");
    fails(bench_call(&b, PUMP, "WritePoints", "a{sv}", 2, "y", "d", 1.5, "y", "d", 2.5), ERROR_INVALID_ARGUMENT,
          "y is given twice");
    fails(bench_call(&b, PUMP, "WritePoints", "a{sv}", 1, "y", "as", 0), ERROR_INVALID_ARGUMENT, "");
    fails(bench_call(&b, PUMP, "WritePoints", "a{sv}", 1, "y", "d", 1.5), ERROR_DRIVER_AWAY, "");
    assert_true(sd_bus_message_new_method_call(b.client, &m, BUS_NAME, PUMP, "WritePoints") >= 0);
    assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
    for (unsigned i = 0; i <= LINK_WRITES_MAX; i++) {
        char name[8];

        snprintf(name, sizeof(name), "p%u", i);
        assert_true(sd_bus_message_append(m, "{sv}", name, "d", 1.0) >= 0);
    }
    assert_true(sd_bus_message_close_container(m) >= 0);
    b.reply = sd_bus_message_unref(b.reply);
    b.replied = false;
    assert_true(sd_bus_call_async(b.client, NULL, m, bench_reply, &b, UINT64_MAX) >= 0);
    run_until(b.on.s->event, b.replied);
    assert_non_null(sd_bus_message_get_error(b.reply));
    fails(sd_bus_message_get_error(b.reply)->name, ERROR_INVALID_ARGUMENT, "at most 20 points");
}

/* As callers write numbers: of each type that holds the point's. */
static void test_each_type_of_number_is_taken_for_a_point_and_text_is_not(void **state)
{
    begin_driver();
    succeeds(bench_call(&b, DEVICE("valve_2d5"), "Write", "sv", "y", "i", -3));
    succeeds(bench_call(&b, DEVICE("valve_2d5"), "Write", "sv", "y", "u", 3));
    succeeds(bench_call(&b, DEVICE("valve_2d5"), "Write", "sv", "y", "x", (int64_t)-3));
    succeeds(bench_call(&b, DEVICE("valve_2d5"), "Write", "sv", "y", "t", (uint64_t)3));
    succeeds(bench_call(&b, DEVICE("valve_2d5"), "Write", "sv", "y", "b", 1));
    succeeds(bench_call(&b, DEVICE("valve_2d5"), "Write", "sv", "y", "s", "on"));
    fails(bench_call(&b, DEVICE("valve_2d5"), "Write", "sv", "y", "y", 3), ERROR_INVALID_ARGUMENT, "");
}

/* ---- Jobs ---- */

static struct job *long_job(unsigned results)
{
    struct jobs *jobs = fleet_jobs(b.on.fleet);
    struct job *job;

    assert_int_equal(job_new(jobs, "check", "org.gatehouse1.manage-devices", results, &job), 0);
    for (unsigned i = 0; i < results; i++) {
        char device[16];

        snprintf(device, sizeof(device), "d-%u", i);
        job_progress(jobs, job, device, i > 0, i > 0 ? "done" : "failed", i > 0 ? NULL : "it is off");
    }
    job_finish(jobs, job, JOB_DONE);
    return job;
}

static void result_is(const char *device, const char *outcome, const char *reason)
{
    const char *keys[3], *values[3];

    assert_true(sd_bus_message_read(b.reply, "a{sv}", 3, &keys[0], "s", &values[0], &keys[1], "s", &values[1], &keys[2],
                                    "s", &values[2]) > 0);
    assert_string_equal(keys[0], "device");
    assert_string_equal(values[0], device);
    assert_string_equal(keys[1], "outcome");
    assert_string_equal(values[1], outcome);
    assert_string_equal(keys[2], "reason");
    assert_string_equal(values[2], reason);
}

/* Few are answered at once, many in turns of the loop: alike to who asks. */
static void each_result_is_there(unsigned n)
{
    char path[64], last[16];

    job_object_path(long_job(n), path);
    succeeds(property(path, BUS_INTERFACE_JOB, "Results"));
    assert_true(sd_bus_message_enter_container(b.reply, 'v', "aa{sv}") > 0);
    assert_true(sd_bus_message_enter_container(b.reply, 'a', "a{sv}") > 0);
    result_is("d-0", "failed", "it is off");
    for (unsigned i = 1; i + 1 < n; i++)
        assert_true(sd_bus_message_skip(b.reply, "a{sv}") > 0);
    snprintf(last, sizeof(last), "d-%u", n - 1);
    result_is(last, "done", "");
    assert_true(sd_bus_message_at_end(b.reply, false) > 0);
}

static void test_a_short_jobs_results_are_told_with_device_outcome_and_reason(void **state)
{
    each_result_is_there(2);
}

static void test_a_long_jobs_results_are_all_in_its_answer(void **state)
{
    each_result_is_there(2 * JOB_RESULTS_PER_TURN + 1);
}

static void test_a_jobs_properties_say_what_came_of_it(void **state)
{
    struct job *job = long_job(3);
    unsigned done, total, failed;
    char path[64];

    job_object_path(job, path);
    assert_string_equal(text_property(path, BUS_INTERFACE_JOB, "Kind"), "check");
    assert_string_equal(text_property(path, BUS_INTERFACE_JOB, "State"), "done");
    assert_string_equal(text_property(path, BUS_INTERFACE_JOB, "BatchId"), "");
    succeeds(property(path, BUS_INTERFACE_JOB, "Done"));
    assert_true(sd_bus_message_read(b.reply, "v", "u", &done) > 0);
    succeeds(property(path, BUS_INTERFACE_JOB, "Total"));
    assert_true(sd_bus_message_read(b.reply, "v", "u", &total) > 0);
    succeeds(property(path, BUS_INTERFACE_JOB, "Failed"));
    assert_true(sd_bus_message_read(b.reply, "v", "u", &failed) > 0);
    assert_int_equal(done, 3);
    assert_int_equal(total, 3);
    assert_int_equal(failed, 1);
    assert_non_null(property(BUS_PATH_JOB "/01", BUS_INTERFACE_JOB, "Kind")); /* one name for each */
}

static void test_a_pause_is_a_job_that_can_be_ended_and_has_a_bound(void **state)
{
    const char *text;
    char path[64];

    fails(bench_call(&b, MANAGER, "Quiesce", "a{sv}", 1, "seconds", "u", QUIESCE_SECONDS_MAX + 1),
          ERROR_INVALID_ARGUMENT, "expected 0 to 86400, not 86401");
    fails(bench_call(&b, MANAGER, "Quiesce", "a{sv}", 1, "minutes", "u", 1), ERROR_INVALID_ARGUMENT, "minutes");
    succeeds(bench_call(&b, MANAGER, "Quiesce", "a{sv}", 1, "seconds", "u", 3600));
    assert_true(sd_bus_message_read(b.reply, "o", &text) > 0);
    snprintf(path, sizeof(path), "%s", text);
    assert_string_equal(text_property(path, BUS_INTERFACE_JOB, "Kind"), "quiesce");
}

static void test_who_looks_around_finds_each_device_and_job_by_name(void **state)
{
    char name[32];
    const char *text;
    struct job *job = long_job(1);

    succeeds(bench_call(&b, BUS_PATH_DEVICE, "org.freedesktop.DBus.Introspectable", "Introspect", ""));
    assert_true(sd_bus_message_read(b.reply, "s", &text) > 0);
    assert_non_null(strstr(text, "<node name=\"boiler_2d1\"/>"));
    assert_non_null(strstr(text, "<node name=\"pump_2d2\"/>"));
    succeeds(bench_call(&b, BUS_PATH_JOB, "org.freedesktop.DBus.Introspectable", "Introspect", ""));
    assert_true(sd_bus_message_read(b.reply, "s", &text) > 0);
    snprintf(name, sizeof(name), "<node name=\"%u\"/>", job->number);
    assert_non_null(strstr(text, name));
}

/* ---- Who asks for too much at a time ---- */

static void test_a_second_answer_of_all_objects_is_refused_while_the_first_is_made(void **state)
{
    sd_bus_message *first;

    /* Only root is refused: of anybody else the gate holds the next call back, as test-bus-limits tries as another
     * user. */
    if (geteuid() != 0)
        skip();
    assert_true(sd_bus_message_new_method_call(b.client, &first, BUS_NAME, BUS_PATH_MANAGER, OBJECTS,
                                               "GetManagedObjects") >= 0);
    b.reply = sd_bus_message_unref(b.reply);
    b.replied = false;
    assert_true(sd_bus_call_async(b.client, NULL, first, bench_reply, &b, UINT64_MAX) >= 0);
    sd_bus_message_unref(first);
    run_until(b.on.s->event, b.bus->walks);
    assert_int_equal(sd_event_source_set_enabled(b.bus->walk_source, SD_EVENT_OFF), 0);
    fails(bench_call(&b, BUS_PATH_MANAGER, OBJECTS, "GetManagedObjects", ""), SD_BUS_ERROR_LIMITS_EXCEEDED,
          "wait for it, and try again");
    b.reply = sd_bus_message_unref(b.reply);
    b.replied = false;
    assert_int_equal(sd_event_source_set_enabled(b.bus->walk_source, SD_EVENT_ON), 0);
    run_until(b.on.s->event, b.replied);
    assert_false(sd_bus_message_is_method_error(b.reply, NULL));
    succeeds(bench_call(&b, BUS_PATH_MANAGER, OBJECTS, "GetManagedObjects", ""));
}

/* ---- Keys ---- */

static void refused_key(const char *slot, const char *identity, const char *key, const char *value, const char *words)
{
    int fd = bench_sealed("anna\nsesame", 11);

    fails(bench_call(&b, PUMP, "SetCredential", "ssha{sv}", slot, identity, fd, 1, key, "s", value),
          ERROR_INVALID_ARGUMENT, words);
    close(fd);
}

static void test_what_does_not_go_together_when_a_key_is_set_is_told(void **state)
{
    int fd = bench_sealed("anna\nsesame", 11);

    refused_key("main", "x", "kind", "psq", "kind must be psk, bind");
    refused_key("main", "x", "encoding", "rot13", "encoding must be raw, hex");
    refused_key("main", "x", "kind", "login", "has no identity");
    refused_key("backup", "", "kind", "login", "stands in main");
    refused_key("main", "x", "kind", "bind", "has no identity");
    refused_key("backup", "", "kind", "bind", "stands in main");
    fails(bench_call(&b, PUMP, "SetCredential", "ssha{sv}", "main", "", fd, 2, "kind", "s", "login", "force", "b", 1),
          ERROR_INVALID_ARGUMENT, "nothing that it would override");
    fails(bench_call(&b, PUMP, "SetCredential", "ssha{sv}", "main", "", fd, 2, "kind", "s", "login", "encoding", "s",
                     "hex"),
          ERROR_INVALID_ARGUMENT, "a login is text");
    fails(bench_call(&b, PUMP, "ForgetCredential", "sa{sv}", "backup", 1, "kind", "s", "login"), ERROR_INVALID_ARGUMENT,
          "stands in main");
    fails(bench_call(&b, PUMP, "ForgetCredential", "sa{sv}", "main", 1, "encoding", "s", "hex"), ERROR_INVALID_ARGUMENT,
          "encoding");
    close(fd);
}

static void test_a_login_has_no_place_at_an_uplink_over_coap(void **state)
{
    int fd = bench_sealed("anna\nsesame", 11);

    fails(bench_call(&b, PUMP, "SetCredential", "ssha{sv}", "main", "", fd, 1, "kind", "s", "login"),
          ERROR_INVALID_ARGUMENT, "not over MQTT");
    assert_string_equal(text_property(PUMP, "LoginFingerprint"), "");
    close(fd);
}

static void test_a_rotation_that_is_asked_for_is_a_job(void **state)
{
    const char *path;

    b.on.peer.silent = true;
    fails(bench_call(&b, BOILER, "Rotate", "a{sv}", 1, "compromise", "b", 1), ERROR_INVALID_ARGUMENT, "compromise");
    succeeds(bench_call(&b, BOILER, "Rotate", "a{sv}", 1, "compromised", "b", 0));
    assert_true(sd_bus_message_read(b.reply, "o", &path) > 0);
    assert_non_null(strstr(path, BUS_PATH_JOB "/"));
}

/* ---- The log ---- */

static void test_the_log_level_is_shown_and_set_by_its_name_alone(void **state)
{
    int level = log_level();

    assert_string_equal(text_property(LOG, LOG_INTERFACE, "SyslogIdentifier"), "gatehoused");
    succeeds(property(LOG, LOG_INTERFACE, "LogTarget"));
    succeeds(bench_call(&b, LOG, PROPERTIES, "Set", "ssv", LOG_INTERFACE, "LogLevel", "s", "crit"));
    assert_string_equal(text_property(LOG, LOG_INTERFACE, "LogLevel"), "crit");
    fails(bench_call(&b, LOG, PROPERTIES, "Set", "ssv", LOG_INTERFACE, "LogLevel", "s", "loud"),
          SD_BUS_ERROR_INVALID_ARGS, "there is no log level 'loud'");
    fails(bench_call(&b, LOG, PROPERTIES, "Set", "ssv", LOG_INTERFACE, "LogTarget", "s", "null"),
          SD_BUS_ERROR_NOT_SUPPORTED, "standard error");
    assert_string_equal(text_property(LOG, LOG_INTERFACE, "LogLevel"), "crit");
    log_set_level(level);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_several_points_are_written_and_answered_as_the_sensor_took_them),
        WITH(test_points_that_cannot_be_written_together_are_refused_before_the_sensor_is_asked),
        WITH(test_each_type_of_number_is_taken_for_a_point_and_text_is_not),
        WITH(test_a_short_jobs_results_are_told_with_device_outcome_and_reason),
        WITH(test_a_long_jobs_results_are_all_in_its_answer),
        WITH(test_a_jobs_properties_say_what_came_of_it),
        WITH(test_a_pause_is_a_job_that_can_be_ended_and_has_a_bound),
        WITH(test_who_looks_around_finds_each_device_and_job_by_name),
        WITH(test_a_second_answer_of_all_objects_is_refused_while_the_first_is_made),
        WITH(test_what_does_not_go_together_when_a_key_is_set_is_told),
        WITH(test_a_login_has_no_place_at_an_uplink_over_coap),
        WITH(test_a_rotation_that_is_asked_for_is_a_job),
        WITH(test_the_log_level_is_shown_and_set_by_its_name_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
