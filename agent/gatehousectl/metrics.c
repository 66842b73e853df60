/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metrics: what Prometheus and its like watch. Labels are states, uplinks and drivers, never devices: their number does
 * not grow with the gateway. */
#include "ctl.h"
#include "devices.h"
#include "exposition.h"

#include "base/device-state.h"
#include "base/durable.h"
#include "base/sensor-state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SECONDS_PER_HOUR 3600

static json_object *whole(uint64_t n)
{
    return json_object_new_uint64(n);
}

static json_object *gauge(json_object *families, const char *name, const char *help)
{
    return exposition_family(families, name, "gauge", "", help);
}

static bool said(json_object *o, const char *key)
{
    return row_text(o, key)[0];
}

/* How many rows have this under `key`. */
static uint64_t count(json_object *rows, const char *key, const char *wanted, const char *other_key, const char *other)
{
    uint64_t n = 0;

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        json_object *row = json_object_array_get_idx(rows, i);

        if (strcmp(row_text(row, key), wanted) == 0 && (!other || strcmp(row_text(row, other_key), other) == 0))
            n++;
    }
    return n;
}

static void add_devices(json_object *families, json_object *rows)
{
    json_object *family = gauge(families, "gatehouse_devices", "Devices by the state of their sessions.");

    for (int i = 0; i < DEVICE_STATES; i++) {
        const char *name = device_state_name((enum device_state)i);

        exposition_sample(family, "state", name, whole(count(rows, "state", name, NULL, NULL)));
    }
    family = gauge(families, "gatehouse_sensors", "Devices by the state of their sensors.");
    for (int i = 0; i < SENSOR_STATES; i++) {
        const char *name = sensor_state_name((enum sensor_state)i);

        exposition_sample(family, "state", name, whole(count(rows, "sensor", name, NULL, NULL)));
    }
}

static bool listed(json_object *names, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(names); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(names, i)), name) == 0)
            return true;
    return false;
}

static void add_uplinks(json_object *families, json_object *rows)
{
    _cleanup_json_ json_object *names = json_object_new_array();
    json_object *all, *online;

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        const char *name = row_text(json_object_array_get_idx(rows, i), "uplink");

        if (!listed(names, name))
            json_object_array_add(names, json_object_new_string(name));
    }
    all = gauge(families, "gatehouse_uplink_devices", "Devices of each uplink.");
    online = gauge(families, "gatehouse_uplink_devices_online", "Devices of each uplink that have a session.");
    for (size_t i = 0; i < json_object_array_length(names); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(names, i));

        exposition_sample(all, "uplink", name, whole(count(rows, "uplink", name, NULL, NULL)));
        exposition_sample(online, "uplink", name, whole(count(rows, "uplink", name, "state", "online")));
    }
}

static void add_drivers(json_object *families, json_object *manager, json_object *rows)
{
    json_object *drivers = json_object_object_get(manager, "Drivers");
    json_object *up = gauge(families, "gatehouse_driver_connected", "Whether a driver is connected.");
    json_object *devices = gauge(families, "gatehouse_driver_devices", "Devices of each driver.");

    for (size_t i = 0; i < json_object_array_length(drivers); i++) {
        json_object *driver = json_object_array_get_idx(drivers, i);
        const char *name = json_object_get_string(json_object_array_get_idx(driver, 0));
        const char *state = json_object_get_string(json_object_array_get_idx(driver, 2));

        exposition_sample(up, "driver", name, whole(strcmp(state, "connected") == 0));
        exposition_sample(devices, "driver", name, whole(count(rows, "driver", name, NULL, NULL)));
    }
}

/* A property that is a{s*}: a sample an entry. */
static void add_dictionary(json_object *family, const char *label, json_object *dictionary)
{
    json_object_object_foreach (dictionary, name, value)
        exposition_sample(family, label, name, json_object_get(value));
}

static void add_rotations(json_object *families, json_object *manager)
{
    add_dictionary(gauge(families, "gatehouse_rotation_devices", "Devices by the state of their rotation."), "state",
                   json_object_object_get(manager, "RotationStates"));
    add_dictionary(exposition_family(families, "gatehouse_rotations", "counter", "",
                                     "Rotations that ended since the start of the agent, and falls back to a key."),
                   "outcome", json_object_object_get(manager, "RotationsEnded"));
}

