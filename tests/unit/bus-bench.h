/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The objects on a private bus, in the process of the test: a dbus-daemon, a fleet of a few devices, and a client in
 * the same event loop. Included after vault-scratch.h and coap-peer.h. */

#include "base/names.h"
#include "bus/bus.h"
#include "fleet-bench.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

#define DEVICE_PATH(id) BUS_PATH_DEVICE "/" id

struct bus_bench {
    struct fleet_bench on;
    pid_t daemon;
    struct bus *bus;
    sd_bus *client;
    bool ready;
    unsigned lost, changed, signals;
    char last_signal[64];
    sd_bus_message *reply; /* of the last call */
    bool replied;
};

/* False: there is no dbus-daemon. */
static bool bench_daemon(struct bus_bench *b)
{
    char config[1024], option[200], address[200], line[256];
    const char *const argv[] = {"dbus-daemon", "--nofork", "--nopidfile", "--print-address=1", option, NULL};
    posix_spawn_file_actions_t actions;
    int fds[2];

    snprintf(config, sizeof(config),
             "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" "
             "\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"><busconfig><listen>unix:path=%s/bus"
             "</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>"
             "<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>",
             b->on.s->directory);
    bench_file(&b->on, "bus.conf", config);
    snprintf(option, sizeof(option), "--config-file=%s/bus.conf", b->on.s->directory);
    snprintf(address, sizeof(address), "unix:path=%s/bus", b->on.s->directory);
    setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    if (posix_spawnp(&b->daemon, argv[0], &actions, NULL, (char *const *)argv, environ) != 0)
        return false;
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    assert_true(read(fds[0], line, sizeof(line)) > 0); /* its address: it listens */
    close(fds[0]);
    return true;
}

static void bench_ready(void *userdata)
{
    ((struct bus_bench *)userdata)->ready = true;
}

static void bench_name_lost(void *userdata, const char *why)
{
    ((struct bus_bench *)userdata)->lost++;
}

static void bench_changed(void *userdata)
{
    ((struct bus_bench *)userdata)->changed++;
}

static int bench_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus_bench *b = userdata;

    b->signals++;
    snprintf(b->last_signal, sizeof(b->last_signal), "%s", sd_bus_message_get_member(m));
    return 0;
}

static void bench_client(struct bus_bench *b)
{
    assert_true(sd_bus_open_system(&b->client) >= 0);
    assert_true(sd_bus_attach_event(b->client, b->on.s->event, 0) >= 0);
    assert_true(sd_bus_match_signal_async(b->client, NULL, BUS_NAME, NULL, NULL, NULL, bench_signal, NULL, b) >= 0);
}

static void bench_bus(struct bus_bench *b)
{
    const struct bus_ops ops = {
        .ready = bench_ready, .name_lost = bench_name_lost, .changed = bench_changed, .userdata = b};

    assert_true(bus_new(b->on.s->event, b->on.fleet, &ops, &b->bus) >= 0);
    run_until(b->on.s->event, b->ready);
}

/* False: there is no dbus-daemon. */
static bool bench_begin_bus(struct bus_bench *b, struct scratch *s)
{
    *b = (struct bus_bench){.on = {.s = s}};
    if (!bench_daemon(b))
        return false;
    bench_begin_fleet(&b->on, s);
    bench_client(b);
    bench_bus(b);
    return true;
}

static void bench_end_bus(struct bus_bench *b)
{
    bench_stop_fleet(&b->on);
    b->reply = sd_bus_message_unref(b->reply);
    b->client = sd_bus_close_unref(b->client);
    bus_free(b->bus);
    bench_end_fleet(&b->on);
    kill(b->daemon, SIGTERM);
    waitpid(b->daemon, NULL, 0);
}

static int bench_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus_bench *b = userdata;

    b->replied = true;
    b->reply = sd_bus_message_ref(m);
    return 0;
}

/* Calls, and waits for the answer, which is b->reply: NULL, or the name of the error. */

static const char *bench_call(struct bus_bench *b, const char *path, const char *interface, const char *member,
                              const char *types, ...)
{
    sd_bus_message *m;
    va_list ap;

    b->reply = sd_bus_message_unref(b->reply);
    b->replied = false;
    assert_true(sd_bus_message_new_method_call(b->client, &m, BUS_NAME, path, interface, member) >= 0);
    va_start(ap, types);
    assert_true(sd_bus_message_appendv(m, types, ap) >= 0);
    va_end(ap);
    assert_true(sd_bus_call_async(b->client, NULL, m, bench_reply, b, UINT64_MAX) >= 0);
    sd_bus_message_unref(m);
    run_until(b->on.s->event, b->replied);
    return sd_bus_message_is_method_error(b->reply, NULL) ? sd_bus_message_get_error(b->reply)->name : NULL;
}
