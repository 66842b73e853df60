/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch-table.h"

#include "base/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <time.h>

#define DRAW_INTERVAL (USEC_PER_SEC / 2)

struct watch {
    struct ctl *c;
    struct watch_table *table; /* NULL: a line an event */
    json_object *devices;      /* by id, their properties as far as signals tell of them */
    bool gone;                 /* the agent, and it was said */
};

static void tell(struct watch *w, json_object *o, const char *line)
{
    struct ctl *c = w->c;

    if (w->table) {
        watch_table_event(w->table, o, line);
        return;
    }
    if (c->quiet)
        return;
    if (c->output != OUTPUT_TEXT)
        print_json(c, o);
    else
        puts(line);
    fflush(stdout);
}

static void clock_text(uint64_t usec, char text[32])
{
    time_t seconds = (time_t)(usec / 1000000);
    struct tm tm;
    size_t n = localtime_r(&seconds, &tm) ? strftime(text, 32, "%H:%M:%S", &tm) : 0;

    snprintf(text + n, 32 - n, ".%03u", (unsigned)(usec / 1000 % 1000));
}

static int on_sample(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_json_ json_object *o = print_document(), *value = NULL;
    const char *device, *point, *unit;
    char when[32], line[512];
    uint64_t time;
    int r = sd_bus_message_read(m, "sst", &device, &point, &time);

    if (r >= 0)
        r = ctl_to_json(m, &value);
    if (r >= 0)
        r = sd_bus_message_read(m, "s", &unit);
    if (r < 0)
        return 0;
    clock_text(time, when);
    snprintf(line, sizeof(line), "%s %s %s = %s %s", when, device, point, json_object_to_json_string(value), unit);
    json_object_object_add(o, "event", json_object_new_string("sample"));
    json_object_object_add(o, "device", json_object_new_string(device));
    json_object_object_add(o, "point", json_object_new_string(point));
    json_object_object_add(o, "time", json_object_new_uint64(time));
    json_object_object_add(o, "value", TAKE_PTR(value));
    json_object_object_add(o, "unit", json_object_new_string(unit));
    tell(userdata, o, line);
    return 0;
}

static int on_lagged(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_json_ json_object *o = print_document();
    char line[128];
    uint64_t n;

    if (sd_bus_message_read(m, "t", &n) < 0)
        return 0;
    snprintf(line, sizeof(line), "(%" PRIu64 " samples were left out: this terminal is too slow)", n);
    json_object_object_add(o, "event", json_object_new_string("lagged"));
    json_object_object_add(o, "samples", json_object_new_uint64(n));
    tell(userdata, o, line);
    return 0;
}

static int on_rotation(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_json_ json_object *o = print_document();
    const char *device, *outcome, *reason;
    char line[512];

    if (sd_bus_message_read(m, "sss", &device, &outcome, &reason) < 0)
        return 0;
    snprintf(line, sizeof(line), "%s rotation %s%s%s", device, outcome, reason[0] ? ": " : "", reason);
    json_object_object_add(o, "event", json_object_new_string("rotation"));
    json_object_object_add(o, "device", json_object_new_string(device));
    json_object_object_add(o, "outcome", json_object_new_string(outcome));
    json_object_object_add(o, "reason", json_object_new_string(reason));
    tell(userdata, o, line);
    return 0;
}

static void merge(json_object *into, json_object *from)
{
    json_object_object_foreach (from, name, value) {
        if (!json_object_is_type(value, json_type_int)) /* no counters and times, which no signal has */
            json_object_object_add(into, name, json_object_get(value));
    }
}

