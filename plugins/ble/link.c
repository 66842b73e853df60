/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries out what link-state.h decides: connections to sensors, one being made at a time on an adapter. */
#include "hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static void device_path(const struct sensor *s, char path[PATH_LENGTH])
{
    size_t n = (size_t)snprintf(path, PATH_LENGTH, "%s/dev_%s", s->adapter->path, s->config->address);

    for (size_t i = n - 17; i < n && n < PATH_LENGTH; i++)
        if (path[i] == ':')
            path[i] = '_';
}

/* The adapter is not waited for any longer, and counts us no longer. */
static void release(struct sensor *s, bool was_connecting)
{
    struct adapter *a = s->adapter;

    if (!a)
        return;
    if (a->connections > 0)
        a->connections--;
    if (was_connecting)
        adapter_event(a, ADAPTER_EV_CONNECTED);
}

static int ignore(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)m;
    (void)userdata;
    (void)error;
    return 0;
}

static void disconnect(struct sensor *s)
{
    char path[PATH_LENGTH];

    if (!s->adapter || !s->present)
        return;
    device_path(s, path);
    (void)bluez_call(s->hub, &s->call, path, BLUEZ_DEVICE, "Disconnect", CALL_TIMEOUT, ignore, s, NULL);
}

static void pause_link(struct sensor *s)
{
    uint64_t backoff = s->backoff < CONNECT_RETRY_MIN ? CONNECT_RETRY_MIN : s->backoff;

    s->retry_at = hub_now() + backoff;
    s->backoff = backoff * 2 > CONNECT_RETRY_MAX ? CONNECT_RETRY_MAX : backoff * 2;
}

void link_failed(struct sensor *s, const char *why)
{
    (void)snprintf(s->link_problem, sizeof s->link_problem, "%s", why);
    link_event(s, LINK_EV_FAILED);
}

static bool failed(struct sensor *s, sd_bus_message *m, const char *what, const char *but)
{
    char text[REASON_MAX / 2], why[REASON_MAX];

    if (!sd_bus_message_is_method_error(m, NULL) || strncmp(bluez_error(m, text, sizeof text), but, strlen(but)) == 0)
        return false;
    (void)snprintf(why, sizeof why, "%s: %s", what, text);
    link_failed(s, why);
    return true;
}

static int on_connected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct sensor *s = userdata;

    (void)error;
    s->call = sd_bus_slot_unref(s->call);
    if (s->link != LINK_CONNECTING || failed(s, m, "cannot connect", "AlreadyConnected"))
        return 0;
    s->connected = true;
    link_event(s, LINK_EV_CONNECTED);
    adapter_event(s->adapter, ADAPTER_EV_CONNECTED);
    return 0;
}

static void begin_connecting(struct sensor *s)
{
    char path[PATH_LENGTH];

    device_path(s, path);
    s->deadline = hub_now() + CONNECT_TIMEOUT;
    s->adapter->connections++;
    if (bluez_call(s->hub, &s->call, path, BLUEZ_DEVICE, "Connect", CONNECT_TIMEOUT, on_connected, s, NULL) < 0)
        link_failed(s, "bluetoothd cannot be asked");
}

static int on_paired(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct sensor *s = userdata;

    (void)error;
    s->call = sd_bus_slot_unref(s->call);
    if (s->link != LINK_PAIRING || failed(s, m, "cannot pair", "AlreadyExists"))
        return 0;
    s->paired = true;
    link_event(s, LINK_EV_PAIRED);
    return 0;
}

static void begin_pairing(struct sensor *s)
{
    char path[PATH_LENGTH];

    device_path(s, path);
    s->deadline = hub_now() + CONNECT_TIMEOUT;
    if (bluez_call(s->hub, &s->call, path, BLUEZ_DEVICE, "Pair", CONNECT_TIMEOUT, on_paired, s, NULL) < 0)
        link_failed(s, "bluetoothd cannot be asked");
}

/* No step is under way any longer: the next connection may begin with one. */
static int on_forgotten(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct sensor *s = userdata;

    (void)m;
    (void)error;
    s->step = sd_bus_slot_unref(s->step);
    return 0;
}

/* After an update of its firmware a sensor's services may be others than BlueZ remembers. */
static void forget_cache(struct sensor *s)
{
    char path[PATH_LENGTH];
    size_t n = strlen(s->link_problem);

    if (s->forget) { /* it was there a moment ago */
        s->backoff = CONNECT_RETRY_MIN;
        s->retry_at = hub_now() + s->backoff;
    }
    s->forget = false;
    if (!s->adapter || !s->present)
        return;
    if (s->paired) { /* the bond would go, too, and some sensors pair only while a button is held */
        (void)snprintf(s->link_problem + n, sizeof s->link_problem - n,
                       "; if its firmware was updated: bluetoothctl remove %s, and it is paired anew",
                       s->config->address);
        return;
    }
    s->hub->host->log(s->handle, LOG_NOTICE, "BlueZ is made to forget its services, which may have changed");
    device_path(s, path);
    s->stale = 0;
    (void)bluez_call(s->hub, &s->step, s->adapter->path, BLUEZ_ADAPTER, "RemoveDevice", CALL_TIMEOUT, on_forgotten, s,
                     "o", path);
}

