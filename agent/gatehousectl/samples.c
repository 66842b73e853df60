/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "samples.h"

#include "base/clock.h"
#include "base/sample.h"
#include "devices.h"
#include "human.h"
#include "natural.h"

#include <stdio.h>
#include <string.h>

void samples_quality(uint32_t flags, char text[SAMPLES_QUALITY_MAX])
{
    static const struct {
        uint32_t flag;
        const char *word;
    } words[] = {
        {SAMPLE_BAD, "bad"},
        {SAMPLE_STALE, "stale"},
        {SAMPLE_OUT_OF_RANGE, "out of range"},
        {SAMPLE_BOOTTIME, "no clock"},
    };
    size_t n = 0;

    snprintf(text, SAMPLES_QUALITY_MAX, "good");
    for (size_t i = 0; i < ELEMENTSOF(words); i++)
        if (flags & words[i].flag)
            n += (size_t)snprintf(text + n, SAMPLES_QUALITY_MAX - n, "%s%s", n > 0 ? ", " : "", words[i].word);
}

/* Of a tuple (stvsu). */
static json_object *row_of(json_object *tuple, const char *device)
{
    static const char *const keys[] = {"point", "time", "value", "unit"};
    json_object *row = json_object_new_object();
    char quality[SAMPLES_QUALITY_MAX];

    if (device)
        json_object_object_add(row, "device", json_object_new_string(device));
    for (size_t i = 0; i < ELEMENTSOF(keys); i++)
        json_object_object_add(row, keys[i], json_object_get(json_object_array_get_idx(tuple, i)));
    samples_quality((uint32_t)json_object_get_int64(json_object_array_get_idx(tuple, ELEMENTSOF(keys))), quality);
    json_object_object_add(row, "quality", json_object_new_string(quality));
    return row;
}

static int by_point(const void *a, const void *b)
{
    json_object *const *x = a, *const *y = b;

    return natural_compare(json_object_get_string(json_object_array_get_idx(*x, 0)),
                           json_object_get_string(json_object_array_get_idx(*y, 0)));
}

int samples_add(struct ctl *c, const char *path, const char *device, bool quiet, json_object *rows)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_json_ json_object *tuples = NULL;
    int r = sd_bus_call_method(c->bus, BUS_NAME, path, BUS_INTERFACE_DEVICE, "GetSamples", &error, &reply, "");

    if (r >= 0)
        r = ctl_to_json(reply, &tuples);
    if (r < 0)
        return quiet ? 0 : ctl_failed(c, device ?: "cannot read the samples", r, &error);
    json_object_array_sort(tuples, by_point);
    for (size_t i = 0; i < json_object_array_length(tuples); i++)
        json_object_array_add(rows, row_of(json_object_array_get_idx(tuples, i), device));
    return 0;
}

int samples_print(struct ctl *c, json_object *rows)
{
    static const struct table_column columns[] = {
        {.heading = "DEVICE", .whole = true}, {.heading = "POINT", .whole = true},
        {.heading = "VALUE", .right = true},  {.heading = "UNIT"},
        {.heading = "AGE", .right = true},    {.heading = "QUALITY"},
    };
    size_t n = json_object_array_length(rows);
    bool devices = n > 0 && json_object_object_get_ex(json_object_array_get_idx(rows, 0), "device", NULL);
    size_t first = devices ? 0 : 1;
    struct table *t = table_new(columns + first, ELEMENTSOF(columns) - first);
    uint64_t now = clock_realtime();
    int r;

    if (!t)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n; i++) {
        json_object *row = json_object_array_get_idx(rows, i);
        const char *quality = row_text(row, "quality");
        char age[HUMAN_TEXT_MAX];

        if (devices)
            table_cell(t, STYLE_PLAIN, row_text(row, "device"));
        table_cell(t, STYLE_PLAIN, row_text(row, "point"));
        table_cell(t, STYLE_PLAIN, json_object_get_string(json_object_object_get(row, "value")));
        table_cell(t, STYLE_PLAIN, row_text(row, "unit"));
        table_cell(t, STYLE_PLAIN, strstr(quality, "no clock") ? "-" : human_age(row_number(row, "time"), now, age));
        table_cell(t, style_of_state(quality), quality);
    }
    r = table_print(t, &c->out, !c->no_legend, stdout);
    table_free(t);
    return r < 0 ? EXIT_FAILURE : 0;
}
