/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's end of the driver protocol as a program: commands in, events out, a JSON object a line.
 *
 *   {"do": "devices", "driver": D, "devices": [{"id": I, "section": {}, "points": {}}...]}
 *   {"do": "write", "driver": D, "device": I, "point": P, "value": V}    read, check, scan, read_raw, quit likewise
 *   {"do": "hold"} {"do": "release", "r": 0}    reports after the event "holding" are left unanswered; and answered
 *   {"do": "count"}    reports are only counted;  {"do": "drivers"}    tells of all
 *
 * usage: link-host RUNTIME_DIR [COMMAND]    which is obeyed before any driver is let in */
#include "base/json.h"
#include "base/log.h"
#include "link/host.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define HELD_MAX 1000

static struct link_host *host;
static struct link_report *held[HELD_MAX];
static size_t n_held;
static bool holding, counting;
static uint64_t samples_seen;

static void put(json_object *o)
{
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
    fflush(stdout);
    json_object_put(o);
}

static json_object *event(const char *name)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "event", json_object_new_string(name));
    return o;
}

static void add_text(json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, text ? json_object_new_string(text) : NULL);
}

static struct sample_value value_of(json_object *o)
{
    switch (json_object_get_type(o)) {
    case json_type_boolean:
        return (struct sample_value){.type = SAMPLE_BOOL, .b = json_object_get_boolean(o)};
    case json_type_int:
        return (struct sample_value){.type = SAMPLE_INT, .x = json_object_get_int64(o)};
    case json_type_double:
        return (struct sample_value){.type = SAMPLE_DOUBLE, .d = json_object_get_double(o)};
    default:
        return (struct sample_value){.type = SAMPLE_STRING, .s = json_object_get_string(o) ?: ""};
    }
}

static void on_driver(struct link_driver *d, void *userdata)
{
    const struct link_driver_counts *counts = link_driver_counts(d);
    json_object *o = event("driver");

    add_text(o, "driver", link_driver_name(d));
    add_text(o, "version", link_driver_version(d));
    add_text(o, "error", link_driver_last_error(d));
    json_object_object_add(o, "connected", json_object_new_boolean(link_driver_connected(d)));
    json_object_object_add(o, "reports", json_object_new_uint64(counts->reports));
    json_object_object_add(o, "samples", json_object_new_uint64(counts->samples));
    json_object_object_add(o, "refused", json_object_new_uint64(counts->refused));
    put(o);
}

static void on_report(struct link_driver *d, struct link_report *token, const char *device,
                      const struct sample *samples, size_t n, void *userdata)
{
    json_object *o, *list;

    samples_seen += n;
    if (!counting) {
        o = event("report");
        list = json_object_new_array();
        add_text(o, "driver", link_driver_name(d));
        add_text(o, "device", device);
        for (size_t i = 0; i < n; i++) {
            json_object *row = json_object_new_array();

            json_object_array_add(row, json_object_new_string(samples[i].point));
            json_object_array_add(row, json_object_new_uint64(samples[i].time));
            json_object_array_add(row, json_of_value(&samples[i].value));
            json_object_array_add(row, json_object_new_string(samples[i].unit));
            json_object_array_add(row, json_object_new_int64(samples[i].quality));
            json_object_array_add(list, row);
        }
        json_object_object_add(o, "samples", list);
        put(o);
    }
    if (holding && n_held < HELD_MAX)
        held[n_held++] = token;
    else
        link_report_done(token, 0);
}

static void on_state(struct link_driver *d, const char *device, const char *state, const char *reason, void *userdata)
{
    json_object *o = event("state");

    add_text(o, "device", device);
    add_text(o, "state", state);
    add_text(o, "reason", reason);
    put(o);
}

static const struct link_host_ops ops = {.driver_changed = on_driver, .report = on_report, .device_state = on_state};

static json_object *done_event(int r, const struct link_failure *failure)
{
    json_object *o = event("done");

    json_object_object_add(o, "r", json_object_new_int(r));
    add_text(o, "name", failure ? failure->name : NULL);
    add_text(o, "text", failure ? failure->text : NULL);
    return o;
}

static void on_value(int r, const struct link_failure *failure, const struct sample_value *value, void *userdata)
{
    json_object *o = done_event(r, failure);

    json_object_object_add(o, "value", value ? json_of_value(value) : NULL);
    put(o);
}

static void on_values(int r, const struct link_failure *failure, const struct sample_value *values, size_t n,
                      void *userdata)
{
    json_object *o = done_event(r, failure), *list = json_object_new_array();

    for (size_t i = 0; i < n; i++)
        json_object_array_add(list, json_of_value(&values[i]));
    json_object_object_add(o, "values", list);
    put(o);
}

static void on_complaints(int r, const struct link_failure *failure, const struct packet_complaint *complaints,
                          size_t n, void *userdata)
{
    json_object *o = done_event(r, failure), *list = json_object_new_array();

    for (size_t i = 0; i < n; i++)
        json_object_array_add(list, json_object_new_string(complaints[i].pointer));
    json_object_object_add(o, "complaints", list);
    put(o);
}

