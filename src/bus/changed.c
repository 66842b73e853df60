/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PropertiesChanged, at most once a device and BUS_CHANGED_INTERVAL: what changed meanwhile goes out together, in
 * rounds. A round tells of so many devices in one loop turn only, so that ten thousand changes hold up nothing; what
 * changes while it lasts is for the next one. */

#include "base/clock.h"
#include "base/limits.h"
#include "base/names.h"
#include "bus/internal.h"

#include <errno.h>
#include <json-c/linkhash.h>
#include <stdlib.h>
#include <string.h>

#define WALK_DELAY (20 * USEC_PER_MSEC)

static void free_key(struct lh_entry *entry)
{
    free(lh_entry_k(entry));
}

/* By sd_bus_emit_properties_changed() the object would be looked up and asked once for each property: when thousands
 * come online that was a third of the work. */
static void emit_device(struct bus *b, const char *id)
{
    struct device *d = fleet_find(b->fleet, id);
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    _cleanup_free_ char *path = NULL;
    int r;

    if (!d || device_object_path(id, &path) < 0)
        return;
    r = sd_bus_message_new_signal(b->connection, &m, path, "org.freedesktop.DBus.Properties", "PropertiesChanged");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", BUS_INTERFACE_DEVICE);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = device_object_changes(m, d);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_append(m, "as", 0);
    if (r >= 0)
        (void)sd_bus_send(b->connection, m, NULL);
}

/* Once a round, as of each device. */
static void emit_fleet(struct bus *b)
{
    struct fleet_totals totals;

    if (!b->fleet_changed)
        return;
    b->fleet_changed = false;
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

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct bus *b = userdata;
    struct lh_entry *entry;

    if (!b->connection)
        return 0;
    if (b->walks ||
        bus_congested(b)) { /* what they were told stays true until they have it, and what nobody takes has to wait */
        arm(b, clock_boottime() + WALK_DELAY);
        return 0;
    }
    if (!b->round->head) {
        struct lh_table *done = b->round;

        b->round = b->changed;
        b->changed = done;
        emit_fleet(b);
    }
    for (int i = 0; i < BUS_CHANGED_PER_TURN && (entry = b->round->head); i++) {
        emit_device(b, lh_entry_k(entry));
        lh_table_delete_entry(b->round, entry);
    }
    b->changed_last = clock_boottime();
    if (b->round->head)
        arm(b, b->changed_last);
    else if (b->changed->head || b->fleet_changed)
        arm(b, b->changed_last + BUS_CHANGED_INTERVAL);
    return 0;
}

int changed_init(struct bus *b)
{
    int r;

    b->changed = lh_kchar_table_new(64, free_key);
    b->round = lh_kchar_table_new(64, free_key);
    if (!b->changed || !b->round)
        return -ENOMEM;
    r = sd_event_add_time(b->event, &b->changed_timer, CLOCK_BOOTTIME, USEC_INFINITY, 10 * USEC_PER_MSEC, on_timer, b);
    return r < 0 ? r : sd_event_source_set_enabled(b->changed_timer, SD_EVENT_OFF);
}

static void empty(struct lh_table *table)
{
    while (table->head)
        lh_table_delete_entry(table, table->head);
}

void changed_reset(struct bus *b)
{
    empty(b->changed);
    empty(b->round);
    b->fleet_changed = false;
    sd_event_source_set_enabled(b->changed_timer, SD_EVENT_OFF);
}

void changed_done(struct bus *b)
{
    if (b->changed)
        lh_table_free(b->changed);
    if (b->round)
        lh_table_free(b->round);
    sd_event_source_disable_unref(b->changed_timer);
}

static void schedule(struct bus *b)
{
    int enabled = SD_EVENT_OFF;

    sd_event_source_get_enabled(b->changed_timer, &enabled);
    if (enabled == SD_EVENT_OFF)
        arm(b, MAX_OF(clock_boottime() + 20 * USEC_PER_MSEC, b->changed_last + BUS_CHANGED_INTERVAL));
}

void changed_mark(struct bus *b, struct device *d)
{
    char *id;

    if (!b->connection || lh_table_lookup_ex(b->changed, device_id(d), NULL))
        return;
    id = strdup(device_id(d));
    if (id && lh_table_insert(b->changed, id, NULL) != 0)
        free(id);
    schedule(b);
}

void changed_mark_fleet(struct bus *b)
{
    if (!b->connection)
        return;
    b->fleet_changed = true;
    schedule(b);
}

void changed_forget(struct bus *b, struct device *d)
{
    lh_table_delete(b->changed, device_id(d));
    lh_table_delete(b->round, device_id(d));
}
