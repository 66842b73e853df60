/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status: the whole at a glance, whatever the number of devices. */
#include "devices.h"
#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The arrays of tuples that D-Bus has, and what their members are called in JSON. */
static const struct {
    const char *key;
    const char *names[6];
} tuples[] = {
    {"Drivers", {"name", "version", "state", "error"}}, {"Orphans", {"device", "samples"}},
    {"Mistakes", {"file", "line", "column", "text"}},   {"Uplinks", {"name", "url", "devices", "online", "reason"}},
    {"Rotations", {"device", "state", "reason"}},       {"Problems", {"device", "devices", "text"}},
};

static void name_tuples(json_object *o, const char *key, const char *const *names)
{
    json_object *named = json_object_new_array(), *list = json_object_object_get(o, key);

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *tuple = json_object_array_get_idx(list, i), *row = json_object_new_object();

        for (size_t k = 0; names[k]; k++)
            json_object_object_add(row, names[k], json_object_get(json_object_array_get_idx(tuple, k)));
        json_object_array_add(named, row);
    }
    json_object_object_add(o, key, named);
}

/* "online: 2", each under the label of the first. */
static void print_counts(struct ctl *c, const char *label, json_object *counts)
{
    json_object_object_foreach (counts, name, count) {
        enum style style = style_of_state(name);

        print_field(&c->out, stdout, label, style, "%s%s: %s", style_mark(&c->out, style), name,
                    json_object_get_string(count));
        label = "";
    }
}

static void print_uplinks(struct ctl *c, json_object *uplinks)
{
    for (size_t i = 0; i < json_object_array_length(uplinks); i++) {
        json_object *u = json_object_array_get_idx(uplinks, i);
        const char *reason = row_text(u, "reason");
        enum style style = reason[0] ? STYLE_WARN : row_number(u, "online") > 0 ? STYLE_GOOD : STYLE_DIM;

        print_field(&c->out, stdout, i == 0 ? "uplinks" : "", style, "%s%s (%s): %" PRIu64 " of %" PRIu64 " online%s%s",
                    style_mark(&c->out, style), row_text(u, "name"), row_text(u, "url"), row_number(u, "online"),
                    row_number(u, "devices"), reason[0] ? "; " : "", reason);
    }
}

static void print_rotations(struct ctl *c, json_object *status)
{
    json_object *rotations = json_object_object_get(status, "Rotations");

    print_counts(c, "rotations", json_object_object_get(status, "Rotating"));
    for (size_t i = 0; i < json_object_array_length(rotations); i++) {
        json_object *rotation = json_object_array_get_idx(rotations, i);
        const char *reason = row_text(rotation, "reason");

        print_field(&c->out, stdout, "", STYLE_PLAIN, "%s is %s%s%s", row_text(rotation, "device"),
                    row_text(rotation, "state"), reason[0] ? ", waits for " : "", reason);
    }
}

static void print_mistakes(struct ctl *c, json_object *mistakes)
{
    for (size_t i = 0; i < json_object_array_length(mistakes); i++) {
        json_object *m = json_object_array_get_idx(mistakes, i);
        const char *label = i == 0 ? "bad-setting" : "", *file = row_text(m, "file");

        if (row_number(m, "line") > 0)
            print_field(&c->out, stdout, label, STYLE_BAD, "%s:%" PRIu64 ":%" PRIu64 ": %s", file,
                        row_number(m, "line"), row_number(m, "column"), row_text(m, "text"));
        else
            print_field(&c->out, stdout, label, STYLE_BAD, "%s%s%s", file, file[0] ? ": " : "", row_text(m, "text"));
    }
}