static void on_found(int r, const struct link_failure *failure, json_object *found, void *userdata)
{
    json_object *o = done_event(r, failure);

    json_object_object_add(o, "found", json_object_get(found));
    put(o);
}

static const char *text_of(json_object *o, const char *key)
{
    json_object *member;

    return json_object_object_get_ex(o, key, &member)
               ? json_object_is_type(member, json_type_string)
                     ? json_object_get_string(member)
                     : json_object_to_json_string_ext(member, JSON_C_TO_STRING_PLAIN)
               : "";
}

static struct link_device device_of(json_object *o)
{
    return (struct link_device){text_of(o, "id"), text_of(o, "section"), text_of(o, "points")};
}

static int set_devices(json_object *o)
{
    json_object *list = json_object_object_get(o, "devices");
    size_t n = json_object_array_length(list);
    _cleanup_free_ struct link_device *devices = calloc(n + 1, sizeof(*devices));

    for (size_t i = 0; devices && i < n; i++)
        devices[i] = device_of(json_object_array_get_idx(list, i));
    return devices ? link_host_set_devices(host, text_of(o, "driver"), devices, n) : -ENOMEM;
}

static int hold(void)
{
    holding = true;
    put(event("holding"));
    return 0;
}

static int release(json_object *o)
{
    holding = false;
    while (n_held > 0)
        link_report_done(held[--n_held], json_object_get_int(json_object_object_get(o, "r")));
    return 0;
}

static int tell_drivers(void)
{
    for (struct link_driver *d = NULL; (d = link_host_next_driver(host, d));)
        on_driver(d, NULL);
    return 0;
}

static int obey(json_object *o)
{
    const char *what = text_of(o, "do"), *driver = text_of(o, "driver"), *device = text_of(o, "device"),
               *point = text_of(o, "point");
    struct sample_value value = value_of(json_object_object_get(o, "value"));
    struct link_device whole = device_of(o);

    if (strcmp(what, "devices") == 0)
        return set_devices(o);
    if (strcmp(what, "write") == 0)
        return link_host_write(host, driver, device, point, &value, on_value, NULL);
    if (strcmp(what, "read") == 0)
        return link_host_read(host, driver, device, point, on_value, NULL);
    if (strcmp(what, "check") == 0)
        return link_host_check_config(host, driver, &whole, on_complaints, NULL);
    if (strcmp(what, "scan") == 0)
        return link_host_scan(host, driver, json_object_object_get(o, "options"), on_found, NULL);
    if (strcmp(what, "statistics") == 0)
        return link_host_statistics(host, driver, json_get_string(o, "device"), on_found, NULL);
    if (strcmp(what, "read_raw") == 0)
        return link_host_read_raw(host, driver, json_object_object_get(o, "options"), on_values, NULL);
    if (strcmp(what, "quit") == 0)
        return link_host_quit(host, driver);
    if (strcmp(what, "hold") == 0)
        return hold();
    if (strcmp(what, "count") == 0)
        return counting = true, 0;
    if (strcmp(what, "release") == 0)
        return release(o);
    if (strcmp(what, "drivers") == 0)
        return tell_drivers();
    return -EINVAL;
}

static void obey_text(const char *text, size_t n)
{
    _cleanup_json_ json_object *o = NULL;
    int r = json_parse(text, n, &o, NULL);

    if (r >= 0)
        r = obey(o);
    if (r < 0)
        put(done_event(r, NULL));
}

static int on_line(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    static char buffer[1 << 20];
    static size_t n;
    ssize_t k = read(fd, buffer + n, sizeof(buffer) - n);
    char *end;

    if (k <= 0)
        return sd_event_exit(sd_event_source_get_event(source), 0);
    n += (size_t)k;
    while ((end = memchr(buffer, '\n', n))) {
        size_t used = (size_t)(end - buffer) + 1;

        obey_text(buffer, used - 1);
        memmove(buffer, buffer + used, n - used);
        n -= used;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct link_host_options options = {.runtime_dir = argc > 1 ? argv[1] : ".", .self_naming = true};
    struct error e = {""};
    struct workers *workers;
    sd_event *loop;
    int r;

    log_init("link-host", LOG_INFO);
    r = sd_event_new(&loop);
    if (r >= 0)
        r = workers_new(loop, 1, &workers);
    if (r >= 0)
        r = link_host_new(loop, workers, &options, &ops, NULL, &host, &e);
    if (r >= 0)
        r = sd_event_add_io(loop, NULL, STDIN_FILENO, EPOLLIN, on_line, NULL);
    if (r < 0) {
        log_error(NULL, "%s", e.text[0] ? e.text : strerror(-r));
        return EXIT_FAILURE;
    }
    put(event("ready"));
    if (argc > 2)
        obey_text(argv[2], strlen(argv[2]));
    r = sd_event_loop(loop);
    release(json_object_new_object());
    workers_free(workers);
    link_host_free(host);
    sd_event_unref(loop);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
