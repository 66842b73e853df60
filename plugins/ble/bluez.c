/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus, and BlueZ on it: which objects there are, and what becomes of them. Strangers' are not kept. */
#include "hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *bluez_error(sd_bus_message *m, char *text, size_t size)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    const char *name = e ? e->name : "";

    if (strncmp(name, "org.bluez.Error.", 16) == 0)
        name += 16;
    (void)snprintf(text, size, "%s%s%s", name, e && e->message && e->message[0] ? ": " : "",
                   e && e->message ? e->message : "");
    return text;
}

int bluez_call(struct hub *h, sd_bus_slot **slot, const char *path, const char *interface, const char *method,
               uint64_t timeout, sd_bus_message_handler_t done, void *userdata, const char *types, ...)
{
    sd_bus_message *m = NULL;
    va_list ap;
    int r;

    *slot = sd_bus_slot_unref(*slot);
    if (!h->bus)
        return -ENOTCONN;
    r = sd_bus_message_new_method_call(h->bus, &m, BLUEZ, path, interface, method);
    if (r < 0)
        return r;
    va_start(ap, types);
    if (types)
        r = sd_bus_message_appendv(m, types, ap);
    va_end(ap);
    /* BlueZ that was stopped stays stopped. */
    if (r >= 0)
        r = sd_bus_message_set_auto_start(m, 0);
    if (r >= 0)
        r = sd_bus_call_async(h->bus, slot, m, done, userdata, timeout);
    sd_bus_message_unref(m);
    return r;
}

/* ── Objects ── */

static struct adapter *adapter_of(struct hub *h, const char *path, size_t n)
{
    for (struct adapter *a = h->adapters; a; a = a->next)
        if (strlen(a->path) == n && strncmp(a->path, path, n) == 0)
            return a;
    return NULL;
}

/* One interface of one object. `news`: it was just heard, and is not what BlueZ remembers. */
static void on_interface(struct hub *h, const char *path, const char *interface, const struct properties *p, bool first,
                         bool news)
{
    char address[ADDRESS_TEXT];
    struct adapter *a;
    struct sensor *s;
    size_t n;

    if (strcmp(interface, BLUEZ_ADAPTER) == 0) {
        a = adapter_get(h, path);
        if (a)
            adapter_properties(a, p, first);
        return;
    }
    if (strcmp(interface, BLUEZ_MONITORS) == 0) {
        a = adapter_get(h, path);
        if (a && (first || p->has_monitor_types))
            adapter_monitors(a, p->or_patterns);
        return;
    }
    if (!path_address(path, address, &n))
        return;
    a = adapter_of(h, path, n);
    if (!a)
        return;
    s = hub_sensor(h, address);
    if (strcmp(interface, BLUEZ_DEVICE) != 0) {
        for (; s; s = s->next)
            if (!s->closing && strcasecmp(s->config->address, address) == 0)
                gatt_object(s, path, interface, p);
        return;
    }
    if (news && (p->has_data || p->advert.rssi != ADVERT_POWER_NONE))
        a->heard = hub_now();
    if (h->scans > 0 && news)
        scan_heard(h, address, a, p);
    /* A sensor may stand in several files, under different names. */
    for (; s; s = s->next) {
        if (s->closing || strcasecmp(s->config->address, address) != 0 || !adapter_serves(a, s))
            continue;
        link_properties(s, a, p);
        if (news || p->has_uuids || p->advert.name)
            sensor_heard(s, news ? a : NULL, p);
    }
}

/* An a{sa{sv}}. An adapter comes behind what else its object has: what it can do is known before it is begun with. */
static int read_interfaces(struct hub *h, sd_bus_message *m, const char *path, bool news)
{
    int r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
    struct properties p, adapter;
    const char *interface;
    bool is_adapter = false;

    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
        r = sd_bus_message_read(m, "s", &interface);
        if (r >= 0)
            r = properties_read(m, &p);
        if (r < 0)
            break;
        if (strcmp(interface, BLUEZ_ADAPTER) == 0) {
            is_adapter = true;
            adapter = p;
        } else {
            on_interface(h, path, interface, &p, true, news);
        }
        r = sd_bus_message_exit_container(m);
    }
    if (is_adapter)
        on_interface(h, path, BLUEZ_ADAPTER, &adapter, true, news);
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int on_added(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct hub *h = userdata;
    const char *path;

    (void)error;
    if (h->bluez && sd_bus_message_read(m, "o", &path) >= 0)
        (void)read_interfaces(h, m, path, true);
    return 0;
}

/* A sensor may stand in several files. */
static void interface_gone(struct hub *h, const char *path, const char *interface)
{
    char address[ADDRESS_TEXT];
    size_t n;

    if (!path_address(path, address, &n))
        return;
    for (struct sensor *s = hub_sensor(h, address); s; s = s->next) {
        if (s->closing || strcasecmp(s->config->address, address) != 0)
            continue;
        if (strcmp(interface, BLUEZ_DEVICE) == 0) {
            fresh_forget(&s->fresh);
            link_gone(s, adapter_of(h, path, n));
        } else if (strcmp(interface, BLUEZ_CHARACTERISTIC) == 0 || strcmp(interface, BLUEZ_SERVICE) == 0)
            gatt_object_gone(s, path);
    }
}

