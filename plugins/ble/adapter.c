/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries out what adapter-state.h decides. */
#include "hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

static const char *short_name(const struct adapter *a)
{
    const char *slash = strrchr(a->path, '/');

    return slash ? slash + 1 : a->path;
}

struct adapter *adapter_get(struct hub *h, const char *path)
{
    struct adapter *a = h->adapters, *unused = NULL;
    unsigned n = 0;

    for (; a && strcmp(a->path, path) != 0; a = a->next) {
        if (!a->present)
            unused = a;
        n++;
    }
    if (a || strlen(path) >= PATH_LENGTH)
        return a;
    a = n < ADAPTERS_MAX ? calloc(1, sizeof *a) : NULL;
    if (a) {
        a->next = h->adapters;
        h->adapters = a;
    } else if (!(a = unused)) {
        return NULL;
    }
    monitor_hide(a);
    a->hub = h;
    a->backoff = SCAN_RETRY_MIN;
    a->monitors = false;
    a->passive_at = 0;
    (void)snprintf(a->path, sizeof a->path, "%s", path);
    return a;
}

bool adapter_serves(const struct adapter *a, const struct sensor *s)
{
    return a->present && (!s->config->adapter[0] || strcasecmp(s->config->adapter, a->address) == 0);
}

static bool wants_scan(const struct adapter *a)
{
    if (a->hub->scans > 0)
        return true;
    for (const struct sensor *s = a->hub->sensors; s; s = s->next)
        if (!s->closing && adapter_serves(a, s) && (ble_config_listens(s->config) || !s->present))
            return true;
    return false;
}

/* One that asks for active scans decides for all: who asks for passive ones is heard so, too. */
static const struct sensor *asks_active(const struct adapter *a)
{
    for (const struct sensor *s = a->hub->sensors; s; s = s->next)
        if (!s->closing && !s->config->passive && adapter_serves(a, s))
            return s;
    return NULL;
}

static bool can_listen(const struct adapter *a, uint64_t now)
{
    return a->monitors && a->hub->repeats && now >= a->passive_at;
}

static struct adapter_wants wants(struct adapter *a)
{
    uint64_t now = hub_now();

    return (struct adapter_wants){
        .scan = now >= a->scan_at && wants_scan(a),
        .passive = a->hub->scans == 0 && can_listen(a, now) && !asks_active(a),
        .connect = a->connections < CONNECTIONS_MAX && link_next_waiting(a, now) != NULL,
        .power = now >= a->power_at && a->hub->sensors != NULL,
    };
}

/* ── Power ── */

static int on_power(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct adapter *a = userdata;
    char text[REASON_MAX / 2];

    (void)error;
    a->call = sd_bus_slot_unref(a->call);
    if (!sd_bus_message_is_method_error(m, NULL))
        return 0;
    bluez_error(m, text, sizeof text);
    (void)snprintf(a->problem, sizeof a->problem, "cannot be switched on (%s)", text);
    if (strstr(text, "lock")) /* Blocked, or "Blocked through rfkill" behind Failed */
        adapter_event(a, ADAPTER_EV_BLOCKED);
    return 0;
}

static void power_on(struct adapter *a)
{
    a->power_at = hub_now() + POWER_RETRY;
    (void)bluez_call(a->hub, &a->call, a->path, DBUS_PROPERTIES, "Set", CALL_TIMEOUT, on_power, a, "ssv", BLUEZ_ADAPTER,
                     "Powered", "b", 1);
}

/* ── Discovery ── */

static void start_failed(struct adapter *a, const char *why)
{
    (void)snprintf(a->problem, sizeof a->problem, "cannot scan (%s)", why);
    a->scan_at = hub_now() + a->backoff;
    a->backoff = a->backoff * 2 > SCAN_RETRY_MAX ? SCAN_RETRY_MAX : a->backoff * 2;
    a->filtered = false;
    adapter_event(a, strncmp(why, "NotReady", 8) == 0 ? ADAPTER_EV_UNPOWERED : ADAPTER_EV_FAILED);
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct adapter *a = userdata;
    char text[REASON_MAX / 2];

    (void)error;
    a->call = sd_bus_slot_unref(a->call);
    if (sd_bus_message_is_method_error(m, NULL)) {
        start_failed(a, bluez_error(m, text, sizeof text));
        return 0;
    }
    a->backoff = SCAN_RETRY_MIN;
    a->problem[0] = 0;
    a->heard = hub_now();
    a->piles = false;
    adapter_event(a, ADAPTER_EV_STARTED);
    return 0;
}

