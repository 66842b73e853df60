/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_mistakes(json_object *mistakes)
{
    const char *label = "bad-setting";

    for (size_t i = 0; i < json_object_array_length(mistakes); i++) {
        _cleanup_free_ char *reason = devices_mistake_text(json_object_array_get_idx(mistakes, i));

        printf("%16s%s %s\n", label, label[0] ? ":" : " ", reason ?: "");
        label = "";
    }
}

/* How many rows say what under a key. */
static json_object *count(json_object *rows, const char *key)
{
    json_object *counts = json_object_new_object();

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        const char *value = row_text(json_object_array_get_idx(rows, i), key);
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

    printf("gatehoused %s, vault %s\n", row_text(status, "Version"), row_text(status, "VaultState"));
    printf("%16s: %" PRIu64 ", %" PRIu64 " online\n", "devices", row_number(status, "Devices"),
           row_number(status, "Online"));
    json_object_object_foreach (states, state, count)
        printf("%16s  %s: %s\n", "", state, json_object_get_string(count));
    json_object_object_foreach (sensors, sensor, devices) {
        printf("%16s%s %s: %s\n", label, label[0] ? ":" : " ", sensor, json_object_get_string(devices));
        label = "";
    }
    print_mistakes(json_object_object_get(status, "Mistakes"));
    printf("%16s: %" PRIu64 " samples", "waiting", row_number(status, "Spooled"));
    if (json_object_get_double(json_object_object_get(status, "SpoolHours")) > 0)
        printf(", room for %.1f hours more", json_object_get_double(json_object_object_get(status, "SpoolHours")));
    if (row_text(status, "SpoolProblem")[0])
        printf(", and no more can be kept: %s", row_text(status, "SpoolProblem"));
    putchar('\n');
    if (row_text(status, "Problem")[0])
        printf("%16s: %s\n", "problem", row_text(status, "Problem"));
    if (row_text(status, "ClockProblem")[0])
        printf("%16s: %s\n", "clock", row_text(status, "ClockProblem"));
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
        r = devices_list(c, &rows);
    if (r == EXIT_NOT_RUNNING)
        check_explain(c);
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
