/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices.h"

#include <stdio.h>
#include <string.h>

static void print_row(json_object *row, int width)
{
    const char *sensor = row_text(row, "sensor"), *reason = row_text(row, "sensor_reason");

    printf("%-*s %-12s %-12s %-13s %s%s%s\n", width, row_text(row, "device"), row_text(row, "driver"),
           row_text(row, "uplink"), row_text(row, "state"), sensor, sensor[0] && reason[0] ? ": " : "", reason);
}

int verb_list(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *rows = NULL, *mistakes = json_object_new_array();
    size_t n, bad, width = strlen("DEVICE");
    int r = devices_list(c, &rows);

    if (r == 0)
        r = devices_add_mistakes(c, rows, mistakes);
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
        width = MAX_OF(width, strlen(row_text(json_object_array_get_idx(rows, i), "device")));
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
