/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PropertiesChanged: in rounds (rounds.h), so many of them in one turn of the loop only, so that ten thousand changes
 * hold up nothing. Each carries what has changed since the one before, or was read meanwhile as another value
 * (told.h); the first of a device, all. */

#include "base/clock.h"
#include "base/limits.h"
#include "base/names.h"
#include "bus/internal.h"
#include "bus/rounds.h"
#include "bus/told.h"

#include <errno.h>
#include <string.h>

#define WALK_DELAY (20 * USEC_PER_MSEC)
#define GATHER (20 * USEC_PER_MSEC) /* what changes together is told together */
#define FLEET ""                    /* beside the ids of devices */
#define STATUS "\n"                 /* likewise: the words for the service manager */

/* By sd_bus_emit_properties_changed() the object would be looked up and asked once for each property: when thousands
 * come online that was a third of the work. */
static int send_changes(struct bus *b, const struct device_status *s, uint64_t wanted)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    _cleanup_free_ char *path = NULL;
    int r = device_object_path(s->id, &path);

    if (r < 0)
        return r;
    r = sd_bus_message_new_signal(b->connection, &m, path, "org.freedesktop.DBus.Properties", "PropertiesChanged");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", BUS_INTERFACE_DEVICE);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = device_object_changes(m, s, wanted);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_append(m, "as", 0);
    return r < 0 ? r : sd_bus_send(b->connection, m, NULL);
}

static uint64_t changes(struct bus *b, struct device *d, struct device_status *s)
{
    uint64_t hashes[TOLD_PROPERTIES_MAX];

    device_status(d, s);
    return told_update(b->told, s->id, hashes, device_object_hashes(s, hashes));
}

static void emit_device(struct bus *b, const char *id)
{
    struct device *d = fleet_find(b->fleet, id);
    struct device_status s;
    uint64_t wanted = d ? changes(b, d, &s) : 0;

    if (wanted != 0 && send_changes(b, &s, wanted) < 0)
        told_forget(b->told, s.id);
}

static void emit_fleet(struct bus *b)
{
    struct fleet_totals totals;

    sd_bus_emit_properties_changed(b->connection, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Devices", "Online",
                                   "Drivers", "VaultState", NULL);
    fleet_totals(b->fleet, &totals);
    if (totals.mistakes_version != b->mistakes_told)
        sd_bus_emit_properties_changed(b->connection, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Mistakes", NULL);
    b->mistakes_told = totals.mistakes_version;
    b->ops.changed(b->ops.userdata);
}

static void arm(struct bus *b, uint64_t when)
{
    sd_event_source_set_time(b->changed_timer, when);
    sd_event_source_set_enabled(b->changed_timer, SD_EVENT_ONESHOT);
}

static void emit(struct bus *b, const char *id)
{
    if (strcmp(id, STATUS) == 0)
        b->ops.changed(b->ops.userdata);
    else if (*id)
        emit_device(b, id);
    else
        emit_fleet(b);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct bus *b = userdata;
    const char *id;

    if (!b->connection)
        return 0;
    /* An answer stays true until it is out, and what nobody takes has to wait. */
    b->changes_held = managed_shows(b) || bus_congested(b);
    if (b->changes_held) {
        arm(b, clock_boottime() + WALK_DELAY);
        return 0;
    }
    for (int i = 0; i < BUS_CHANGED_PER_TURN && (id = rounds_first(b->rounds, clock_boottime())); i++) {
        emit(b, id);
        rounds_told(b->rounds, clock_boottime());
    }
    if (rounds_due(b->rounds) != USEC_INFINITY)
        arm(b, rounds_due(b->rounds));
    return 0;
}

int changed_init(struct bus *b)
{
    int r;

    b->rounds = rounds_new(BUS_CHANGED_INTERVAL);
    b->told = told_new();
    if (!b->rounds || !b->told)
        return -ENOMEM;
    r = sd_event_add_time(b->event, &b->changed_timer, CLOCK_BOOTTIME, USEC_INFINITY, 10 * USEC_PER_MSEC, on_timer, b);
    return r < 0 ? r : sd_event_source_set_enabled(b->changed_timer, SD_EVENT_OFF);
}

void changed_reset(struct bus *b)
{
    rounds_empty(b->rounds);
    told_empty(b->told);
    b->changes_held = false;
    sd_event_source_set_enabled(b->changed_timer, SD_EVENT_OFF);
}

void changed_done(struct bus *b)
{
    b->rounds = rounds_free(b->rounds);
    b->told = told_free(b->told);
    sd_event_source_disable_unref(b->changed_timer);
}

static void mark(struct bus *b, const char *id)
{
    int enabled = SD_EVENT_OFF;

    if (!b->connection || rounds_mark(b->rounds, id) < 0)
        return;
    sd_event_source_get_enabled(b->changed_timer, &enabled);
    if (enabled == SD_EVENT_OFF)
        arm(b, MAX_OF(clock_boottime() + GATHER, rounds_due(b->rounds)));
}

void changed_mark(struct bus *b, struct device *d)
{
    mark(b, device_id(d));
    mark(b, STATUS);
}

void changed_mark_fleet(struct bus *b)
{
    mark(b, FLEET);
}

void changed_forget(struct bus *b, struct device *d)
{
    rounds_forget(b->rounds, device_id(d));
    told_forget(b->told, device_id(d));
}

void changed_added(struct bus *b, struct device *d)
{
    struct device_status s;

    (void)changes(b, d, &s);
}
