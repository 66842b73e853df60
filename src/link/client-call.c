/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"
#include "base/limits.h"
#include "base/names.h"
#include "link/client-internal.h"

#include <errno.h>
#include <string.h>

struct link_call {
    sd_bus_message *message;
};

static struct link_call *call_new(sd_bus_message *m)
{
    struct link_call *call = malloc(sizeof(*call));

    if (call)
        call->message = sd_bus_message_ref(m);
    return call;
}

static void call_free(struct link_call *call)
{
    sd_bus_message_unref(call->message);
    free(call);
}

void link_call_fail(struct link_call *call, int r, const char *text)
{
    (void)wire_reply_error(call->message, r, text);
    call_free(call);
}

/* Sends a reply that was built, or says why it could not be. A connection that is gone needs no answer. */
static void finish(struct link_call *call, int r, sd_bus_message *reply)
{
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    if (r < 0 && r != -ENOTCONN) {
        link_call_fail(call, r, "the answer could not be sent");
        return;
    }
    call_free(call);
}

void link_call_value(struct link_call *call, const struct sample_value *value)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_return(call->message, &m);

    if (r >= 0)
        r = wire_append_value(m, value);
    finish(call, r, m);
}

void link_call_values(struct link_call *call, const struct sample_value *values, size_t n)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_return(call->message, &m);

    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "v");
    for (size_t i = 0; i < n && r >= 0; i++)
        r = wire_append_value(m, &values[i]);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    finish(call, r, m);
}

void link_call_complaints(struct link_call *call, const char *const (*complaints)[2], size_t n)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_return(call->message, &m);

    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(ss)");
    for (size_t i = 0; i < n && r >= 0; i++)
        r = sd_bus_message_append(m, "(ss)", complaints[i][0], complaints[i][1]);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    finish(call, r, m);
}

static int append_found(sd_bus_message *m, json_object *object)
{
    const char *id = json_get_string(object, "id");
    int r = sd_bus_message_open_container(m, 'r', "sa{sv}");

    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', id ?: "");
    if (r >= 0)
        r = wire_append_dict(m, object);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

void link_call_found(struct link_call *call, json_object *found)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_return(call->message, &m);

    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(sa{sv})");
    for (size_t i = 0; i < json_object_array_length(found) && r >= 0; i++)
        r = append_found(m, json_object_array_get_idx(found, i));
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    finish(call, r, m);
}

/* Reads one "(sa{sv})" of SetDevices; the strings live as long as m. 1, or 0 at the end. */
static int read_device(sd_bus_message *m, struct link_device *ret)
{
    struct link_device device = {.section = "{}", .points = "{}"};
    int r = sd_bus_message_enter_container(m, 'r', "sa{sv}");

    if (r <= 0)
        return r;
    r = sd_bus_message_read_basic(m, 's', &device.id);
    if (r >= 0)
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0) {
        const char *key, *text;

        r = sd_bus_message_read(m, "{sv}", &key, "s", &text);
        if (r <= 0)
            break;
        if (strcmp(key, "driver") == 0)
            device.section = text;
        else if (strcmp(key, "points") == 0)
            device.points = text;
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    if (r < 0)
        return r;
    *ret = device;
    return 1;
}

static int on_set_devices(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_free_ struct link_device *devices = calloc(LINK_DEVICES_MAX, sizeof(*devices));
    const struct link_client_ops *ops;
    size_t n = 0;
    int r;

    if (!devices)
        return -ENOMEM;
    r = sd_bus_message_enter_container(m, 'a', "(sa{sv})");
    while (r >= 0 && n < LINK_DEVICES_MAX) {
        r = read_device(m, &devices[n]);
        if (r <= 0)
            break;
        n++;
    }
    if (r < 0)
        return r;
    ops = client_ops(userdata, &userdata);
    ops->set_devices(devices, n, userdata);
    return sd_bus_reply_method_return(m, "");
}

static int on_write(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const struct link_client_ops *ops = client_ops(userdata, &userdata);
    const char *device, *point;
    struct sample_value value;
    struct link_call *call;
    int r = sd_bus_message_read(m, "ss", &device, &point);

    if (r >= 0)
        r = wire_read_value(m, &value);
    if (r < 0)
        return r;
    call = call_new(m);
    if (!call)
        return -ENOMEM;
    ops->write(call, device, point, &value, userdata);
    return 1;
}

static int on_read(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const struct link_client_ops *ops = client_ops(userdata, &userdata);
    const char *device, *point;
    struct link_call *call;
    int r = sd_bus_message_read(m, "ss", &device, &point);

    if (r < 0)
        return r;
    call = call_new(m);
    if (!call)
        return -ENOMEM;
    ops->read(call, device, point, userdata);
    return 1;
}

static int on_check_config(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const struct link_client_ops *ops = client_ops(userdata, &userdata);
    const char *device, *text;
    struct link_call *call;
    int r = sd_bus_message_read(m, "ss", &device, &text);

    if (r < 0)
        return r;
    call = call_new(m);
    if (!call)
        return -ENOMEM;
    ops->check_config(call, device, text, userdata);
    return 1;
}

typedef void (*options_fn)(struct link_call *call, json_object *options, void *userdata);

static int with_options(sd_bus_message *m, options_fn op, void *userdata)
{
    _cleanup_json_ json_object *options = NULL;
    struct link_call *call;
    int r = wire_read_dict(m, &options);

    if (r < 0)
        return r;
    call = call_new(m);
    if (!call)
        return -ENOMEM;
    op(call, options, userdata);
    return 1;
}

static int on_scan(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const struct link_client_ops *ops = client_ops(userdata, &userdata);

    return with_options(m, ops->scan, userdata);
}

static int on_read_raw(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const struct link_client_ops *ops = client_ops(userdata, &userdata);

    return with_options(m, ops->read_raw, userdata);
}

static int on_quit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const struct link_client_ops *ops = client_ops(userdata, &userdata);

    ops->quit(userdata);
    return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("SetDevices", "a(sa{sv})", "", on_set_devices, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Write", "ssv", "v", on_write, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Read", "ss", "v", on_read, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("CheckConfig", "ss", "a(ss)", on_check_config, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Scan", "a{sv}", "a(sa{sv})", on_scan, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("ReadRaw", "a{sv}", "av", on_read_raw, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Quit", "", "", on_quit, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

int client_add_methods(sd_bus *bus, struct link_client *c)
{
    return sd_bus_add_object_vtable(bus, NULL, LINK_PATH, LINK_INTERFACE_DRIVER, vtable, c);
}