static int on_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *path, *interface;
    struct hub *h = userdata;
    struct adapter *a;

    (void)error;
    if (sd_bus_message_read(m, "o", &path) < 0 || sd_bus_message_enter_container(m, 'a', "s") < 0)
        return 0;
    while (sd_bus_message_read(m, "s", &interface) > 0) {
        a = adapter_of(h, path, strlen(path));
        if (a && strcmp(interface, BLUEZ_ADAPTER) == 0)
            adapter_gone(a);
        else if (a && strcmp(interface, BLUEZ_MONITORS) == 0)
            adapter_monitors(a, false);
        else
            interface_gone(h, path, interface);
    }
    return 0;
}

/* The commonest of all: a stranger's is dropped by its path, before anything of it is read. */
static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *path = sd_bus_message_get_path(m), *interface;
    char address[ADDRESS_TEXT];
    struct hub *h = userdata;
    struct properties p;
    size_t n;

    (void)error;
    if (!h->bluez || !path)
        return 0;
    if (path_address(path, address, &n) && !hub_sensor(h, address) && h->scans == 0) {
        struct adapter *a = adapter_of(h, path, n);

        if (a)
            a->heard = hub_now();
        return 0;
    }
    if (sd_bus_message_read(m, "s", &interface) >= 0 && properties_read(m, &p) >= 0)
        on_interface(h, path, interface, &p, false, true);
    return 0;
}

static int on_objects(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct hub *h = userdata;
    const char *path;
    int r;

    (void)error;
    h->objects_call = sd_bus_slot_unref(h->objects_call);
    if (sd_bus_message_is_method_error(m, NULL)) {
        char text[REASON_MAX / 2];

        (void)snprintf(h->problem, sizeof h->problem, "bluetoothd does not answer (%s): is bluetooth.service running?",
                       bluez_error(m, text, sizeof text));
        return 0;
    }
    h->bluez = true;
    h->problem[0] = 0;
    r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
            r = read_interfaces(h, m, path, false);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    for (struct adapter *a = h->adapters; a; a = a->next)
        adapter_event(a, ADAPTER_EV_LOOK);
    return 0;
}

static void ask_objects(struct hub *h)
{
    h->objects_due = false;
    if (bluez_call(h, &h->objects_call, "/", DBUS_OBJECTS, "GetManagedObjects", CALL_TIMEOUT, on_objects, h, NULL) < 0)
        (void)snprintf(h->problem, sizeof h->problem, "bluetoothd cannot be asked");
}

/* bluetoothd has ended: whatever it had is gone. */
static void forget_all(struct hub *h, const char *why)
{
    h->bluez = false;
    h->agent_capability = NULL;
    h->agent_call = sd_bus_slot_unref(h->agent_call);
    h->objects_call = sd_bus_slot_unref(h->objects_call);
    (void)snprintf(h->problem, sizeof h->problem, "%s", why);
    for (struct adapter *a = h->adapters; a; a = a->next)
        adapter_gone(a);
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *name, *before, *now;
    struct hub *h = userdata;

    (void)error;
    if (sd_bus_message_read(m, "sss", &name, &before, &now) < 0)
        return 0;
    if (before[0])
        forget_all(h, "bluetoothd has ended: is bluetooth.service running?");
    if (now[0])
        ask_objects(h);
    return 0;
}

/* ── The bus ── */

void bluez_close(struct hub *h)
{
    forget_all(h, "no connection to D-Bus");
    for (struct adapter *a = h->adapters; a; a = a->next)
        monitor_hide(a);
    h->agent_slot = sd_bus_slot_unref(h->agent_slot);
    if (h->bus)
        sd_bus_detach_event(h->bus);
    h->bus = sd_bus_flush_close_unref(h->bus);
}

static int connect_bus(struct hub *h)
{
    int r = sd_bus_open_system_with_description(&h->bus, "gatehouse-ble");

    if (r >= 0)
        r = sd_bus_set_exit_on_disconnect(h->bus, false);
    if (r >= 0)
        r = sd_bus_add_match_async(
            h->bus, NULL, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" BLUEZ "'",
            on_owner, NULL, h);
    if (r >= 0)
        r = sd_bus_match_signal_async(h->bus, NULL, BLUEZ, "/", DBUS_OBJECTS, "InterfacesAdded", on_added, NULL, h);
    if (r >= 0)
        r = sd_bus_match_signal_async(h->bus, NULL, BLUEZ, "/", DBUS_OBJECTS, "InterfacesRemoved", on_removed, NULL, h);
    if (r >= 0)
        r = sd_bus_add_match_async(h->bus, NULL,
                                   "type='signal',sender='" BLUEZ "',interface='" DBUS_PROPERTIES
                                   "',member='PropertiesChanged',path_namespace='/org/bluez'",
                                   on_changed, NULL, h);
    if (r >= 0)
        r = sd_bus_attach_event(h->bus, h->event, SD_EVENT_PRIORITY_NORMAL);
    return r;
}

void bluez_tick(struct hub *h, uint64_t now)
{
    int r;

    if (h->bus && !sd_bus_is_open(h->bus)) {
        bluez_close(h);
        h->bus_at = now + BUS_RETRY;
    }
    if (!h->bus && now >= h->bus_at) {
        h->bus_at = now + BUS_RETRY;
        r = connect_bus(h);
        if (r < 0) {
            bluez_close(h);
            (void)snprintf(h->problem, sizeof h->problem, "no connection to D-Bus: %s", strerror(-r));
            return;
        }
        ask_objects(h);
    }
    agent_register(h);
    if (h->bus && h->objects_due && !h->objects_call)
        ask_objects(h);
    if (h->bus && !h->bluez && !h->objects_call && now >= h->bus_at) {
        h->bus_at = now + BUS_RETRY;
        ask_objects(h);
    }
}
