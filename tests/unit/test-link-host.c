/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's end of the private bus against peers that misbehave, and against the driver's end, in one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "link/client.h"
#include "link/host.h"

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DEADLINE (10 * USEC_PER_SEC)
#define HELD_MAX 16

struct fixture {
    char directory[64];
    sd_event *event;
    struct workers *workers;
    struct link_host *host;
    struct link_driver *driver;
    bool hold;
    int answer; /* to reports */
    struct link_report *held[HELD_MAX];
    size_t n_held, reports, samples;
    int64_t last;
    char state[256];
};

static void on_report(struct link_driver *d, struct link_report *token, const char *device,
                      const struct sample *samples, size_t n, void *userdata)
{
    struct fixture *f = userdata;

    f->reports++;
    f->samples += n;
    f->last = samples[n - 1].value.x;
    if (f->hold)
        f->held[f->n_held++] = token;
    else
        link_report_done(token, f->answer);
}

static void on_state(struct link_driver *d, const char *device, const char *state, const char *reason, void *userdata)
{
    struct fixture *f = userdata;

    snprintf(f->state, sizeof(f->state), "%s %s %s", device, state, reason);
}

static void on_driver(struct link_driver *d, void *userdata)
{
    ((struct fixture *)userdata)->driver = d;
}

static const struct link_host_ops host_ops = {
    .driver_changed = on_driver, .report = on_report, .device_state = on_state};