static int on_filtered(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct adapter *a = userdata;
    char text[REASON_MAX / 2];

    (void)error;
    if (sd_bus_message_is_method_error(m, NULL)) {
        start_failed(a, bluez_error(m, text, sizeof text));
        return 0;
    }
    a->filtered = true;
    if (bluez_call(a->hub, &a->call, a->path, BLUEZ_ADAPTER, "StartDiscovery", CALL_TIMEOUT, on_started, a, NULL) < 0)
        start_failed(a, "bluetoothd cannot be asked");
    return 0;
}

/* Unfiltered, BlueZ pauses for 5 s of each 15, and old data of a sensor pile up beside the new. */
static void set_filter(struct adapter *a)
{
    if (bluez_call(a->hub, &a->call, a->path, BLUEZ_ADAPTER, "SetDiscoveryFilter", CALL_TIMEOUT, on_filtered, a,
                   "a{sv}", 2, "Transport", "s", "le", "DuplicateData", "b", 1) < 0)
        start_failed(a, "bluetoothd cannot be asked");
}

/* A discovery that ended by itself may still be in BlueZ's books, and then every new one is "InProgress". */
static int on_cleared(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)m;
    (void)error;
    set_filter(userdata);
    return 0;
}

static void start(struct adapter *a)
{
    if (a->backoff == SCAN_RETRY_MIN && !a->filtered)
        set_filter(a);
    else if (bluez_call(a->hub, &a->call, a->path, BLUEZ_ADAPTER, "StopDiscovery", CALL_TIMEOUT, on_cleared, a, NULL) <
             0)
        start_failed(a, "bluetoothd cannot be asked");
}

static int on_stopped(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct adapter *a = userdata;

    (void)m;
    (void)error;
    a->call = sd_bus_slot_unref(a->call);
    a->filtered = false;
    adapter_event(a, ADAPTER_EV_STOPPED);
    return 0;
}

static void stop(struct adapter *a)
{
    if (bluez_call(a->hub, &a->call, a->path, BLUEZ_ADAPTER, "StopDiscovery", CALL_TIMEOUT, on_stopped, a, NULL) < 0)
        adapter_event(a, ADAPTER_EV_FAILED);
}

/* ── Listening ── */

static int ignore(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)m;
    (void)userdata;
    (void)error;
    return 0;
}

/* Without a monitor there are still active scans. */
static void refused(struct adapter *a, const char *why)
{
    (void)snprintf(a->refused, sizeof a->refused, "%s", why);
    a->passive_at = hub_now() + PASSIVE_RETRY;
    a->offered = false;
    if (a->registered && monitor_unregister(a, ignore) >= 0)
        a->registered = false;
    adapter_event(a, ADAPTER_EV_FAILED);
}

static int on_registered(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct adapter *a = userdata;
    char text[REASON_MAX / 2];

    (void)error;
    a->call = sd_bus_slot_unref(a->call);
    if (sd_bus_message_is_method_error(m, NULL))
        refused(a, bluez_error(m, text, sizeof text));
    return 0;
}

static void offer(struct adapter *a)
{
    a->active_by = hub_now() + CALL_TIMEOUT;
    a->piles = a->registered = a->offered = true;
    if (monitor_register(a, on_registered) < 0)
        refused(a, "bluetoothd cannot be asked");
}

static int on_withdrawn(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)m;
    (void)error;
    offer(userdata);
    return 0;
}

/* BlueZ keeps a monitor over much that ends it, and refuses a second under the same path. */
static void listen_passively(struct adapter *a)
{
    a->offered = false;
    if (!a->registered)
        offer(a);
    else if (monitor_unregister(a, on_withdrawn) < 0)
        refused(a, "bluetoothd cannot be asked");
}

