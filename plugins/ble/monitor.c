/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Passive scanning: an advertisement monitor, an object of ours that BlueZ is shown and calls. One of each adapter,
 * below a root of its own, since the calls do not tell the adapter. */
#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MONITOR_ROOT "/org/gatehouse/ble/monitor"
#define MONITOR_INTERFACE "org.bluez.AdvertisementMonitor1"
#define AD_FLAGS 0x01

/* BlueZ reports what fits one of these: what sensors say in their flags. Of more patterns bluetoothd (5.66 to 5.87 at
 * least) dies: it counts the bytes of its message to the kernel, 34 for each pattern and one more, in 8 bits. */
static const uint8_t flags[] = {0x00, 0x02, 0x04, 0x05, 0x06, 0x18, 0x1a};
_Static_assert(1 + 34 * sizeof flags <= UINT8_MAX, "more patterns than bluetoothd survives");

static const char *root_of(const struct adapter *a, char path[PATH_LENGTH])
{
    const char *slash = strrchr(a->path, '/');

    (void)snprintf(path, PATH_LENGTH, MONITOR_ROOT "/%s", slash ? slash + 1 : "adapter");
    return path;
}

static int reply(sd_bus_message *m)
{
    return sd_bus_reply_method_return(m, NULL);
}

static int on_activate(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)error;
    adapter_monitor_active(userdata);
    return reply(m);
}

static int on_release(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)error;
    adapter_monitor_released(userdata);
    return reply(m);
}

/* Said once of each device, not of each advertisement: these come as changes of its properties. */
static int on_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)userdata;
    (void)error;
    return reply(m);
}

static int get_type(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *m,
                    void *userdata, sd_bus_error *error)
{
    (void)bus;
    (void)path;
    (void)interface;
    (void)property;
    (void)userdata;
    (void)error;
    return sd_bus_message_append(m, "s", "or_patterns");
}

static int get_patterns(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *m,
                        void *userdata, sd_bus_error *error)
{
    int r = sd_bus_message_open_container(m, 'a', "(yyay)");

    (void)bus;
    (void)path;
    (void)interface;
    (void)property;
    (void)userdata;
    (void)error;
    for (size_t i = 0; i < sizeof flags && r >= 0; i++)
        r = sd_bus_message_append(m, "(yyay)", 0, AD_FLAGS, 1, flags[i]);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Activate", NULL, NULL, on_activate, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Release", NULL, NULL, on_release, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("DeviceFound", "o", NULL, on_device, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("DeviceLost", "o", NULL, on_device, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Type", "s", get_type, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Patterns", "a(yyay)", get_patterns, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END,
};

/* The objects stay until the bus or the adapter goes: a call of BlueZ's may be under way. */
static int show(struct adapter *a, const char *root)
{
    char path[PATH_LENGTH + 8];
    int r = 0;

    if (!a->hub->bus)
        return -ENOTCONN;
    (void)snprintf(path, sizeof path, "%s/all", root);
    if (!a->monitor_root)
        r = sd_bus_add_object_manager(a->hub->bus, &a->monitor_root, root);
    if (r >= 0 && !a->monitor)
        r = sd_bus_add_object_vtable(a->hub->bus, &a->monitor, path, MONITOR_INTERFACE, vtable, a);
    return r;
}

int monitor_register(struct adapter *a, sd_bus_message_handler_t done)
{
    char root[PATH_LENGTH];
    int r = show(a, root_of(a, root));

    return r < 0 ? r
                 : bluez_call(a->hub, &a->call, a->path, BLUEZ_MONITORS, "RegisterMonitor", CALL_TIMEOUT, done, a, "o",
                              root);
}

int monitor_unregister(struct adapter *a, sd_bus_message_handler_t done)
{
    char root[PATH_LENGTH];

    return bluez_call(a->hub, &a->call, a->path, BLUEZ_MONITORS, "UnregisterMonitor", CALL_TIMEOUT, done, a, "o",
                      root_of(a, root));
}

void monitor_hide(struct adapter *a)
{
    a->monitor = sd_bus_slot_unref(a->monitor);
    a->monitor_root = sd_bus_slot_unref(a->monitor_root);
}