static void start_host(struct fixture *f, bool self_naming)
{
    const struct link_host_options options = {.runtime_dir = f->directory, .self_naming = self_naming};
    const struct link_device devices[] = {{"b", "{}", "{}"}, {"a", "{}", "{}"}};
    struct error e = {""};

    assert_int_equal(link_host_new(f->event, f->workers, &options, &host_ops, f, &f->host, &e), 0);
    assert_int_equal(link_host_set_devices(f->host, "sim", devices, 2), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    log_init("test", LOG_EMERG);
    snprintf(f->directory, sizeof(f->directory), "/tmp/test-link-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(sd_event_new(&f->event), 0);
    assert_int_equal(workers_new(f->event, 1, &f->workers), 0);
    start_host(f, true);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    while (f->n_held > 0)
        link_report_done(f->held[--f->n_held], 0);
    link_host_free(f->host);
    workers_free(f->workers);
    sd_event_unref(f->event);
    assert_int_equal(rmdir(f->directory), 0); /* the socket is gone */
    free(f);
    return 0;
}

static void run_until(struct fixture *f, const bool *flag)
{
    uint64_t end = clock_boottime() + DEADLINE;

    while (!*flag) {
        assert_true(clock_boottime() < end);
        assert_true(sd_event_run(f->event, 100 * USEC_PER_MSEC) >= 0);
    }
}

/* A peer made by hand, on the same loop. */
static sd_bus *connect_peer(struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sd_bus *bus;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" LINK_SOCKET, f->directory);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(sd_bus_new(&bus), 0);
    assert_int_equal(sd_bus_set_fd(bus, fd, fd), 0);
    assert_true(sd_bus_start(bus) >= 0);
    assert_true(sd_bus_attach_event(bus, f->event, 0) >= 0);
    return bus;
}

struct answer {
    bool there;
    char error[128];
    uint32_t credits;
};

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct answer *a = userdata;

    a->there = true;
    if (sd_bus_message_is_method_error(m, NULL))
        snprintf(a->error, sizeof(a->error), "%s", sd_bus_message_get_error(m)->name);
    else if (sd_bus_message_has_signature(m, "u"))
        (void)sd_bus_message_read(m, "u", &a->credits);
    return 1;
}

static sd_bus_message *new_call(sd_bus *bus, const char *member)
{
    sd_bus_message *m;

    assert_true(sd_bus_message_new_method_call(bus, &m, NULL, LINK_PATH, LINK_INTERFACE_HOST, member) >= 0);
    return m;
}

/* Sends m (which it takes) and waits for the answer. */
static struct answer ask(struct fixture *f, sd_bus *bus, sd_bus_message *m)
{
    struct answer a = {false};

    assert_true(sd_bus_call_async(bus, NULL, m, on_answer, &a, 0) >= 0);
    sd_bus_message_unref(m);
    run_until(f, &a.there);
    return a;
}

static struct answer hello(struct fixture *f, sd_bus *bus, const char *name, uint32_t abi, const char *key)
{
    sd_bus_message *m = new_call(bus, "Hello");

    assert_true(sd_bus_message_append(m, "sua{sv}", name, abi, 1, key, "s", "1.0") >= 0);
    return ask(f, bus, m);
}

static sd_bus_message *new_report(sd_bus *bus, const char *device, size_t n)
{
    struct sample *samples = calloc(n + 1, sizeof(*samples));
    sd_bus_message *m = new_call(bus, "Report");

    for (size_t i = 0; i < n; i++)
        samples[i] = (struct sample){"p", 1, {.type = SAMPLE_INT, .x = (int64_t)i}, "", 0};
    assert_true(sd_bus_message_append_basic(m, 's', device) >= 0);
    assert_true(wire_append_samples(m, samples, n) >= 0);
    free(samples);
    return m;
}

#define INVALID ERROR_INVALID_ARGUMENT

static void test_hello(void **state)
{
    const struct {
        const char *name;
        uint32_t abi;
        const char *key, *error;
    } rows[] = {
        {"sim", LINK_ABI + 1, "version", INVALID}, {"../sim", LINK_ABI, "version", INVALID},
        {"", LINK_ABI, "version", INVALID},        {"sim", LINK_ABI, "colour", INVALID},
        {"sim", LINK_ABI, "version", ""},          {"sim", LINK_ABI, "version", INVALID}, /* again */
    };
    struct fixture *f = *state;
    sd_bus *bus = connect_peer(f);

    assert_string_equal(ask(f, bus, new_report(bus, "a", 1)).error, INVALID);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(hello(f, bus, rows[i].name, rows[i].abi, rows[i].key).error, rows[i].error);
    assert_string_equal(link_driver_version(f->driver), "1.0");
    sd_bus_close_unref(bus);
}

static void append_bad(sd_bus_message *m, size_t i)
{
    static const char *const points[] = {"", "a b", "-x"};
    struct sample s = {"p", 1, {.type = SAMPLE_DOUBLE, .d = 1}, "", 0};

    if (i < 3)
        s.point = points[i];
    else if (i == 3)
        s.value.d = NAN;
    else if (i == 4)
        s.value.d = -INFINITY;
    else if (i == 5)
        s.unit = "0123456789012345678901234567890123456789";
    else if (i == 6)
        s.unit = "a\nb";
    else if (i == 7)
        s.quality = 1 << 4;
    if (i < 8)
        assert_true(wire_append_samples(m, &s, 1) >= 0);
    else
        assert_true(sd_bus_message_append(m, WIRE_SAMPLES, 1, "p", UINT64_C(1), i == 8 ? "y" : "u", 7, "", 0) >= 0);
}

static void test_bad_reports(void **state)
{
    struct fixture *f = *state;
    sd_bus *bus = connect_peer(f);
    sd_bus_message *m;

    assert_string_equal(hello(f, bus, "sim", LINK_ABI, "version").error, "");
    for (size_t i = 0; i < 10; i++) {
        m = new_call(bus, "Report");
        assert_true(sd_bus_message_append_basic(m, 's', "a") >= 0);
        append_bad(m, i);
        assert_string_equal(ask(f, bus, m).error, INVALID);
    }
    assert_string_equal(ask(f, bus, new_report(bus, "a", LINK_REPORT_MAX + 1)).error, INVALID);
    assert_string_equal(ask(f, bus, new_report(bus, "z", 1)).error, ERROR_NO_SUCH_DEVICE);
    m = new_call(bus, "Report");
    assert_true(sd_bus_message_append(m, "s", "a") >= 0);
    assert_string_equal(ask(f, bus, m).error, INVALID);
    assert_true(ask(f, bus, new_call(bus, "Reboot")).error[0]);
    assert_int_equal(f->reports, 0);
    assert_int_equal(link_driver_counts(f->driver)->refused, 14);
    /* and it may still speak */
    assert_string_equal(ask(f, bus, new_report(bus, "a", 2)).error, "");
    assert_int_equal(f->samples, 2);
    sd_bus_close_unref(bus);
}

static struct answer tell_state(struct fixture *f, sd_bus *bus, const char *device, const char *name)
{
    sd_bus_message *m = new_call(bus, "DeviceState");

    assert_true(sd_bus_message_append(m, "sss", device, name, "line\nbreak") >= 0);
    return ask(f, bus, m);
}

static void test_device_state(void **state)
{
    struct fixture *f = *state;
    sd_bus *bus = connect_peer(f);

    assert_string_equal(tell_state(f, bus, "a", "ok").error, INVALID); /* before Hello */
    assert_string_equal(hello(f, bus, "sim", LINK_ABI, "version").error, "");
    assert_string_equal(tell_state(f, bus, "z", "ok").error, ERROR_NO_SUCH_DEVICE);
    assert_string_equal(tell_state(f, bus, "a", "perfect").error, INVALID);
    assert_string_equal(f->state, "");
    assert_string_equal(tell_state(f, bus, "a", "failed").error, "");
    assert_string_equal(f->state, "a failed line break");
    sd_bus_close_unref(bus);
}

static void test_credits(void **state)
{
    struct answer late[4] = {{false}};
    struct fixture *f = *state;
    sd_bus *bus = connect_peer(f);
    sd_bus_message *m;

    assert_string_equal(hello(f, bus, "sim", LINK_ABI, "version").error, "");
    assert_int_equal(ask(f, bus, new_report(bus, "a", 10)).credits, LINK_CREDITS);
    f->hold = true;
    for (size_t i = 0; i < 4; i++) {
        m = new_report(bus, "a", 990);
        assert_true(sd_bus_call_async(bus, NULL, m, on_answer, &late[i], 0) >= 0);
        sd_bus_message_unref(m);
    }
    /* the window is nearly used up by what has no answer yet */
    assert_string_equal(ask(f, bus, new_report(bus, "a", 41)).error, ERROR_BUSY);
    assert_int_equal(f->n_held, 4);
    f->hold = false;
    link_report_done(f->held[--f->n_held], 0);
    run_until(f, &late[3].there);
    assert_in_range(late[3].credits, LINK_CREDITS_MIN, LINK_CREDITS - 3 * 990);
    sd_bus_close_unref(bus);
}

/* Who sends faster than it may is answered later, and never without credits. */
static void test_rate(void **state)
{
    struct fixture *f = *state;
    sd_bus *bus = connect_peer(f);
    uint64_t begin = clock_boottime();
    size_t sent = 0;

    assert_string_equal(hello(f, bus, "sim", LINK_ABI, "version").error, "");
    for (uint32_t credits = 1000; sent<2 * LINK_SAMPLES_PER_SEC; sent += credits> 1000 ? 1000 : credits) {
        struct answer a = ask(f, bus, new_report(bus, "a", credits > 1000 ? 1000 : credits));

        assert_string_equal(a.error, "");
        assert_true(a.credits >= LINK_CREDITS_MIN);
        credits = a.credits;
    }
    assert_int_equal(link_driver_counts(f->driver)->refused, 0);
    /* one second's worth is granted at once, the rest flows in */
    assert_true(clock_boottime() - begin > USEC_PER_SEC / 2);
    sd_bus_close_unref(bus);
}

static int on_gone(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    *(bool *)userdata = true;
    return 0;
}

static void watch_end(sd_bus *bus, bool *gone)
{
    assert_true(sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                    "org.freedesktop.DBus.Local", "Disconnected", on_gone, gone) >= 0);
}

