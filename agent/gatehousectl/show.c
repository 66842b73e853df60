/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status, list, show: what there is. */
#include "ctl.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STATISTICS_WIDTH 62

static const char *text(json_object *o, const char *key)
{
    return json_get_string(o, key) ?: "";
}

static uint64_t number(json_object *o, const char *key)
{
    return json_object_get_uint64(json_object_object_get(o, key));
}

/* Every device, page by page: the tuples of a method that lists them, as objects with these keys, the first of which is
 * the device's id. */
static int list_pages(struct ctl *c, const char *method, const char *const keys[], json_object *rows)
{
    _cleanup_free_ char *after = NULL;
    size_t n;

    do {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_json_ json_object *page = NULL;
        int r = after ? ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, method, &reply, "a{sv}", 1, "after", "s",
                                 after)
                      : ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, method, &reply, "a{sv}", 0);

        if (r != 0)
            return r;
        r = ctl_to_json(reply, &page);
        if (r < 0)
            return ctl_failed(c, "cannot read the list", r, NULL);
        n = json_object_array_length(page);
        for (size_t i = 0; i < n; i++) {
            json_object *tuple = json_object_array_get_idx(page, i), *row = json_object_new_object();

            for (size_t k = 0; keys[k]; k++)
                json_object_object_add(row, keys[k], json_object_get(json_object_array_get_idx(tuple, k)));
            json_object_array_add(rows, row);
        }
        free(after);
        after =
            n > 0 ? strdup(text(json_object_array_get_idx(rows, json_object_array_length(rows) - 1), keys[0])) : NULL;
    } while (after && n == LIST_DEVICES_MAX);
    return 0;
}

/* Both lists are in the order of the ids; a device may have come or gone between them. */
static void add_sensors(json_object *rows, json_object *sensors)
{
    size_t n = json_object_array_length(sensors), k = 0;

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        json_object *row = json_object_array_get_idx(rows, i), *sensor;
        bool found;

        while (k < n && strcmp(text(json_object_array_get_idx(sensors, k), "device"), text(row, "device")) < 0)
            k++;
        sensor = k < n ? json_object_array_get_idx(sensors, k) : NULL;
        found = sensor && strcmp(text(sensor, "device"), text(row, "device")) == 0;
        json_object_object_add(row, "sensor", json_object_new_string(found ? text(sensor, "sensor") : "unknown"));
        json_object_object_add(row, "sensor_reason", json_object_new_string(found ? text(sensor, "reason") : ""));
    }
}

static int list_devices(struct ctl *c, json_object **ret)
{
    static const char *const device_keys[] = {"device", "path", "driver", "uplink", "state", NULL};
    static const char *const sensor_keys[] = {"device", "sensor", "reason", NULL};
    _cleanup_json_ json_object *rows = json_object_new_array(), *sensors = json_object_new_array();
    int r = list_pages(c, "ListDevices", device_keys, rows);

    if (r == 0)
        r = list_pages(c, "ListSensors", sensor_keys, sensors);
    if (r != 0)
        return r;
    add_sensors(rows, sensors);
    *ret = TAKE_PTR(rows);
    return 0;
}

/* "FILE:LINE:COLUMN: TEXT", as the agent says it elsewhere. */
static char *mistake_text(json_object *mistake)
{
    const char *file = json_object_get_string(json_object_array_get_idx(mistake, 0));
    const char *said = json_object_get_string(json_object_array_get_idx(mistake, 3));
    int line = json_object_get_int(json_object_array_get_idx(mistake, 1));
    int column = json_object_get_int(json_object_array_get_idx(mistake, 2)), r;
    char *ret;

    if (line > 0)
        r = asprintf(&ret, "%s:%d:%d: %s", file, line, column, said);
    else
        r = asprintf(&ret, "%s%s%s", file, file[0] ? ": " : "", said);
    return r < 0 ? NULL : ret;
}