static void print_spool(struct ctl *c, json_object *status)
{
    double hours = json_object_get_double(json_object_object_get(status, "SpoolHours"));
    const char *problem = row_text(status, "SpoolProblem");
    json_object *orphans = json_object_object_get(status, "Orphans");
    char room[64] = "";

    if (hours > 0)
        snprintf(room, sizeof(room), ", room for %.1f hours more", hours);
    print_field(&c->out, stdout, "waiting", problem[0] ? STYLE_BAD : STYLE_PLAIN, "%" PRIu64 " samples%s%s%s",
                row_number(status, "Spooled"), room, problem[0] ? ", and no more can be kept: " : "", problem);
    for (size_t i = 0; i < json_object_array_length(orphans); i++) {
        json_object *o = json_object_array_get_idx(orphans, i);

        print_field(&c->out, stdout, "", STYLE_WARN, "%" PRIu64 " of %s, which is not configured or not loaded",
                    row_number(o, "samples"), row_text(o, "device"));
    }
    if (row_text(status, "Problem")[0])
        print_field(&c->out, stdout, "problem", STYLE_BAD, "%s", row_text(status, "Problem"));
    if (row_text(status, "ClockProblem")[0])
        print_field(&c->out, stdout, "clock", STYLE_WARN, "%s", row_text(status, "ClockProblem"));
}

static void print_problems(struct ctl *c, json_object *problems)
{
    for (size_t i = 0; i < json_object_array_length(problems); i++) {
        json_object *p = json_object_array_get_idx(problems, i);
        const char *label = i == 0 ? "problems" : "", *device = row_text(p, "device");
        uint64_t others = row_number(p, "devices") - 1;

        if (!device[0])
            print_field(&c->out, stdout, label, STYLE_WARN, "of %" PRIu64 " more devices (gatehousectl list)",
                        others + 1);
        else if (others == 0)
            print_field(&c->out, stdout, label, STYLE_WARN, "%s: %s", device, row_text(p, "text"));
        else
            print_field(&c->out, stdout, label, STYLE_WARN, "%s and %" PRIu64 " more: %s", device, others,
                        row_text(p, "text"));
    }
}

static void print_drivers(struct ctl *c, json_object *drivers)
{
    for (size_t i = 0; i < json_object_array_length(drivers); i++) {
        json_object *d = json_object_array_get_idx(drivers, i);
        const char *error = row_text(d, "error"), *version = row_text(d, "version");
        enum style style = style_of_state(row_text(d, "state"));

        print_field(&c->out, stdout, i == 0 ? "drivers" : "", style, "%s%s %s%s%s%s%s", style_mark(&c->out, style),
                    row_text(d, "name"), version, version[0] ? " " : "", row_text(d, "state"), error[0] ? ": " : "",
                    error);
    }
}

static void print_status(struct ctl *c, json_object *status)
{
    printf("gatehoused %s, vault %s\n", row_text(status, "Version"), row_text(status, "VaultState"));
    print_field(&c->out, stdout, "devices", STYLE_PLAIN, "%" PRIu64 ", %" PRIu64 " online",
                row_number(status, "Devices"), row_number(status, "Online"));
    print_counts(c, "", json_object_object_get(status, "States"));
    print_counts(c, "sensors", json_object_object_get(status, "Sensors"));
    print_uplinks(c, json_object_object_get(status, "Uplinks"));
    print_rotations(c, status);
    print_mistakes(c, json_object_object_get(status, "Mistakes"));
    print_spool(c, status);
    print_problems(c, json_object_object_get(status, "Problems"));
    print_drivers(c, json_object_object_get(status, "Drivers"));
}

/* Adds what GetSummary knows to the properties. Exit status. */
static int add_summary(struct ctl *c, json_object *status)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_json_ json_object *summary = NULL;
    int r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "GetSummary", &reply, "");

    if (r != 0)
        return r;
    r = ctl_to_json(reply, &summary);
    if (r < 0)
        return ctl_failed(c, "cannot read the summary", r, NULL);
    json_object_object_foreach (summary, key, value)
        json_object_object_add(status, key, json_object_get(value));
    return 0;
}

int verb_status(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *status = NULL;
    int r = ctl_properties(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, &status);

    if (r == 0)
        r = add_summary(c, status);
    if (r == EXIT_NOT_RUNNING)
        check_explain(c);
    if (r != 0)
        return r;
    for (size_t i = 0; i < ELEMENTSOF(tuples); i++)
        name_tuples(status, tuples[i].key, tuples[i].names);
    if (print_text_wanted(c))
        print_status(c, status);
    c->result = TAKE_PTR(status);
    return 0;
}