static void test_second_connection_replaces_the_first(void **state)
{
    struct fixture *f = *state;
    sd_bus *first = connect_peer(f), *second = connect_peer(f);
    bool gone = false;

    watch_end(first, &gone);
    assert_string_equal(hello(f, first, "sim", LINK_ABI, "version").error, "");
    assert_string_equal(hello(f, second, "sim", LINK_ABI, "version").error, "");
    run_until(f, &gone);
    assert_true(link_driver_connected(f->driver));
    assert_int_equal(link_driver_counts(f->driver)->connections, 2);
    assert_string_equal(ask(f, second, new_report(second, "a", 1)).error, "");
    sd_bus_close_unref(first);
    sd_bus_close_unref(second);
}

/* Our own user is no driver's, and may not name itself unless the agent was started by hand. */
static void test_unknown_uid(void **state)
{
    struct fixture *f = *state;
    bool gone = false;
    sd_bus *bus;

    link_host_free(f->host);
    start_host(f, false);
    bus = connect_peer(f);
    watch_end(bus, &gone);
    run_until(f, &gone);
    sd_bus_close_unref(bus);
}

/* A call that wants no answer is refused like any other: it once counted as allowed. */
static void test_silent_hello_takes_no_name(void **state)
{
    struct fixture *f = *state;
    sd_bus *sim = connect_peer(f), *other = connect_peer(f);
    sd_bus_message *m;

    assert_string_equal(hello(f, sim, "sim", LINK_ABI, "version").error, "");
    assert_string_equal(hello(f, other, "other", LINK_ABI, "version").error, "");
    m = new_call(other, "Hello");
    assert_true(sd_bus_message_set_expect_reply(m, 0) >= 0);
    assert_true(sd_bus_message_append(m, "sua{sv}", "sim", LINK_ABI, 1, "version", "s", "stolen") >= 0);
    assert_true(sd_bus_send(other, m, NULL) >= 0);
    sd_bus_message_unref(m);
    assert_string_equal(ask(f, other, new_report(other, "a", 1)).error, ERROR_NO_SUCH_DEVICE);
    assert_string_equal(ask(f, sim, new_report(sim, "a", 1)).error, "");
    assert_string_equal(link_driver_version(link_host_find_driver(f->host, "sim")), "1.0");
    assert_int_equal(link_driver_counts(link_host_find_driver(f->host, "sim"))->connections, 1);
    sd_bus_close_unref(other);
    sd_bus_close_unref(sim);
}