/* The file's name is mostly that of the device. */
static json_object *mistake_row(json_object *mistake, const char *reason)
{
    static const char *const empty[] = {"path", "driver", "uplink"};
    const char *file = json_object_get_string(json_object_array_get_idx(mistake, 0));
    const char *name = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
    size_t n = strlen(name), end = strlen(".json");
    json_object *row = json_object_new_object();

    if (n > end && strcmp(name + n - end, ".json") == 0)
        n -= end;
    json_object_object_add(row, "device", json_object_new_string_len(name, (int)n));
    for (size_t i = 0; i < ELEMENTSOF(empty); i++)
        json_object_object_add(row, empty[i], json_object_new_string(""));
    json_object_object_add(row, "state", json_object_new_string("bad-setting"));
    json_object_object_add(row, "sensor", json_object_new_string(""));
    json_object_object_add(row, "sensor_reason", json_object_new_string(reason));
    return row;
}

static bool has_reason(json_object *rows, const char *reason)
{
    for (size_t i = 0; i < json_object_array_length(rows); i++)
        if (strcmp(text(json_object_array_get_idx(rows, i), "sensor_reason"), reason) == 0)
            return true;
    return false;
}

/* A row for each mistake that no device's row tells of. Exit status. */
static int add_mistakes(struct ctl *c, json_object *rows, json_object *ret)
{
    _cleanup_json_ json_object *properties = json_object_new_object();
    json_object *mistakes;
    int r = ctl_property(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Mistakes", properties);

    if (r != 0)
        return r;
    mistakes = json_object_object_get(properties, "Mistakes");
    for (size_t i = 0; i < json_object_array_length(mistakes); i++) {
        json_object *mistake = json_object_array_get_idx(mistakes, i);
        _cleanup_free_ char *reason = mistake_text(mistake);

        if (reason && !has_reason(rows, reason))
            json_object_array_add(ret, mistake_row(mistake, reason));
    }
    return 0;
}

static void print_mistakes(json_object *mistakes)
{
    const char *label = "bad-setting";

    for (size_t i = 0; i < json_object_array_length(mistakes); i++) {
        _cleanup_free_ char *reason = mistake_text(json_object_array_get_idx(mistakes, i));

        printf("%16s%s %s\n", label, label[0] ? ":" : " ", reason ?: "");
        label = "";
    }
}

/* How many rows say what under a key. */
static json_object *count(json_object *rows, const char *key)
{
    json_object *counts = json_object_new_object();

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        const char *value = text(json_object_array_get_idx(rows, i), key);
        int n = json_object_get_int(json_object_object_get(counts, value));

        json_object_object_add(counts, value, json_object_new_int(n + 1));
    }
    return counts;
}

/* An array of unnamed tuples on D-Bus, each with names. */
static void name_tuples(json_object *o, const char *key, const char *const *names, size_t n)
{
    json_object *named = json_object_new_array(), *tuples = json_object_object_get(o, key);

    for (size_t i = 0; i < json_object_array_length(tuples); i++) {
        json_object *tuple = json_object_array_get_idx(tuples, i), *row = json_object_new_object();

        for (size_t k = 0; k < n; k++)
            json_object_object_add(row, names[k], json_object_get(json_object_array_get_idx(tuple, k)));
        json_object_array_add(named, row);
    }
    json_object_object_add(o, key, named);
}

static void print_orphans(json_object *orphans)
{
    for (size_t i = 0; i < json_object_array_length(orphans); i++) {
        json_object *o = json_object_array_get_idx(orphans, i);

        printf("%16s  %s of %s, which is not configured or not loaded\n", "",
               json_object_get_string(json_object_array_get_idx(o, 1)),
               json_object_get_string(json_object_array_get_idx(o, 0)));
    }
}