void link_event(struct sensor *s, enum link_event event)
{
    enum link_state before = s->link;
    enum link_action action;

    s->link = link_next(s->link, event, s->config->pairing != PAIRING_NONE && !s->paired, s->resolved, &action);
    if (before != s->link && s->link == LINK_RESOLVING)
        s->deadline = hub_now() + RESOLVE_TIMEOUT;
    switch (action) {
    case LINK_DO_NOTHING:
        return;
    case LINK_DO_CONNECT:
        begin_connecting(s);
        return;
    case LINK_DO_PAIR:
        begin_pairing(s);
        return;
    case LINK_DO_BEGIN:
        gatt_begin(s);
        return;
    case LINK_DO_CLOSE:
    case LINK_DO_DISCONNECT:
        disconnect(s);
        break;
    case LINK_DO_PAUSE:
        s->call = sd_bus_slot_unref(s->call);
        break;
    }
    if (action != LINK_DO_CLOSE)
        pause_link(s);
    s->step = sd_bus_slot_unref(s->step);
    if (action == LINK_DO_DISCONNECT && (s->forget || s->stale >= STALE_TRIES))
        forget_cache(s);
    release(s, before == LINK_CONNECTING);
}

bool link_wants_connection(const struct sensor *s, uint64_t now)
{
    if (s->closing || s->config->n_gatt == 0)
        return false;
    if (s->ask)
        return true;
    for (size_t i = 0; i < s->config->n_points; i++) {
        const struct ble_point *p = &s->config->points[i];

        if (p->gatt &&
            (p->notify || (p->read > 0 && s->next_read[i] <= now + (s->link == LINK_READY ? 3 * LINGER : 0))))
            return true;
    }
    return false;
}

struct sensor *link_next_waiting(struct adapter *a, uint64_t now)
{
    struct sensor *best = NULL;

    for (struct sensor *s = a->hub->sensors; s; s = s->next)
        if (s->link == LINK_WAITING && s->adapter == a && s->present && s->retry_at <= now &&
            (!best || s->retry_at < best->retry_at))
            best = s;
    return best;
}

/* Since when only the other connections of its adapter keep it from its own; 0: they do not. */
static void note_crowd(struct sensor *s, uint64_t now)
{
    bool crowded = s->link == LINK_WAITING && s->present && s->adapter && s->retry_at <= now &&
                   s->adapter->connections >= CONNECTIONS_MAX;

    if (!crowded)
        s->crowded_since = 0;
    else if (s->crowded_since == 0)
        s->crowded_since = now;
}

static void overdue(struct sensor *s)
{
    char why[REASON_MAX];

    (void)snprintf(why, sizeof why, "no answer while %s", link_state_word(s->link));
    link_failed(s, why);
}

void link_tick(struct sensor *s, uint64_t now)
{
    bool wanted = link_wants_connection(s, now);

    if (wanted)
        s->idle_since = now;
    if (wanted && s->link == LINK_IDLE)
        link_event(s, LINK_EV_WANTED);
    else if (!wanted && s->link == LINK_WAITING)
        link_event(s, LINK_EV_UNWANTED);
    else if (s->link > LINK_WAITING && s->link < LINK_READY && now > s->deadline)
        overdue(s);
    else if (s->link == LINK_READY && !wanted && !s->step && now > s->idle_since + LINGER)
        link_event(s, LINK_EV_UNWANTED);
    else if (s->link == LINK_READY)
        gatt_tick(s, now);
    note_crowd(s, now);
}

void link_properties(struct sensor *s, struct adapter *a, const struct properties *p)
{
    if (s->link <= LINK_WAITING) {
        s->adapter = a;
        s->present = true;
    }
    if (s->adapter != a)
        return;
    if (p->paired >= 0)
        s->paired = p->paired > 0;
    if (p->resolved >= 0)
        s->resolved = p->resolved > 0;
    if (p->connected > 0)
        s->connected = true;
    if (p->connected == 0) {
        s->connected = s->resolved = false;
        if (s->link > LINK_CONNECTING) {
            (void)snprintf(s->link_problem, sizeof s->link_problem, "the connection was lost");
            link_event(s, LINK_EV_LOST);
        }
    }
    if (p->resolved > 0)
        link_event(s, LINK_EV_RESOLVED);
}

void link_gone(struct sensor *s, struct adapter *a)
{
    if (!a || s->adapter != a)
        return;
    s->present = s->connected = s->resolved = s->paired = false;
    gatt_forget(s);
    (void)snprintf(s->link_problem, sizeof s->link_problem, "the sensor is no longer there");
    link_event(s, LINK_EV_LOST);
    s->adapter = NULL;
}

void link_done(struct sensor *s)
{
    if (s->link > LINK_WAITING)
        link_event(s, LINK_EV_UNWANTED);
    s->link = LINK_IDLE;
    s->call = sd_bus_slot_unref(s->call);
    s->step = sd_bus_slot_unref(s->step);
    gatt_forget(s);
}