static int on_unregistered(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct adapter *a = userdata;

    (void)m;
    (void)error;
    a->call = sd_bus_slot_unref(a->call);
    a->registered = false;
    adapter_event(a, ADAPTER_EV_STOPPED);
    return 0;
}

static void stop_listening(struct adapter *a)
{
    a->offered = false;
    if (monitor_unregister(a, on_unregistered) < 0)
        adapter_event(a, ADAPTER_EV_FAILED);
}

void adapter_monitor_active(struct adapter *a)
{
    if (a->state != ADAPTER_REGISTERING || !a->offered)
        return;
    a->backoff = SCAN_RETRY_MIN;
    a->problem[0] = 0;
    a->heard = hub_now();
    adapter_event(a, ADAPTER_EV_STARTED);
}

/* A monitor that we withdrew ourselves is released, too: BlueZ says so before it answers. */
void adapter_monitor_released(struct adapter *a)
{
    if (!a->offered)
        return;
    if (a->state == ADAPTER_REGISTERING) {
        refused(a, "the monitor was released");
    } else if (a->state == ADAPTER_LISTENING) {
        a->scan_at = hub_now() + SCAN_RETRY_MIN;
        adapter_event(a, ADAPTER_EV_FAILED);
    }
}

void adapter_monitors(struct adapter *a, bool has)
{
    a->monitors = has;
    adapter_event(a, ADAPTER_EV_LOOK);
}

/* ── The machine ── */

static void give_turn(struct adapter *a)
{
    struct sensor *s = link_next_waiting(a, hub_now());

    if (s)
        link_event(s, LINK_EV_TURN);
    else
        adapter_event(a, ADAPTER_EV_CONNECTED);
}

static void say(const struct adapter *a, enum adapter_state before)
{
    char text[REASON_MAX];
    bool was = before > ADAPTER_OFF, is = a->state > ADAPTER_OFF;

    if (a->state == ADAPTER_LISTENING && before != ADAPTER_LISTENING) {
        (void)snprintf(text, sizeof text, "adapter %s (%s) listens passively", short_name(a), a->address);
        a->hub->host->log(NULL, LOG_DEBUG, text);
    }
    if (was == is && (is || a->state == before))
        return;
    (void)snprintf(text, sizeof text, "adapter %s (%s) is %s", short_name(a), a->address,
                   is ? "on" : adapter_state_name(a->state));
    a->hub->host->log(NULL, is ? LOG_INFO : LOG_NOTICE, text);
}

void adapter_event(struct adapter *a, enum adapter_event event)
{
    enum adapter_state before = a->state;
    enum adapter_action action;

    a->state = adapter_next(a->state, event, wants(a), &action);
    /* An answer under way is of another time. */
    if (a->state != before && a->state <= ADAPTER_OFF)
        a->call = sd_bus_slot_unref(a->call);
    say(a, before);
    switch (action) {
    case ADAPTER_DO_NOTHING:
        break;
    case ADAPTER_DO_POWER:
        power_on(a);
        break;
    case ADAPTER_DO_START:
        start(a);
        break;
    case ADAPTER_DO_STOP:
        stop(a);
        break;
    case ADAPTER_DO_REGISTER:
        listen_passively(a);
        break;
    case ADAPTER_DO_UNREGISTER:
        stop_listening(a);
        break;
    case ADAPTER_DO_CONNECT:
        give_turn(a);
        break;
    }
}

static void lose_links(struct adapter *a)
{
    for (struct sensor *s = a->hub->sensors; s; s = s->next)
        if (s->adapter == a)
            link_gone(s, a);
}

void adapter_properties(struct adapter *a, const struct properties *p, bool first)
{
    if (p->address)
        (void)snprintf(a->address, sizeof a->address, "%s", p->address);
    if (first && !a->present) {
        a->present = true;
        a->power_at = a->scan_at = 0;
        a->backoff = SCAN_RETRY_MIN;
        a->filtered = false;
        a->problem[0] = 0;
        adapter_event(a, ADAPTER_EV_APPEARED);
    }
    if (p->power_state && strcmp(p->power_state, "off-blocked") == 0)
        adapter_event(a, ADAPTER_EV_BLOCKED);
    else if (p->powered == 0 && a->state != ADAPTER_BLOCKED) {
        a->power_at = a->power_at > 0 ? hub_now() + POWER_RETRY / 2 : 0; /* whoever did it may have a reason */
        adapter_event(a, ADAPTER_EV_UNPOWERED);
    } else if (p->powered > 0) {
        a->problem[0] = 0;
        adapter_event(a, ADAPTER_EV_POWERED);
    }
    if (p->discovering == 0 && a->state == ADAPTER_SCANNING) {
        a->scan_at = hub_now() + SCAN_RETRY_MIN;
        adapter_event(a, ADAPTER_EV_FAILED);
    }
}

