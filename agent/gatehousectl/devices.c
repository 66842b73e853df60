/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices.h"

#include "base/limits.h"
#include "natural.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *row_text(json_object *row, const char *key)
{
    return json_get_string(row, key) ?: "";
}

uint64_t row_number(json_object *row, const char *key)
{
    return json_object_get_uint64(json_object_object_get(row, key));
}

static void add_text(json_object *row, const char *key, json_object *text)
{
    json_object_object_add_ex(row, key, text, JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY);
}

/* One tuple of texts as an object with these keys; 0: the list has ended. Ten thousand are read, so nothing is made on
 * the way, and no key is looked up or copied. */
static int read_row(sd_bus_message *m, const char *types, const char *const keys[], json_object *rows)
{
    json_object *row;
    int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, types);

    if (r <= 0)
        return r;
    row = json_object_new_object();
    json_object_array_add(rows, row);
    for (size_t k = 0; r > 0 && keys[k]; k++) {
        const char *text;

        r = sd_bus_message_read_basic(m, types[k], &text);
        if (r > 0)
            add_text(row, keys[k], json_object_new_string(text));
    }
    return r > 0 ? sd_bus_message_exit_container(m) : r < 0 ? r : -EBADMSG;
}

static int read_page(sd_bus_message *m, const char *types, const char *const keys[], json_object *rows)
{
    char array[16];
    int r;

    snprintf(array, sizeof(array), "(%s)", types);
    r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, array);
    while (r > 0)
        r = read_row(m, types, keys, rows);
    return r;
}

/* Every device, page by page: the tuples of a method that lists them, as objects with these keys, the first of which is
 * the device's id. */
static int list_pages(struct ctl *c, const char *method, const char *types, const char *const keys[], json_object *rows)
{
    _cleanup_free_ char *after = NULL;
    size_t n, before;

    do {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = after ? ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, method, &reply, "a{sv}", 1, "after", "s",
                                 after)
                      : ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, method, &reply, "a{sv}", 0);

        if (r != 0)
            return r;
        before = json_object_array_length(rows);
        r = read_page(reply, types, keys, rows);
        if (r < 0)
            return ctl_failed(c, "cannot read the list", r, NULL);
        n = json_object_array_length(rows) - before;
        free(after);
        after = n > 0 ? strdup(row_text(json_object_array_get_idx(rows, json_object_array_length(rows) - 1), keys[0]))
                      : NULL;
    } while (after && n == LIST_DEVICES_MAX);
    return 0;
}

/* Both lists are in the order of the ids; a device may have come or gone between them. */
static void add_sensors(json_object *rows, json_object *sensors)
{
    size_t n = json_object_array_length(sensors), k = 0;

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        json_object *row = json_object_array_get_idx(rows, i), *sensor = NULL;
        const char *device = row_text(row, "device");
        int order = -1;

        for (; k < n && order < 0; k += order < 0) {
            sensor = json_object_array_get_idx(sensors, k);
            order = strcmp(row_text(sensor, "device"), device);
        }
        add_text(row, "sensor",
                 order == 0 ? json_object_get(json_object_object_get(sensor, "sensor"))
                            : json_object_new_string("unknown"));
        add_text(row, "sensor_reason",
                 order == 0 ? json_object_get(json_object_object_get(sensor, "reason")) : json_object_new_string(""));
    }
}

static int by_device(const void *a, const void *b)
{
    json_object *const *x = a, *const *y = b;

    return natural_compare(row_text(*x, "device"), row_text(*y, "device"));
}

int devices_list(struct ctl *c, json_object **ret)
{
    static const char *const device_keys[] = {"device", "path", "driver", "uplink", "state", NULL};
    static const char *const sensor_keys[] = {"device", "sensor", "reason", NULL};
    _cleanup_json_ json_object *rows = json_object_new_array(), *sensors = json_object_new_array();
    int r = list_pages(c, "ListDevices", "sosss", device_keys, rows);

    if (r == 0)
        r = list_pages(c, "ListSensors", "sss", sensor_keys, sensors);
    if (r != 0)
        return r;
    add_sensors(rows, sensors);
    json_object_array_sort(rows, by_device);
    *ret = TAKE_PTR(rows);
    return 0;
}

/* "FILE:LINE:COLUMN: TEXT" of an entry of the property Mistakes. */
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
        if (strcmp(row_text(json_object_array_get_idx(rows, i), "sensor_reason"), reason) == 0)
            return true;
    return false;
}

int devices_add_mistakes(struct ctl *c, json_object *rows, json_object *ret)
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

static int each_listed(struct ctl *c, json_object *rows, devices_one one, void *userdata, size_t *failed)
{
    int status = 0;

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        json_object *row = json_object_array_get_idx(rows, i);
        int r = one(c, row_text(row, "device"), row_text(row, "path"), userdata);

        *failed += r != 0;
        status = r != 0 ? r : status;
    }
    return status;
}

static int each_named(struct ctl *c, int argc, char **argv, devices_one one, void *userdata, size_t *failed)
{
    int status = 0;

    for (int i = 0; i < argc; i++) {
        _cleanup_free_ char *path = NULL;
        int r = ctl_device(c, argv[i], &path);

        if (r == 0)
            r = one(c, argv[i], path, userdata);
        *failed += r != 0;
        status = r != 0 ? r : status;
        if (r == EXIT_NOT_RUNNING)
            return r;
    }
    return status;
}

int devices_each(struct ctl *c, int argc, char **argv, devices_one one, void *userdata)
{
    _cleanup_json_ json_object *rows = NULL;
    size_t failed = 0, n = (size_t)argc;
    int r;

    if (!c->all)
        r = each_named(c, argc, argv, one, userdata, &failed);
    else {
        r = devices_list(c, &rows);
        if (r != 0)
            return r;
        n = json_object_array_length(rows);
        r = each_listed(c, rows, one, userdata, &failed);
    }
    return failed > 0 && failed < n && r != EXIT_NOT_RUNNING ? EXIT_PARTIAL : r;
}