static void print_status(struct ctl *c, json_object *status)
{
    json_object *drivers = json_object_object_get(status, "Drivers");
    json_object *states = json_object_object_get(status, "States");
    json_object *sensors = json_object_object_get(status, "Sensors");
    const char *label = "sensors";

    printf("gatehoused %s, vault %s\n", text(status, "Version"), text(status, "VaultState"));
    printf("%16s: %" PRIu64 ", %" PRIu64 " online\n", "devices", number(status, "Devices"), number(status, "Online"));
    json_object_object_foreach (states, state, count)
        printf("%16s  %s: %s\n", "", state, json_object_get_string(count));
    json_object_object_foreach (sensors, sensor, devices) {
        printf("%16s%s %s: %s\n", label, label[0] ? ":" : " ", sensor, json_object_get_string(devices));
        label = "";
    }
    print_mistakes(json_object_object_get(status, "Mistakes"));
    printf("%16s: %" PRIu64 " samples", "waiting", number(status, "Spooled"));
    if (json_object_get_double(json_object_object_get(status, "SpoolHours")) > 0)
        printf(", room for %.1f hours more", json_object_get_double(json_object_object_get(status, "SpoolHours")));
    if (text(status, "SpoolProblem")[0])
        printf(", and no more can be kept: %s", text(status, "SpoolProblem"));
    putchar('\n');
    if (text(status, "ClockProblem")[0])
        printf("%16s: %s\n", "clock", text(status, "ClockProblem"));
    print_orphans(json_object_object_get(status, "Orphans"));
    for (size_t i = 0; i < json_object_array_length(drivers); i++) {
        json_object *d = json_object_array_get_idx(drivers, i);
        const char *error = json_object_get_string(json_object_array_get_idx(d, 3));

        printf("%16s%s %s %s %s%s%s\n", i == 0 ? "drivers" : "", i == 0 ? ":" : " ",
               json_object_get_string(json_object_array_get_idx(d, 0)),
               json_object_get_string(json_object_array_get_idx(d, 1)),
               json_object_get_string(json_object_array_get_idx(d, 2)), error[0] ? ": " : "", error);
    }
}

int verb_status(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *status = NULL, *rows = NULL;
    int r = ctl_properties(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, &status);

    if (r == 0)
        r = list_devices(c, &rows);
    if (r != 0)
        return r;
    json_object_object_add(status, "States", count(rows, "state"));
    json_object_object_add(status, "Sensors", count(rows, "sensor"));
    if (print_text_wanted(c))
        print_status(c, status);
    name_tuples(status, "Drivers", (const char *const[]){"name", "version", "state", "error"}, 4);
    name_tuples(status, "Orphans", (const char *const[]){"device", "samples"}, 2);
    name_tuples(status, "Mistakes", (const char *const[]){"file", "line", "column", "text"}, 4);
    c->result = TAKE_PTR(status);
    return 0;
}

static void print_row(json_object *row, int width)
{
    const char *sensor = text(row, "sensor"), *reason = text(row, "sensor_reason");

    printf("%-*s %-12s %-12s %-13s %s%s%s\n", width, text(row, "device"), text(row, "driver"), text(row, "uplink"),
           text(row, "state"), sensor, sensor[0] && reason[0] ? ": " : "", reason);
}

int verb_list(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *rows = NULL, *mistakes = json_object_new_array();
    size_t n, bad, width = strlen("DEVICE");
    int r = list_devices(c, &rows);

    if (r == 0)
        r = add_mistakes(c, rows, mistakes);
    if (r != 0)
        return r;
    json_object_object_add(ctl_result(c), "devices", json_object_get(rows));
    json_object_object_add(ctl_result(c), "mistakes", json_object_get(mistakes));
    if (!print_text_wanted(c))
        return 0;
    bad = json_object_array_length(mistakes);
    for (size_t i = 0; i < bad; i++)
        json_object_array_add(rows, json_object_get(json_object_array_get_idx(mistakes, i)));
    n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++)
        width = MAX_OF(width, strlen(text(json_object_array_get_idx(rows, i), "device")));
    print_pager(c, n + 3);
    if (!c->no_legend)
        printf("%-*s %-12s %-12s %-13s %s\n", (int)width, "DEVICE", "DRIVER", "UPLINK", "STATE", "SENSOR");
    for (size_t i = 0; i < n; i++) {
        json_object *row = json_object_array_get_idx(rows, i);

        print_row(row, (int)width);
    }
    if (!c->no_legend)
        printf(bad > 0 ? "\n%zu devices, %zu with bad settings.\n" : "\n%zu devices.\n", n - bad, bad);
    return 0;
}

