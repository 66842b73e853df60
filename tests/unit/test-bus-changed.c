/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What PropertiesChanged tells somebody who has read in between, and that strangers' calls keep nothing back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "bus/door.h"
#include "bus/internal.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "bus-bench.h"

#include <sys/fsuid.h>

#define BOILER DEVICE_PATH("boiler_2d1")
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define OBJECTS "org.freedesktop.DBus.ObjectManager"
#define NOBODY 65534

static struct bus_bench b;
static struct device *boiler;
static char known[32]; /* its State, to a client that reads and listens */
static sd_bus *stranger;
static unsigned told; /* PropertiesChanged that the stranger has had */
static bool answered; /* its GetManagedObjects is */
static unsigned told_before;

/* The State in an a{sv}, if there is one. */
static void learn(sd_bus_message *m)
{
    const char *name, *text;

    assert_true(sd_bus_message_enter_container(m, 'a', "{sv}") > 0);
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        assert_true(sd_bus_message_read(m, "s", &name) > 0);
        if (strcmp(name, "State") == 0) {
            assert_true(sd_bus_message_read(m, "v", "s", &text) > 0);
            snprintf(known, sizeof(known), "%s", text);
        } else {
            assert_true(sd_bus_message_skip(m, "v") >= 0);
        }
        assert_true(sd_bus_message_exit_container(m) >= 0);
    }
    assert_true(sd_bus_message_exit_container(m) >= 0);
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    assert_true(sd_bus_message_skip(m, "s") >= 0);
    learn(m);
    return 0;
}

static int on_told(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    told++;
    return 0;
}

static int on_objects(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    assert_false(sd_bus_message_is_method_error(m, NULL));
    answered = true;
    told_before = told;
    return 0;
}

static int setup(void **state)
{
    scratch_setup(state);
    if (!bench_begin_bus(&b, *state))
        exit(77); /* no dbus-daemon here */
    boiler = fleet_find(b.on.fleet, "boiler-1");
    assert_non_null(boiler);
    return 0;
}

static int teardown(void **state)
{
    kill(b.daemon, SIGCONT); /* a test that failed may have left it stopped */
    bench_end_bus(&b);
    return scratch_teardown(state);
}

/* ---- Who reads in between ---- */

static void call(const char *path, const char *interface, const char *member, const char *argument)
{
    const char *error =
        argument ? bench_call(&b, path, interface, member, "s", argument) : bench_call(&b, path, interface, member, "");

    if (error)
        fail_msg("%s: %s", member, error);
}

static void by_get(void)
{
    const char *error = bench_call(&b, BOILER, PROPERTIES, "Get", "ss", BUS_INTERFACE_DEVICE, "State"), *text;

    assert_null(error);
    assert_true(sd_bus_message_read(b.reply, "v", "s", &text) > 0);
    snprintf(known, sizeof(known), "%s", text);
}

static void by_get_all(void)
{
    call(BOILER, PROPERTIES, "GetAll", BUS_INTERFACE_DEVICE);
    learn(b.reply);
}

static void by_get_managed_objects(void)
{
    const char *path, *interface;

    call(BUS_PATH_MANAGER, OBJECTS, "GetManagedObjects", NULL);
    assert_true(sd_bus_message_enter_container(b.reply, 'a', "{oa{sa{sv}}}") > 0);
    do {
        assert_true(sd_bus_message_enter_container(b.reply, 'e', "oa{sa{sv}}") > 0);
        assert_true(sd_bus_message_read(b.reply, "o", &path) > 0);
        assert_true(sd_bus_message_enter_container(b.reply, 'a', "{sa{sv}}") > 0);
        while (sd_bus_message_enter_container(b.reply, 'e', "sa{sv}") > 0) {
            assert_true(sd_bus_message_read(b.reply, "s", &interface) > 0);
            if (strcmp(path, BOILER) == 0 && strcmp(interface, BUS_INTERFACE_DEVICE) == 0) {
                learn(b.reply);
                return;
            }
            assert_true(sd_bus_message_skip(b.reply, "a{sv}") >= 0);
            assert_true(sd_bus_message_exit_container(b.reply) >= 0);
        }
        assert_true(sd_bus_message_exit_container(b.reply) >= 0);
        assert_true(sd_bus_message_exit_container(b.reply) >= 0);
    } while (true);
}

static void by_list_devices(void)
{
    const char *id, *path, *driver, *uplink, *text;

    assert_null(bench_call(&b, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "ListDevices", "a{sv}", 0));
    assert_true(sd_bus_message_enter_container(b.reply, 'a', "(sosss)") > 0);
    assert_true(sd_bus_message_read(b.reply, "(sosss)", &id, &path, &driver, &uplink, &text) > 0);
    assert_string_equal(id, "boiler-1");
    snprintf(known, sizeof(known), "%s", text);
}

