/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The objects of org.gatehouse1 on a private bus, called by a client of the same process: what each method and property
 * answers, and which error it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "link/client.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "bus-bench.h"

#define MANAGER BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER
#define DEVICE(path) DEVICE_PATH(path), BUS_INTERFACE_DEVICE
#define BOILER DEVICE("boiler_2d1")
#define PUMP DEVICE("pump_2d2")
#define NOWHERE DEVICE("nowhere")

static struct bus_bench b;

static int setup(void **state)
{
    scratch_setup(state);
    if (!bench_begin_bus(&b, *state))
        exit(77); /* no dbus-daemon here */
    return 0;
}

static int teardown(void **state)
{
    bench_end_bus(&b);
    return scratch_teardown(state);
}

static void succeeds(const char *error)
{
    if (error)
        fail_msg("%s: %s", error, sd_bus_message_get_error(b.reply)->message);
}

static void fails(const char *error, const char *name)
{
    assert_non_null(error);
    if (strcmp(error, name) != 0)
        fail_msg("%s (%s) instead of %s", error, sd_bus_message_get_error(b.reply)->message, name);
}

static const char *property(const char *path, const char *interface, const char *name)
{
    return bench_call(&b, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name);
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

/* A sealed memfd with these bytes. */
static int sealed(const void *data, size_t n)
{
    int fd = memfd_create("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
    return fd;
}

static void test_devices_are_listed_page_by_page(void **state)
{
    const char *id, *path, *driver, *uplink, *device_state;

    succeeds(bench_call(&b, MANAGER, "ListDevices", "a{sv}", 1, "limit", "u", 1));
    assert_true(sd_bus_message_enter_container(b.reply, 'a', "(sosss)") > 0);
    assert_true(sd_bus_message_read(b.reply, "(sosss)", &id, &path, &driver, &uplink, &device_state) > 0);
    assert_string_equal(id, "boiler-1");
    assert_string_equal(path, DEVICE_PATH("boiler_2d1"));
    assert_string_equal(driver, "sim");
    assert_true(sd_bus_message_at_end(b.reply, false) > 0);
    succeeds(bench_call(&b, MANAGER, "ListDevices", "a{sv}", 1, "after", "s", "boiler-1"));
    assert_true(sd_bus_message_enter_container(b.reply, 'a', "(sosss)") > 0);
    assert_true(sd_bus_message_read(b.reply, "(sosss)", &id, &path, &driver, &uplink, &device_state) > 0);
    assert_string_equal(id, "pump-2");
    fails(bench_call(&b, MANAGER, "ListDevices", "a{sv}", 1, "lmit", "u", 1), ERROR_INVALID_ARGUMENT);
    fails(bench_call(&b, MANAGER, "ListDevices", "a{sv}", 1, "limit", "s", "x"), ERROR_INVALID_ARGUMENT);
    succeeds(bench_call(&b, MANAGER, "ListSensors", "a{sv}", 0));
    succeeds(bench_call(&b, MANAGER, "GetSummary", ""));
}

static void test_a_device_is_found_by_its_id(void **state)
{
    const char *path;

    succeeds(bench_call(&b, MANAGER, "GetDevice", "s", "pump-2"));
    assert_true(sd_bus_message_read(b.reply, "o", &path) >= 0);
    assert_string_equal(path, DEVICE_PATH("pump_2d2"));
    fails(bench_call(&b, MANAGER, "GetDevice", "s", "nowhere"), ERROR_NO_SUCH_DEVICE);
    assert_non_null(bench_call(&b, NOWHERE, "Connect", ""));
}

static void test_each_property_can_be_read(void **state)
{
    static const char *const manager[] = {"Version",    "VaultState",    "Devices",  "Online",  "Spooled",
                                          "SpoolHours", "SpoolProblem",  "Problem",  "Drivers", "ClockProblem",
                                          "Delivered",  "Dropped",       "Rejected", "Orphans", "RotationStates",
                                          "Mistakes",   "RotationsEnded"};
    static const char *const device[] = {"Id",
                                         "Driver",
                                         "Uplink",
                                         "File",
                                         "Address",
                                         "State",
                                         "SensorState",
                                         "SensorReason",
                                         "MainIdentity",
                                         "MainFingerprint",
                                         "MainSince",
                                         "BackupIdentity",
                                         "Limits",
                                         "BindFingerprint",
                                         "LoginFingerprint",
                                         "Server",
                                         "RotationState",
                                         "RotationReason",
                                         "RotationUntil",
                                         "NextRotation",
                                         "NextTry",
                                         "Suite",
                                         "LastAuthenticated",
                                         "Group",
                                         "ForwardSecrecy",
                                         "LastError",
                                         "Delivered",
                                         "Spooled",
                                         "Dropped",
                                         "Rejected",
                                         "BackupFingerprint"};

    for (size_t i = 0; i < ELEMENTSOF(manager); i++)
        succeeds(property(MANAGER, manager[i]));
    for (size_t i = 0; i < ELEMENTSOF(device); i++)
        succeeds(property(BOILER, device[i]));
    assert_string_equal(text_property(BOILER, "Id"), "boiler-1");
    assert_string_equal(text_property(BOILER, "MainIdentity"), "child-1");
    assert_int_equal(strlen(text_property(BOILER, "MainFingerprint")), 16);
    assert_string_equal(text_property(PUMP, "State"), "no-credential");
    assert_non_null(property(MANAGER, "Nothing"));
    succeeds(bench_call(&b, BUS_PATH_MANAGER, "org.freedesktop.DBus.Properties", "GetAll", "s", BUS_INTERFACE_MANAGER));
    succeeds(bench_call(&b, DEVICE_PATH("pump_2d2"), "org.freedesktop.DBus.Properties", "GetAll", "s",
                        BUS_INTERFACE_DEVICE));
    succeeds(bench_call(&b, BUS_PATH_MANAGER, "org.freedesktop.DBus.Introspectable", "Introspect", ""));
    succeeds(bench_call(&b, BUS_PATH_MANAGER, "org.freedesktop.DBus.Peer", "Ping", ""));
}

static void test_all_objects_come_in_one_answer(void **state)
{
    const char *path;
    unsigned devices = 0;

    succeeds(bench_call(&b, BUS_PATH_MANAGER, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""));
    assert_true(sd_bus_message_enter_container(b.reply, 'a', "{oa{sa{sv}}}") > 0);
    while (sd_bus_message_enter_container(b.reply, 'e', "oa{sa{sv}}") > 0) {
        assert_true(sd_bus_message_read(b.reply, "o", &path) > 0);
        devices += strstr(path, "/device/") != NULL;
        assert_true(sd_bus_message_skip(b.reply, "a{sa{sv}}") >= 0);
        assert_true(sd_bus_message_exit_container(b.reply) >= 0);
    }
    assert_int_equal(devices, 2);
}

static void test_a_device_connects_shows_its_suite_and_disconnects(void **state)
{
    await_property(BOILER, "Suite", "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256");
    b.signals = 0;
    succeeds(bench_call(&b, BOILER, "Disconnect", ""));
    assert_string_equal(text_property(BOILER, "State"), "disabled");
    run_until(b.on.s->event, b.signals > 0); /* PropertiesChanged */
    succeeds(bench_call(&b, BOILER, "Connect", ""));
    run_until(b.on.s->event, b.on.peer.handshakes >= 2);
}

static void test_devices_are_added_and_removed_with_signals(void **state)
{
    static const char text[] = "{\"device\":\"fan-3\",\"uplink\":\"cloud\",\"driver\":\"sim\",\"sim\":"
                               "{\"interval\":\"1s\"},\"points\":{\"z\":{\"signal\":\"sine\",\"period\":\"10s\"}}}";

    fails(bench_call(&b, MANAGER, "AddDevice", "sa{sv}", "fan-3", 1, "config", "s", "{"), ERROR_INVALID_ARGUMENT);
    fails(bench_call(&b, MANAGER, "AddDevice", "sa{sv}", "fan-3", 1, "confg", "s", text), ERROR_INVALID_ARGUMENT);
    b.signals = 0;
    succeeds(bench_call(&b, MANAGER, "AddDevice", "sa{sv}", "fan-3", 1, "config", "s", text));
    run_until(b.on.s->event, strcmp(b.last_signal, "InterfacesAdded") == 0);
    assert_string_equal(text_property(DEVICE("fan_2d3"), "Driver"), "sim");
    assert_non_null(bench_call(&b, MANAGER, "AddDevice", "sa{sv}", "fan-3", 1, "config", "s", text));
    fails(bench_call(&b, MANAGER, "RemoveDevice", "sa{sv}", "nowhere", 0), ERROR_NO_SUCH_DEVICE);
    succeeds(bench_call(&b, MANAGER, "RemoveDevice", "sa{sv}", "fan-3", 1, "keep", "b", 0));
    run_until(b.on.s->event, strcmp(b.last_signal, "InterfacesRemoved") == 0);
    fails(bench_call(&b, MANAGER, "RemoveDevice", "sa{sv}", "boiler-1", 0), ERROR_READ_ONLY);
}

static void test_keys_are_set_shown_by_descriptor_and_forgotten(void **state)
{
    static const char key[] = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    int fd = sealed(key, sizeof(key) - 1), weak = sealed("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32), got;
    char back[128];

    fails(bench_call(&b, PUMP, "SetCredential", "ssha{sv}", "main", "child-2", weak, 1, "encoding", "s", "text"),
          ERROR_WEAK_KEY);
    fails(bench_call(&b, PUMP, "SetCredential", "ssha{sv}", "middle", "child-2", fd, 1, "encoding", "s", "hex"),
          ERROR_INVALID_ARGUMENT);
    succeeds(bench_call(&b, PUMP, "SetCredential", "ssha{sv}", "main", "child-2", fd, 1, "encoding", "s", "hex"));
    assert_string_equal(text_property(PUMP, "MainIdentity"), "child-2");
    lseek(fd, 0, SEEK_SET);
    assert_non_null(
        bench_call(&b, BOILER, "SetCredential", "ssha{sv}", "backup", "child-3", fd, 1, "encoding", "s", "hex"));
    succeeds(bench_call(&b, PUMP, "ExportCredential", "s", "main"));
    assert_true(sd_bus_message_read(b.reply, "h", &got) >= 0);
    assert_true(read(got, back, sizeof(back)) > 0);
    assert_non_null(bench_call(&b, PUMP, "ExportCredential", "s", "backup"));
    assert_non_null(bench_call(&b, PUMP, "Promote", ""));
    succeeds(bench_call(&b, PUMP, "ForgetCredential", "sa{sv}", "main", 1, "force", "b", 1));
    assert_string_equal(text_property(PUMP, "MainIdentity"), "");
    assert_non_null(bench_call(&b, PUMP, "ResetCounter", "a{sv}", 0));
    close(fd);
    close(weak);
}

static void test_points_of_a_driver_that_is_not_there(void **state)
{
    fails(bench_call(&b, PUMP, "Write", "sv", "y", "d", 1.5), ERROR_DRIVER_AWAY);
    assert_non_null(bench_call(&b, PUMP, "Write", "sv", "none", "d", 1.5));
    assert_non_null(bench_call(&b, BOILER, "Write", "sv", "x", "d", 1.5));
    assert_non_null(bench_call(&b, PUMP, "Read", "s", "y"));
    assert_non_null(bench_call(&b, PUMP, "Read", "s", "none"));
    succeeds(bench_call(&b, PUMP, "GetSamples", ""));
    fails(bench_call(&b, PUMP, "GetStatistics", ""), ERROR_DRIVER_AWAY);
    assert_non_null(bench_call(&b, MANAGER, "Scan", "sa{sv}", "sim", 0));
    assert_non_null(bench_call(&b, MANAGER, "ReadRaw", "sa{sv}", "sim", 0));
}

/* The path of the job of the last reply, whose State becomes that. */
static void job_ends(const char *wanted)
{
    const char *reply_path;
    char path[64];

    assert_true(sd_bus_message_read(b.reply, "o", &reply_path) >= 0);
    snprintf(path, sizeof(path), "%s", reply_path);
    await_property(path, BUS_INTERFACE_JOB, "State", wanted);
    succeeds(bench_call(&b, path, "org.freedesktop.DBus.Properties", "GetAll", "s", BUS_INTERFACE_JOB));
    assert_non_null(bench_call(&b, path, BUS_INTERFACE_JOB, "Cancel", "")); /* over */
}

static void test_long_operations_are_jobs(void **state)
{
    int backup = memfd_create("backup", MFD_CLOEXEC);

    succeeds(bench_call(&b, MANAGER, "VerifyVault", ""));
    job_ends("done");
    succeeds(bench_call(&b, MANAGER, "Check", "a{sv}", 0));
    job_ends("done");
    succeeds(bench_call(&b, MANAGER, "Backup", "ha{sv}", backup, 0));
    job_ends("done");
    assert_true(lseek(backup, 0, SEEK_END) > 0);
    close(backup);
    assert_non_null(bench_call(&b, BUS_PATH_JOB "/999", BUS_INTERFACE_JOB, "Cancel", ""));
}

/* What is under way with the cloud goes on to its end, so when the job is over is not asked here. */
static void test_a_running_job_takes_a_cancellation(void **state)
{
    const char *path;
    char copy[64];

    b.on.peer.silent = true; /* the cloud does not answer, so the rotation goes on until it is cancelled */
    succeeds(bench_call(&b, MANAGER, "RotateAll", "a{sv}", 0));
    assert_true(sd_bus_message_read(b.reply, "o", &path) >= 0);
    snprintf(copy, sizeof(copy), "%s", path);
    succeeds(bench_call(&b, copy, BUS_INTERFACE_JOB, "Cancel", ""));
    assert_non_null(bench_call(&b, MANAGER, "RotateAll", "a{sv}", 1, "nonsense", "b", 1));
}

static void test_lists_come_and_go_by_descriptor(void **state)
{
    static const char list[] = "device,identity,key\nfan-9,child-9,"
                               "8f1e2d3c4b5a69788796a5b4c3d2e1f000112233445566778899aabbccddeeff\n";
    int in = sealed(list, sizeof(list) - 1), bad = sealed("x\ny\n", 4), out = memfd_create("out", MFD_CLOEXEC);

    assert_non_null(bench_call(&b, MANAGER, "Provision", "ha{sv}", in, 1, "nonsense", "b", 1));
    succeeds(bench_call(&b, MANAGER, "Provision", "ha{sv}", in, 2, "format", "s", "csv", "template", "s",
                        "{\"uplink\":\"cloud\",\"driver\":\"sim\",\"sim\":{\"interval\":\"1s\"},\"points\":{\"x\":"
                        "{\"signal\":\"sine\",\"period\":\"10s\"}}}"));
    job_ends("done");
    assert_string_equal(text_property(DEVICE("fan_2d9"), "MainIdentity"), "child-9");
    (void)bench_call(&b, MANAGER, "Provision", "ha{sv}", bad, 1, "format", "s", "csv");
    succeeds(bench_call(&b, MANAGER, "Export", "sha{sv}", "csv", out, 0));
    assert_true(lseek(out, 0, SEEK_END) > 0);
    assert_non_null(bench_call(&b, MANAGER, "Export", "sha{sv}", "nonsense", out, 0));
    close(in);
    close(bad);
    close(out);
}

static void test_the_vault_gets_another_key(void **state)
{
    uint8_t bytes[KEYFILE_SIZE];
    int fd, few = sealed("few", 3);

    assert_int_equal(gnutls_rnd(GNUTLS_RND_RANDOM, bytes, sizeof(bytes)), 0);
    fd = sealed(bytes, sizeof(bytes));
    assert_non_null(bench_call(&b, MANAGER, "Rekey", "h", few));
    succeeds(bench_call(&b, MANAGER, "Rekey", "h", fd));
    assert_non_null(bench_call(&b, MANAGER, "SetRecoveryKey", "h", few));
    close(fd);
    close(few);
}

static void test_files_are_read_again(void **state)
{
    bench_file(&b.on, "etc/devices.d/new-4.json",
               "{\"device\":\"new-4\",\"uplink\":\"cloud\",\"driver\":\"sim\",\"sim\":{\"interval\":\"1s\"},"
               "\"points\":{\"x\":{\"signal\":\"sine\",\"period\":\"10s\"}}}");
    succeeds(bench_call(&b, MANAGER, "Reload", ""));
    assert_string_equal(text_property(DEVICE("new_2d4"), "Id"), "new-4");
    bench_file(&b.on, "etc/devices.d/new-4.json", "{");
    assert_non_null(bench_call(&b, MANAGER, "Reload", ""));
    assert_string_equal(text_property(DEVICE("new_2d4"), "Id"), "new-4"); /* what runs is kept */
}

static void test_samples_are_for_whoever_subscribes(void **state)
{
    succeeds(bench_call(&b, MANAGER, "Subscribe", "as", 1, "boiler-1"));
    assert_non_null(bench_call(&b, MANAGER, "Subscribe", "as", 1, "nowhere"));
    succeeds(bench_call(&b, MANAGER, "Unsubscribe", ""));
    succeeds(bench_call(&b, MANAGER, "Subscribe", "as", 0));
}

/* ---- With a driver ---- */

static struct link_client *driver;

static void on_connection(int r, const char *reason, void *userdata) {}

static void on_devices(const struct link_device *devices, size_t n, void *userdata)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(link_client_device_state(driver, devices[i].id, "ok", ""), 0);
}

static void on_write(struct link_call *call, const char *device, const char *point, const struct sample_value *value,
                     void *userdata)
{
    if (value->type == SAMPLE_DOUBLE && value->d > 100)
        link_call_fail(call, -ERANGE, "at most 100");
    else
        link_call_value(call, value);
}

static void on_read(struct link_call *call, const char *device, const char *point, void *userdata)
{
    link_call_value(call, &(struct sample_value){.type = SAMPLE_DOUBLE, .d = 21.5});
}

static void on_check(struct link_call *call, const char *device, const char *text, void *userdata)
{
    link_call_complaints(call, NULL, 0);
}

static void on_scan(struct link_call *call, json_object *options, void *userdata)
{
    json_object *found = json_tokener_parse("[{\"address\":\"A\",\"rssi\":-40,\"known\":true,\"level\":0.5}]");

    link_call_found(call, found);
    json_object_put(found);
}

static void on_read_raw(struct link_call *call, json_object *options, void *userdata)
{
    const struct sample_value values[] = {{SAMPLE_INT, .x = -1},
                                          {SAMPLE_UINT, .t = 7},
                                          {SAMPLE_BOOL, .b = true},
                                          {SAMPLE_DOUBLE, .d = 0.5},
                                          {SAMPLE_STRING, .s = "text"}};

    link_call_values(call, values, ELEMENTSOF(values));
}

static void on_statistics(struct link_call *call, const char *device, void *userdata)
{
    json_object *counts = json_tokener_parse("{\"reads\":3}");

    link_call_counts(call, counts);
    json_object_put(counts);
}

static void on_quit(void *userdata) {}

static void sample(const char *device, const char *point, double value)
{
    const struct sample s = {
        .point = point, .time = 1700000000000000, .unit = "Cel", .value = {SAMPLE_DOUBLE, .d = value}};
    struct queued *q = queued_new(device, &s);

    assert_non_null(q);
    link_client_push(driver, q);
}

static void test_a_driver_is_written_to_read_from_and_heard(void **state)
{
    static const struct link_client_ops client_ops = {.connection = on_connection,
                                                      .set_devices = on_devices,
                                                      .write = on_write,
                                                      .read = on_read,
                                                      .check_config = on_check,
                                                      .scan = on_scan,
                                                      .read_raw = on_read_raw,
                                                      .statistics = on_statistics,
                                                      .quit = on_quit};
    const struct link_client_options options = {bench_path(&b.on, "run"), "sim", "1"};
    const char *text;
    double value;
    uint64_t counted;
    struct error e;

    succeeds(bench_call(&b, MANAGER, "Subscribe", "as", 1, "boiler-1"));
    assert_int_equal(link_client_new(b.on.s->event, &options, &client_ops, NULL, &driver, &e), 0);
    await_property(PUMP, "SensorState", "ok");
    succeeds(bench_call(&b, PUMP, "Write", "sv", "y", "d", 1.5));
    assert_true(sd_bus_message_read(b.reply, "v", "d", &value) >= 0);
    assert_true(value > 1.4 && value < 1.6);
    assert_non_null(bench_call(&b, PUMP, "Write", "sv", "y", "d", 101.0));
    assert_non_null(bench_call(&b, PUMP, "Write", "sv", "y", "as", 0));
    fails(bench_call(&b, BOILER, "Write", "sv", "x", "d", 1.5), ERROR_NOT_WRITABLE);
    fails(bench_call(&b, PUMP, "Write", "sv", "none", "d", 1.5), ERROR_NO_SUCH_POINT);
    succeeds(bench_call(&b, BOILER, "Read", "s", "x"));
    assert_true(sd_bus_message_read(b.reply, "v", "d", &value) >= 0);
    assert_true(value > 21.4 && value < 21.6);
    succeeds(bench_call(&b, PUMP, "GetStatistics", ""));
    assert_true(sd_bus_message_read(b.reply, "a{st}", 1, &text, &counted) >= 0);
    assert_int_equal(counted, 3);
    sample("boiler-1", "x", 20.5);
    sample("pump-2", "y", 1);
    run_until(b.on.s->event, strcmp(b.last_signal, "Sample") == 0);
    succeeds(bench_call(&b, BOILER, "GetSamples", ""));
    assert_true(sd_bus_message_enter_container(b.reply, 'a', "(stvsu)") > 0);
    assert_true(sd_bus_message_enter_container(b.reply, 'r', "stvsu") > 0);
    assert_true(sd_bus_message_read(b.reply, "s", &text) > 0);
    assert_string_equal(text, "x");
    succeeds(bench_call(&b, MANAGER, "ReadRaw", "sa{sv}", "sim", 1, "count", "u", 5));
    succeeds(bench_call(&b, MANAGER, "Scan", "sa{sv}", "sim", 1, "duration", "u", 1));
    job_ends("done");
    succeeds(bench_call(&b, BUS_PATH_MANAGER, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""));
    succeeds(property(MANAGER, "Drivers"));
    driver = link_client_free(driver);
    await_property(PUMP, "SensorState", "no-driver");
}

static void test_the_bus_may_go_away_and_come_back(void **state)
{
    b.client = sd_bus_close_unref(b.client);
    kill(b.daemon, SIGTERM);
    waitpid(b.daemon, NULL, 0);
    b.ready = false;
    unlink(bench_path(&b.on, "bus"));
    assert_true(bench_daemon(&b));
    run_until(b.on.s->event, b.ready);
    bench_client(&b);
    succeeds(bench_call(&b, MANAGER, "GetDevice", "s", "pump-2"));
    assert_int_equal(b.lost, 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_devices_are_listed_page_by_page),
        WITH(test_a_device_is_found_by_its_id),
        WITH(test_each_property_can_be_read),
        WITH(test_all_objects_come_in_one_answer),
        WITH(test_a_device_connects_shows_its_suite_and_disconnects),
        WITH(test_devices_are_added_and_removed_with_signals),
        WITH(test_keys_are_set_shown_by_descriptor_and_forgotten),
        WITH(test_points_of_a_driver_that_is_not_there),
        WITH(test_long_operations_are_jobs),
        WITH(test_a_running_job_takes_a_cancellation),
        WITH(test_lists_come_and_go_by_descriptor),
        WITH(test_the_vault_gets_another_key),
        WITH(test_files_are_read_again),
        WITH(test_samples_are_for_whoever_subscribes),
        WITH(test_a_driver_is_written_to_read_from_and_heard),
        WITH(test_the_bus_may_go_away_and_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