/* Whether somebody who records the traffic today reads it once there are quantum computers. */
static void print_suite(json_object *d)
{
    bool secrecy = json_object_get_boolean(json_object_object_get(d, "ForwardSecrecy"));
    const char *safe = !secrecy                                    ? "no"
                       : strstr(text(d, "Group"), "MLKEM") != NULL ? "yes (ML-KEM)"
                                                                   : "yes (PSK with ECDHE: the key is needed too)";

    printf("%16s: %s%s%s, forward secrecy: %s\n", "suite", text(d, "Suite"), text(d, "Group")[0] ? " with " : "",
           text(d, "Group"), secrecy ? "yes" : "no");
    printf("%16s: recorded traffic safe: %s\n", "post-quantum", safe);
}

static void print_credential(const char *label, const char *identity, const char *fingerprint)
{
    if (identity[0])
        printf("%16s: identity %s, fingerprint %s\n", label, identity, fingerprint);
    else
        printf("%16s: none\n", label);
}

/* As many on a line as an old terminal has room for. */
static void print_statistics(json_object *counts)
{
    const char *label = "statistics";
    int at = 0;

    json_object_object_foreach (counts, name, value) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%s %s", name, json_object_get_string(value));

        if (at > 0 && at + n + 2 <= STATISTICS_WIDTH)
            printf(", %s", text);
        else
            printf("%s%16s%s %s", at > 0 ? "\n" : "", label, label[0] ? ":" : " ", text);
        at = at > 0 && at + n + 2 <= STATISTICS_WIDTH ? at + n + 2 : n;
        label = "";
    }
    if (at > 0)
        putchar('\n');
}

static void print_device(json_object *d)
{
    char waits[1024];

    printf("%s\n%16s: %s\n", text(d, "Id"), "state", text(d, "State"));
    printf("%16s: %s%s%s\n", "sensor", text(d, "SensorState"), text(d, "SensorReason")[0] ? ": " : "",
           text(d, "SensorReason"));
    if (text(d, "LastError")[0] && strcmp(text(d, "LastError"), text(d, "SensorReason")) != 0)
        printf("%16s: %s\n", "last error", text(d, "LastError"));
    printf("%16s: %s\n%16s: %s\n", "driver", text(d, "Driver"), "uplink", text(d, "Uplink"));
    print_credential("main key", text(d, "MainIdentity"), text(d, "MainFingerprint"));
    print_credential("backup key", text(d, "BackupIdentity"), text(d, "BackupFingerprint"));
    if (text(d, "BindFingerprint")[0])
        printf("%16s: fingerprint %s\n", "bind key", text(d, "BindFingerprint"));
    if (text(d, "MainIdentity")[0])
        print_time("main since", number(d, "MainSince"));
    printf("%16s: %s\n", "rotation", text(d, "RotationState"));
    if (print_waits(d, waits, sizeof(waits)) > 0)
        printf("%16s: %s\n", "waits for", waits);
    print_time("next rotation", number(d, "NextRotation"));
    print_time("authenticated", number(d, "LastAuthenticated"));
    if (text(d, "Suite")[0])
        print_suite(d);
    if (text(d, "Limits")[0])
        printf("%16s: %s\n", "sent in", text(d, "Limits"));
    printf("%16s: %" PRIu64 " delivered, %" PRIu64 " waiting, %" PRIu64 " dropped, %" PRIu64 " rejected\n", "samples",
           number(d, "Delivered"), number(d, "Spooled"), number(d, "Dropped"), number(d, "Rejected"));
    if (json_object_object_get(d, "Statistics"))
        print_statistics(json_object_object_get(d, "Statistics"));
}

/* What the driver has counted, as far as it can be had: by whoever may ask, of a driver that counts. */
static void add_statistics(struct ctl *c, const char *path, json_object *device)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    json_object *counts;

    if (sd_bus_call_method(c->bus, BUS_NAME, path, BUS_INTERFACE_DEVICE, "GetStatistics", NULL, &reply, "") >= 0 &&
        ctl_to_json(reply, &counts) >= 0)
        json_object_object_add(device, "Statistics", counts);
}

int verb_show(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *device = NULL;
    _cleanup_free_ char *path = NULL;
    int r = ctl_device(c, argv[0], &path);

    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &device);
    if (r != 0)
        return r;
    add_statistics(c, path, device);
    if (print_text_wanted(c))
        print_device(device);
    c->result = TAKE_PTR(device);
    return 0;
}