/* Nor does a stranger act before Hello. */
static void test_silent_report_before_hello(void **state)
{
    struct fixture *f = *state;
    sd_bus *bus = connect_peer(f);
    sd_bus_message *m = new_report(bus, "a", 1);

    assert_true(sd_bus_message_set_expect_reply(m, 0) >= 0);
    assert_true(sd_bus_send(bus, m, NULL) >= 0);
    sd_bus_message_unref(m);
    assert_string_equal(ask(f, bus, new_report(bus, "a", 1)).error, INVALID);
    assert_int_equal(f->reports, 0);
    sd_bus_close_unref(bus);
}

/* Names that come and go leave room: those of drivers with devices stay. */
static void test_names_without_devices_are_freed(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3 * LINK_DRIVERS_MAX; i++) {
        sd_bus *bus = connect_peer(f);
        char name[16];
        bool gone = false;

        snprintf(name, sizeof(name), "name-%d", i);
        assert_string_equal(hello(f, bus, name, LINK_ABI, "version").error, "");
        sd_bus_close_unref(bus);
        for (uint64_t end = clock_boottime() + DEADLINE; !gone; gone = !link_host_find_driver(f->host, name)) {
            assert_true(clock_boottime() < end);
            assert_true(sd_event_run(f->event, 100 * USEC_PER_MSEC) >= 0);
        }
    }
    assert_non_null(link_host_find_driver(f->host, "sim"));
}

struct outcome {
    bool there;
    int r;
};

static void on_value(int r, const struct link_failure *failure, const struct sample_value *value, void *userdata)
{
    *(struct outcome *)userdata = (struct outcome){true, r};
}

static void test_call_ends_with_its_driver(void **state)
{
    const struct sample_value value = {.type = SAMPLE_BOOL, .b = true};
    struct outcome outcome = {false, 0};
    struct fixture *f = *state;
    sd_bus *bus = connect_peer(f);

    assert_int_equal(link_host_write(f->host, "sim", "a", "p", &value, on_value, &outcome), -ENOTCONN);
    assert_string_equal(hello(f, bus, "sim", LINK_ABI, "version").error, "");
    assert_int_equal(link_host_write(f->host, "sim", "a", "no point", &value, on_value, &outcome), -EINVAL);
    assert_int_equal(link_host_write(f->host, "sim", "a", "p", &value, on_value, &outcome), 0);
    assert_false(outcome.there);
    sd_bus_close_unref(bus);
    run_until(f, &outcome.there);
    assert_int_equal(outcome.r, -ENOTCONN);
    assert_false(link_driver_connected(f->driver));
}