/* All that is known of the device; a signal has what changed alone. */
static json_object *known(struct watch *w, const char *id, const char *path, json_object *changes)
{
    _cleanup_json_ json_object *all = NULL;
    json_object *device = NULL;
    int r;

    if (!json_object_object_get_ex(w->devices, id, &device)) {
        device = json_object_new_object();
        json_object_object_add(w->devices, id, device);
        r = ctl_properties(w->c, path, BUS_INTERFACE_DEVICE, &all);
        if (r == 0)
            merge(device, all);
        w->gone = w->gone || r == EXIT_NOT_RUNNING;
    }
    merge(device, changes);
    return device;
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_json_ json_object *changes = NULL, *o = print_document();
    _cleanup_free_ char *id = NULL;
    json_object *device;
    const char *state, *reason;
    char line[1024];

    if (sd_bus_path_decode(sd_bus_message_get_path(m), BUS_PATH_DEVICE, &id) <= 0 || sd_bus_message_skip(m, "s") < 0 ||
        ctl_to_json(m, &changes) < 0)
        return 0;
    device = known(userdata, id, sd_bus_message_get_path(m), changes);
    state = json_get_string(device, "State");
    reason = json_get_string(device, "LastError") ?: "";
    if (!state)
        return 0;
    snprintf(line, sizeof(line), "%s is %s, rotation %s%s%s", id, state, json_get_string(device, "RotationState") ?: "",
             reason[0] ? ": " : "", reason);
    json_object_object_add(o, "event", json_object_new_string("state"));
    json_object_object_add(o, "device", json_object_new_string(id));
    json_object_object_add(o, "properties", json_object_get(device));
    tell(userdata, o, line);
    return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct watch *w = userdata;
    const char *name, *before, *after;

    if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0 || strcmp(name, BUS_NAME) != 0 || after[0])
        return 0;
    if (!w->gone)
        print_error(CTL_STOPPED);
    return sd_event_exit(sd_bus_get_event(sd_bus_message_get_bus(m)), EXIT_NOT_RUNNING);
}

static int add_matches(struct watch *w)
{
    struct ctl *c = w->c;
    int r =
        sd_bus_match_signal(c->bus, NULL, BUS_NAME, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Sample", on_sample, w);

    if (r >= 0)
        r = sd_bus_match_signal(c->bus, NULL, BUS_NAME, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Lagged", on_lagged,
                                w);
    if (r >= 0)
        r = sd_bus_match_signal(c->bus, NULL, BUS_NAME, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "RotationFinished",
                                on_rotation, w);
    if (r >= 0)
        r = sd_bus_add_match(c->bus, NULL,
                             "type='signal',sender='" BUS_NAME "',path_namespace='" BUS_PATH_DEVICE
                             "',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
                             on_changed, w);
    if (r >= 0)
        r = sd_bus_match_signal(c->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                "NameOwnerChanged", on_owner, w);
    return r;
}

static int append_ids(sd_bus_message *m, int argc, char **argv)
{
    int r = sd_bus_message_open_container(m, 'a', "s");

    for (int i = 0; r >= 0 && i < argc; i++)
        r = sd_bus_message_append_basic(m, 's', argv[i]);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int on_draw(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct watch *w = userdata;

    watch_table_draw(w->table);
    sd_event_source_set_time_relative(source, DRAW_INTERVAL);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* The loop, with Ctrl-C as its end. */
static int attach(struct watch *w, sd_event *event)
{
    sigset_t signals;
    int r;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
    if (r >= 0)
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
    if (r >= 0)
        r = sd_event_add_signal(event, NULL, SIGHUP, NULL, NULL);
    if (r >= 0 && w->table)
        r = sd_event_add_time_relative(event, NULL, CLOCK_BOOTTIME, DRAW_INTERVAL, 0, on_draw, w);
    return r < 0 ? r : sd_bus_attach_event(w->c->bus, event, 0);
}

static int subscribe(struct watch *w, int argc, char **argv, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r = add_matches(w);

    if (r >= 0)
        r = sd_bus_message_new_method_call(w->c->bus, &m, BUS_NAME, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER,
                                           "Subscribe");
    if (r >= 0)
        r = append_ids(m, argc, argv);
    return r < 0 ? r : sd_bus_call(w->c->bus, m, 0, error, NULL);
}

int verb_watch(struct ctl *c, int argc, char **argv)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(watch_table_freep) struct watch_table *table = NULL;
    _cleanup_json_ json_object *devices = json_object_new_object();
    struct watch w = {.c = c, .devices = devices};
    int r = ctl_connect(c);

    if (r != 0)
        return r;
    if (watch_table_possible(c))
        w.table = table = watch_table_new(c);
    r = sd_event_new(&event);
    if (r >= 0)
        r = subscribe(&w, argc, argv, &error);
    if (r < 0)
        return ctl_failed(c, "cannot watch", r, &error);
    if (table)
        watch_table_fill(table, argc, argv);
    r = attach(&w, event);
    if (r < 0)
        return ctl_failed(c, "cannot watch", r, NULL);
    if (table)
        watch_table_begin(table);
    r = sd_event_loop(event);
    if (table)
        watch_table_end(table);
    return r < 0 ? EXIT_FAILURE : r;
}
