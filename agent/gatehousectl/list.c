/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices.h"
#include "table.h"

#include <stdio.h>
#include <string.h>

/* Whether a word is one of a list with commas; without a list any is. */
static bool wanted(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == 0))
            return true;
    return !list;
}

static bool chosen(const struct ctl *c, json_object *row)
{
    return wanted(c->state, row_text(row, "state")) && wanted(c->sensor, row_text(row, "sensor")) &&
           wanted(c->driver, row_text(row, "driver")) && wanted(c->uplink, row_text(row, "uplink"));
}

/* A new array of those that the options ask for. */
static json_object *filtered(const struct ctl *c, json_object *rows)
{
    json_object *ret = json_object_new_array();

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        json_object *row = json_object_array_get_idx(rows, i);

        if (chosen(c, row))
            json_object_array_add(ret, json_object_get(row));
    }
    return ret;
}

static void add_rows(struct table *t, json_object *rows)
{
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        json_object *row = json_object_array_get_idx(rows, i);
        const char *state = row_text(row, "state"), *sensor = row_text(row, "sensor");
        const char *reason = row_text(row, "sensor_reason");

        table_cell(t, STYLE_PLAIN, row_text(row, "device"));
        table_cell(t, STYLE_PLAIN, row_text(row, "driver"));
        table_cell(t, STYLE_PLAIN, row_text(row, "uplink"));
        table_cell(t, style_of_state(state), state);
        table_printf(t, style_of_state(sensor[0] ? sensor : state), "%s%s%s", sensor,
                     sensor[0] && reason[0] ? ": " : "", reason);
    }
}

/* Whether a row shows that something is wrong. */
static bool shows_trouble(json_object *rows)
{
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        json_object *row = json_object_array_get_idx(rows, i);
        enum style state = style_of_state(row_text(row, "state")), sensor = style_of_state(row_text(row, "sensor"));

        if (state == STYLE_BAD || state == STYLE_WARN || sensor == STYLE_BAD || sensor == STYLE_WARN)
            return true;
    }
    return false;
}

/* A table in which all is well does not hide what is wrong elsewhere: a full disk, messages that are refused. */
static void print_problem(struct ctl *c)
{
    _cleanup_json_ json_object *properties = json_object_new_object();

    if (ctl_property(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Problem", properties) == 0 &&
        row_text(properties, "Problem")[0])
        print_field(&c->out, stdout, "problem", STYLE_BAD, "%s", row_text(properties, "Problem"));
}

static int print_list(struct ctl *c, size_t all, json_object *rows, json_object *mistakes)
{
    static const struct table_column columns[] = {
        {.heading = "DEVICE", .whole = true}, {.heading = "DRIVER"}, {.heading = "UPLINK"},
        {.heading = "STATE", .marks = true},  {.heading = "SENSOR"},
    };
    struct table *t = table_new(columns, ELEMENTSOF(columns));
    size_t n = json_object_array_length(rows), bad = json_object_array_length(mistakes);
    struct terminal terminal = c->out;
    char some[32] = "";
    int r;

    if (!t)
        return EXIT_FAILURE;
    if (c->full)
        terminal.width = 0;
    add_rows(t, rows);
    add_rows(t, mistakes);
    print_pager(c, n + bad + 3);
    r = table_print(t, &terminal, !c->no_legend, stdout);
    table_free(t);
    if (n < all)
        snprintf(some, sizeof(some), " of %zu", all);
    if (!c->no_legend)
        printf(bad > 0 ? "\n%zu%s devices, %zu with bad settings.\n" : "\n%zu%s devices.\n", n, some, bad);
    if (!c->no_legend && bad == 0 && !shows_trouble(rows))
        print_problem(c);
    return r < 0 ? EXIT_FAILURE : 0;
}

int verb_list(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *all = NULL, *mistakes = json_object_new_array();
    json_object *rows, *bad;
    int r = devices_list(c, &all);

    if (r == 0)
        r = devices_add_mistakes(c, all, mistakes);
    if (r != 0)
        return r;
    rows = filtered(c, all);
    bad = filtered(c, mistakes);
    json_object_object_add(ctl_result(c), "devices", rows);
    json_object_object_add(ctl_result(c), "mistakes", bad);
    return print_text_wanted(c) ? print_list(c, json_object_array_length(all), rows, bad) : 0;
}