static void test_devices_refused(void **state)
{
    const struct link_device twice[] = {{"a", "{}", "{}"}, {"b", "{}", "{}"}, {"a", "{}", "{}"}};
    const struct link_device bad = {"a/b", "{}", "{}"};
    struct fixture *f = *state;

    assert_int_equal(link_host_set_devices(f->host, "sim", twice, 3), -EINVAL);
    assert_int_equal(link_host_set_devices(f->host, "sim", &bad, 1), -EINVAL);
    assert_int_equal(link_host_set_devices(f->host, "s m", twice, 2), -EINVAL);
    assert_int_equal(link_host_set_devices(f->host, "sim", NULL, 0), 0);
}

struct driver_end {
    bool connected;
    size_t sets;
};

static void client_connection(int r, const char *reason, void *userdata)
{
    ((struct driver_end *)userdata)->connected = r >= 0;
}

static void client_devices(const struct link_device *devices, size_t n, void *userdata)
{
    assert_int_equal(n, 2);
    assert_string_equal(devices[0].id, "a");
    ((struct driver_end *)userdata)->sets++;
}

static const struct link_client_ops client_ops = {.connection = client_connection, .set_devices = client_devices};

static void push(struct link_client *c, const char *device, int64_t value)
{
    const struct sample s = {"p", 1, {.type = SAMPLE_INT, .x = value}, "", 0};

    link_client_push(c, queued_new(device, &s));
}

/* Runs until the client has nothing left that is not answered. */
static void run_dry(struct fixture *f, struct link_client *c)
{
    uint64_t end = clock_boottime() + DEADLINE;

    while (link_client_pending(c) > 0) {
        assert_true(clock_boottime() < end);
        assert_true(sd_event_run(f->event, 100 * USEC_PER_MSEC) >= 0);
    }
}

static void test_client(void **state)
{
    struct fixture *f = *state;
    const struct link_client_options options = {f->directory, "sim", "2.0"};
    struct driver_end end = {false, 0};
    struct link_client *c;

    assert_int_equal(link_client_new(f->event, &options, &client_ops, &end, &c, NULL), 0);
    assert_int_equal(link_client_device_state(c, "a", "ok", ""), -ENOTCONN);
    /* before there is a connection: one Report a device holds them all */
    for (int i = 0; i < 100; i++)
        push(c, i % 2 ? "a" : "b", i);
    run_dry(f, c);
    assert_int_equal(f->samples, 100);
    assert_int_equal(f->reports, 2);
    assert_true(end.connected);
    assert_int_equal(end.sets, 1);
    /* what is no device of ours is dropped and counted, and holds nothing up */
    push(c, "z", 1);
    push(c, "a", 7);
    run_dry(f, c);
    assert_int_equal(link_client_refused(c), 1);
    assert_int_equal(f->last, 7);
    /* an agent that cannot take them gets them again */
    f->answer = -ENOSPC;
    push(c, "a", 8);
    while (f->reports < 4)
        assert_true(sd_event_run(f->event, 100 * USEC_PER_MSEC) >= 0);
    f->answer = 0;
    run_dry(f, c);
    assert_int_equal(f->last, 8);
    assert_int_equal(f->reports, 5);
    assert_int_equal(link_client_dropped(c), 0);
    link_client_free(c);
}

/* A broken connection: all that had no answer comes again, in its order. */
static void test_client_reconnects(void **state)
{
    struct fixture *f = *state;
    const struct link_client_options options = {f->directory, "sim", "2.0"};
    struct driver_end end = {false, 0};
    struct link_client *c;
    sd_bus *other;

    assert_int_equal(link_client_new(f->event, &options, &client_ops, &end, &c, NULL), 0);
    run_until(f, &end.connected);
    f->hold = true;
    for (int i = 0; i < 4; i++) {
        size_t before = f->n_held;

        push(c, "a", i);
        while (f->n_held == before)
            assert_true(sd_event_run(f->event, 100 * USEC_PER_MSEC) >= 0);
    }
    f->hold = false;
    f->samples = 0;
    /* somebody takes the connection over, and leaves */
    other = connect_peer(f);
    assert_string_equal(hello(f, other, "sim", LINK_ABI, "version").error, "");
    sd_bus_close_unref(other);
    run_dry(f, c);
    assert_int_equal(f->samples, 4);
    assert_int_equal(f->last, 3);
    link_client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hello, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_reports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_state, setup, teardown),
        cmocka_unit_test_setup_teardown(test_credits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_connection_replaces_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_hello_takes_no_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_report_before_hello, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_without_devices_are_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_uid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_ends_with_its_driver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_devices_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_reconnects, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