/* It was told A, reads B before that is told, and then there is A again: with no signal it would believe in B. Whether
 * B is told meanwhile, as on a busy machine, makes no difference to what it has to know in the end. */
static void test_what_was_read_is_not_believed_for_good(void **state)
{
    static void (*const ways[])(void) = {by_get, by_get_all, by_get_managed_objects, by_list_devices};

    assert_true(sd_bus_match_signal_async(b.client, NULL, BUS_NAME, BOILER, PROPERTIES, "PropertiesChanged", on_changed,
                                          NULL, NULL) >= 0);
    device_disconnect(boiler);
    run_until(b.on.s->event, strcmp(known, "disabled") == 0);
    for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
        device_connect(boiler);
        ways[i]();
        assert_string_not_equal(known, "disabled");
        device_disconnect(boiler);
        run_until(b.on.s->event, strcmp(known, "disabled") == 0);
    }
}

/* ---- Strangers ---- */

/* Another user, if this is root: for others than root nothing is different. */
static void stranger_comes(void)
{
    bool root = geteuid() == 0;
    sd_bus *own = b.client;

    if (root) {
        assert_int_equal(seteuid(NOBODY), 0);
        setfsuid(0); /* the socket is in a directory of root's */
    }
    assert_true(sd_bus_open_system(&stranger) >= 0);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_true(sd_bus_attach_event(stranger, b.on.s->event, 0) >= 0);
    assert_true(sd_bus_match_signal_async(stranger, NULL, BUS_NAME, BOILER, PROPERTIES, "PropertiesChanged", on_told,
                                          NULL, NULL) >= 0);
    b.client = stranger;
    call(BUS_PATH_MANAGER, "org.freedesktop.DBus.Peer", "Ping", NULL); /* from now on it is known whose it is */
    b.client = own;
}

static void stranger_goes(void)
{
    b.reply = sd_bus_message_unref(b.reply);
    stranger = sd_bus_close_unref(stranger);
}

/* Its call has come, and its answer is not begun: now the bus takes nothing more. */
static void stranger_asks_and_the_bus_stops(void)
{
    sd_bus_message *m;
    const char *name;
    int status;

    answered = false;
    assert_true(sd_bus_get_unique_name(stranger, &name) >= 0);
    assert_true(
        sd_bus_message_new_method_call(stranger, &m, BUS_NAME, BUS_PATH_MANAGER, OBJECTS, "GetManagedObjects") >= 0);
    assert_true(sd_bus_call_async(stranger, NULL, m, on_objects, NULL, UINT64_MAX) >= 0);
    sd_bus_message_unref(m);
    run_until(b.on.s->event, managed_under_way(b.bus, name));
    assert_int_equal(kill(b.daemon, SIGSTOP), 0);
    assert_int_equal(waitpid(b.daemon, &status, WUNTRACED), b.daemon);
    assert_true(WIFSTOPPED(status));
    assert_false(managed_shows(b.bus));
}

static bool crowded(void)
{
    return !door_has_room(b.bus);
}

static bool congested(void)
{
    return bus_congested(b.bus);
}

static void fill(bool (*full)(void))
{
    char text[4096];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; !full(); i++) {
        assert_true(i < 100000);
        assert_true(sd_bus_emit_signal(b.bus->connection, "/fill", "org.gatehouse1.Fill", "Fill", "s", text) >= 0);
    }
}

/* A call that waits for room has seen nothing yet, so changes are told meanwhile. */
static void test_a_strangers_call_that_waits_keeps_nothing_back(void **state)
{
    stranger_comes();
    stranger_asks_and_the_bus_stops();
    fill(crowded);
    b.changed = 0; /* words for the service manager: they do not come by the bus, which stands still */
    device_disconnect(boiler);
    run_until(b.on.s->event, b.changed > 0);
    assert_false(managed_shows(b.bus));
    kill(b.daemon, SIGCONT);
    run_until(b.on.s->event, answered);
    stranger_goes();
}

/* When both may go on, what was held back goes first: users who take turns at asking would keep it back for ever. */
static void test_what_was_held_back_goes_before_a_strangers_answer(void **state)
{
    stranger_comes();
    stranger_asks_and_the_bus_stops();
    fill(congested);
    told = 0;
    device_disconnect(boiler);
    run_until(b.on.s->event, b.bus->changes_held);
    kill(b.daemon, SIGCONT);
    run_until(b.on.s->event, answered);
    assert_true(told_before > 0);
    stranger_goes();
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_what_was_read_is_not_believed_for_good),
        WITH(test_a_strangers_call_that_waits_keeps_nothing_back),
        WITH(test_what_was_held_back_goes_before_a_strangers_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