void adapter_gone(struct adapter *a)
{
    a->present = a->filtered = a->monitors = a->registered = a->offered = false;
    a->connections = 0;
    adapter_event(a, ADAPTER_EV_GONE);
    lose_links(a);
}

void adapter_tick(struct adapter *a, uint64_t now)
{
    if (a->state == ADAPTER_REGISTERING && a->offered && now > a->active_by) {
        refused(a, "the monitor was not activated");
        return;
    }
    if ((a->state == ADAPTER_SCANNING || a->state == ADAPTER_LISTENING) && now > a->heard + SCAN_SILENCE) {
        a->heard = now;
        adapter_event(a, ADAPTER_EV_FAILED);
        return;
    }
    adapter_event(a, ADAPTER_EV_LOOK);
}

const char *adapter_trouble(const struct hub *h, const struct sensor *s)
{
    static char text[2 * REASON_MAX];
    const struct adapter *best = NULL;

    if (!h->bluez)
        return h->problem[0] ? h->problem : "bluetoothd is asked";
    for (const struct adapter *a = h->adapters; a; a = a->next)
        if (adapter_serves(a, s) && (!best || a->state > best->state))
            best = a;
    if (!best)
        (void)snprintf(text, sizeof text,
                       s->config->adapter[0] ? "there is no Bluetooth adapter %s (bluetoothctl list)"
                                             : "there is no Bluetooth adapter%s",
                       s->config->adapter);
    else if (best->state == ADAPTER_BLOCKED)
        (void)snprintf(text, sizeof text, "the adapter %s is blocked: rfkill unblock bluetooth", short_name(best));
    else if (best->state == ADAPTER_OFF)
        (void)snprintf(text, sizeof text, "the adapter %s is off%s%s", short_name(best), best->problem[0] ? ": " : "",
                       best->problem);
    else if (best->problem[0])
        (void)snprintf(text, sizeof text, "the adapter %s %s", short_name(best), best->problem);
    else
        return NULL;
    return text;
}

/* Of all its adapters one that listens is enough. */
bool adapter_why_active(const struct hub *h, const struct sensor *s, char *text, size_t size)
{
    const struct adapter *a = NULL;
    const struct sensor *other;

    if (!s->config->passive)
        return false;
    for (const struct adapter *i = h->adapters; i; i = i->next) {
        if (!adapter_serves(i, s) || i->state <= ADAPTER_OFF)
            continue;
        if (i->state == ADAPTER_LISTENING)
            return false;
        if (can_listen(i, hub_now()) && !asks_active(i))
            return false;
        a = i;
    }
    if (!a)
        return false;
    other = asks_active(a);
    if (!a->monitors)
        (void)snprintf(text, size,
                       "scanned actively: bluetoothd has no advertisement monitors for %s: it needs "
                       "--experimental (plugins/ble/README.md)",
                       short_name(a));
    else if (!h->repeats)
        (void)snprintf(text, size,
                       "scanned actively: Linux %s drops repeated advertisements of passive scans; "
                       "6.1.105, 6.6.46, 6.10.5 and 6.11 do not",
                       h->kernel);
    else if (other)
        (void)snprintf(text, size, "scanned actively: %s, on the same adapter, asks for it", other->id);
    else
        (void)snprintf(text, size,
                       "scanned actively: bluetoothd refused to listen passively on %s (%s); tried again every "
                       "10 minutes",
                       short_name(a), a->refused);
    return true;
}

void adapters_done(struct hub *h)
{
    struct adapter *a;

    while ((a = h->adapters)) {
        h->adapters = a->next;
        sd_bus_slot_unref(a->call);
        monitor_hide(a);
        free(a);
    }
}
