/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices.h"
#include "samples.h"

#include <stdio.h>

/* Of one point, from its sensor. */
static int read_point(struct ctl *c, const char *id, const char *point)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_free_ char *path = NULL;
    json_object *value = NULL;
    uint64_t time;
    int r = ctl_device(c, id, &path);

    if (r == 0)
        r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "Read", &reply, "s", point);
    if (r != 0)
        return r;
    r = ctl_to_json(reply, &value);
    if (r < 0)
        return ctl_failed(c, "cannot read the answer", r, NULL);
    ctl_result_text(c, "device", id);
    ctl_result_text(c, "point", point);
    json_object_object_add(ctl_result(c), "value", value);
    r = sd_bus_message_read(reply, "t", &time);
    if (r < 0)
        return ctl_failed(c, "cannot read the answer", r, NULL);
    json_object_object_add(ctl_result(c), "time", json_object_new_uint64(time));
    print_say(c, "%s", json_object_get_string(value));
    return 0;
}

static int add(struct ctl *c, const char *id, const char *path, void *rows)
{
    return samples_add(c, path, id, false, rows);
}

/* The latest of all points, without asking sensors. */
static int read_latest(struct ctl *c, int argc, char **argv)
{
    json_object *rows = json_object_new_array();
    int r;

    json_object_object_add(ctl_result(c), "samples", rows);
    r = devices_each(c, argc, argv, add, rows);
    if (!print_text_wanted(c) || (r != 0 && json_object_array_length(rows) == 0))
        return r;
    if (json_object_array_length(rows) == 0) {
        print_say(c, "no sample has come yet");
        return r;
    }
    print_pager(c, json_object_array_length(rows) + 2);
    return samples_print(c, rows) ?: r;
}

int verb_read(struct ctl *c, int argc, char **argv)
{
    if (c->url && !c->latest && !c->all)
        return look_read(c, argc, argv);
    if (c->unit || c->read || c->timeout || c->trace || c->url || c->all == (argc > 0)) {
        print_error("read: expected DEVICE, DEVICE and POINT, --latest DEVICE..., --all, or --url=URL --read=WHAT (see "
                    "gatehousectl read --help)");
        return EXIT_USAGE;
    }
    if (argc == 1 || c->latest || c->all)
        return read_latest(c, argc, argv);
    if (argc == 2)
        return read_point(c, argv[0], argv[1]);
    print_error("read: %d operands: one point of one device is read from its sensor; for what is known of several "
                "devices: gatehousectl read --latest DEVICE...",
                argc);
    return EXIT_USAGE;
}