static void add_samples(json_object *families, json_object *manager)
{
    static const struct {
        const char *property, *name, *help;
    } counters[] = {
        {"Delivered", "gatehouse_samples_delivered", "Samples that clouds accepted since the start of the agent."},
        {"Dropped", "gatehouse_samples_dropped", "Samples dropped for want of room or their age since the start."},
        {"Rejected", "gatehouse_samples_rejected", "Samples that clouds refused as such since the start."},
    };
    json_object *orphans = json_object_object_get(manager, "Orphans");
    double hours = json_object_get_double(json_object_object_get(manager, "SpoolHours"));
    uint64_t lost = 0;

    for (size_t i = 0; i < ELEMENTSOF(counters); i++)
        exposition_sample(exposition_family(families, counters[i].name, "counter", "", counters[i].help), NULL, NULL,
                          whole(row_number(manager, counters[i].property)));
    exposition_sample(gauge(families, "gatehouse_queue_samples", "Samples that wait for their clouds."), NULL, NULL,
                      whole(row_number(manager, "Spooled")));
    exposition_sample(exposition_family(families, "gatehouse_queue_room_seconds", "gauge", "seconds",
                                        "For how long samples have room yet at the present rate, 0 if unknown."),
                      NULL, NULL, json_object_new_double(hours * SECONDS_PER_HOUR));
    exposition_sample(gauge(families, "gatehouse_queue_failing", "Whether samples cannot be stored as configured."),
                      NULL, NULL, whole(said(manager, "SpoolProblem")));
    for (size_t i = 0; i < json_object_array_length(orphans); i++)
        lost += json_object_get_uint64(json_object_array_get_idx(json_object_array_get_idx(orphans, i), 1));
    exposition_sample(gauge(families, "gatehouse_queue_orphaned_samples", "Samples of devices that are not loaded."),
                      NULL, NULL, whole(lost));
}

static void add_agent(json_object *families, json_object *manager)
{
    json_object *info = gauge(families, "gatehouse_build_info", "Always 1, with the version of the agent.");

    exposition_sample(info, "version", row_text(manager, "Version"), whole(1));
    exposition_sample(gauge(families, "gatehouse_vault_durable", "Whether keys that are committed outlive a reboot."),
                      NULL, NULL, whole(strcmp(row_text(manager, "VaultState"), "open") == 0));
    exposition_sample(
        gauge(families, "gatehouse_clock_failing", "Whether samples wait for a clock that can be believed."), NULL,
        NULL, whole(said(manager, "ClockProblem")));
    exposition_sample(gauge(families, "gatehouse_configuration_mistakes", "Mistakes in files that are not mended yet."),
                      NULL, NULL, whole(json_object_array_length(json_object_object_get(manager, "Mistakes"))));
}

/* Exit status; `families` has gatehouse_up either way. */
static int collect(struct ctl *c, json_object *families)
{
    _cleanup_json_ json_object *manager = NULL, *rows = NULL;
    json_object *up = gauge(families, "gatehouse_up", "Whether the agent answers.");
    int r = ctl_properties(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, &manager);

    if (r == 0)
        r = devices_list(c, &rows);
    exposition_sample(up, NULL, NULL, whole(r == 0));
    if (r != 0)
        return r;
    add_agent(families, manager);
    add_devices(families, rows);
    add_uplinks(families, rows);
    add_drivers(families, manager, rows);
    add_samples(families, manager);
    add_rotations(families, manager);
    return 0;
}

/* Replaces the file as a whole. It is not synced: a minute later there is the next one, and flash wears. Exit status.
 */
static int write_file(const char *file, const char *text)
{
    _cleanup_free_ char *temporary = NULL;
    _cleanup_close_ int fd = -EBADF;

    if (asprintf(&temporary, "%s.XXXXXX", file) < 0)
        return EXIT_FAILURE;
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd >= 0 && fchmod(fd, 0644) == 0 && write_all(fd, text, strlen(text)) >= 0 && rename(temporary, file) == 0)
        return 0;
    print_error("%s: the metrics are not written: %m", file);
    if (fd >= 0)
        unlink(temporary);
    return EXIT_FAILURE;
}

int verb_metrics(struct ctl *c, int argc, char **argv)
{
    const char *format = c->format ?: "openmetrics";
    bool prometheus = strcmp(format, "prometheus") == 0;
    json_object *families = json_object_new_array();
    _cleanup_free_ char *text = NULL;
    int r, written = 0;

    json_object_object_add(ctl_result(c), "families", families);
    if (!prometheus && strcmp(format, "openmetrics") != 0) {
        print_error("metrics: --format is openmetrics or prometheus, not '%s'", format);
        return EXIT_USAGE;
    }
    r = collect(c, families);
    text = exposition_text(families, prometheus ? EXPOSITION_PROMETHEUS : EXPOSITION_OPENMETRICS);
    if (!text)
        return ctl_failed(c, "metrics", -ENOMEM, NULL);
    if (argc > 0)
        written = write_file(argv[0], text);
    else if (print_text_wanted(c))
        fputs(text, stdout);
    return written != 0 ? written : r;
}
