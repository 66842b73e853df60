/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a device's sensor: what its driver reported last, as long as that driver is connected. */
#include "device/sensor.h"

#include "base/log.h"
#include "device/announce.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/message.h"
#include "device/mistakes.h"
#include "device/notify.h"
#include "payload/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A plugin gives the place of a mistake as a JSON pointer; the user gets file, line and column. Finding them reads the
 * file, so a worker does. */
struct sensor_place {
    struct device *device; /* NULL: gone, or its driver has reported something else meanwhile */
    struct config_device *config;
    char *pointer;
    bool news; /* the report is not in the journal yet */
    unsigned line, column;
};

/* ── What is shown ── */

static enum sensor_state shown(const struct device *d)
{
    if (!d->config->enabled)
        return SENSOR_CLOSED;
    return drivers_connected(d) ? d->sensor.reported : SENSOR_NO_DRIVER;
}

void sensor_count(struct device *d, bool counted)
{
    d->sensor.shown = shown(d);
    d->sensor.counted = counted;
    if (counted)
        d->fleet->numbers.sensors[d->sensor.shown]++;
    else
        d->fleet->numbers.sensors[d->sensor.shown]--;
}

/* Updates what is shown. */
static void update(struct device *d)
{
    enum sensor_state before = d->sensor.shown, now = shown(d);

    device_changed(d);
    if (d->sensor.counted && d->sensor.pointer > 0)
        mistakes_of_plugins(d->fleet);
    if (before == now)
        return;
    d->sensor.shown = now;
    if (d->sensor.counted) {
        d->fleet->numbers.sensors[before]--;
        d->fleet->numbers.sensors[now]++;
        fleet_changed(d->fleet);
    }
    availability_due(d);
}

/* ── What the driver reports ── */

static struct sensor_place *place_free(struct sensor_place *p)
{
    config_device_unref(p->config);
    free(p->pointer);
    free(p);
    return NULL;
}

static void forget(struct device *d)
{
    struct mistake m;

    if (d->sensor.counted && sensor_mistake(d, &m))
        mistakes_of_plugins(d->fleet);
    if (d->sensor.place)
        d->sensor.place->device = NULL;
    d->sensor.place = NULL;
    free(d->sensor.reason);
    free(d->sensor.said);
    d->sensor.reason = d->sensor.said = NULL;
    d->sensor.line = d->sensor.column = 0;
    d->sensor.pointer = 0;
    d->sensor.reported = SENSOR_UNKNOWN;
}

/* At a rate for each driver: one that has nothing else to do must not push others' lines out of the journal. */
static void write_down(struct device *d)
{
    const char *name = sensor_state_name(d->sensor.reported), *reason = d->sensor.reason ?: "";
    struct link_driver *driver = link_host_find_driver(d->fleet->link, d->config->driver);
    struct ratelimit *journal = driver ? link_driver_journal(driver) : NULL;

    if (!journal)
        return;
    if (!sensor_state_bad(d->sensor.reported)) {
        log_limited(journal, LOG_INFO, d->config->id, "sensor %s", name);
        return;
    }
    log_limited(journal, LOG_WARNING, d->config->id, "sensor %s%s%s", name, reason[0] ? ": " : "", reason);
    message_log(d, PROFILE_WARNING, d->config->driver, reason[0] ? reason : name);
}

static int locate(void *userdata)
{
    struct sensor_place *p = userdata;

    return config_device_locate(p->config, p->pointer, &p->line, &p->column);
}

static void on_located(int r, void *userdata)
{
    struct sensor_place *p = userdata;
    struct device *d = p->device;
    const char *text = d ? d->sensor.said + strlen(p->pointer) : NULL;
    char *reason;

    if (d) {
        d->sensor.place = NULL;
        d->sensor.line = r >= 0 ? p->line : 0;
        d->sensor.column = r >= 0 ? p->column : 0;
        if (r >= 0 && asprintf(&reason, "%s:%u:%u%s", p->config->file, p->line, p->column, text) >= 0) {
            free(d->sensor.reason);
            d->sensor.reason = reason;
        }
        if (p->news)
            write_down(d);
        update(d);
    }
    place_free(p);
}

/* Whether the words begin with a place, which is now being looked for. */
static bool begin_locating(struct device *d, bool news)
{
    struct sensor_place *p = d->sensor.pointer > 0 ? calloc(1, sizeof(*p)) : NULL;

    if (!p)
        return false;
    p->device = d;
    p->news = news;
    p->config = config_device_ref(d->config);
    p->pointer = strndup(d->sensor.said, d->sensor.pointer);
    if (!p->pointer || workers_submit(d->fleet->pools.local, locate, on_located, p) < 0) {
        place_free(p);
        return false;
    }
    d->sensor.place = p;
    return true;
}

static void report(struct device *d, enum sensor_state state, const char *reason)
{
    forget(d);
    if (reason[0] == '/' && strstr(reason, ": "))
        d->sensor.pointer = (size_t)(strstr(reason, ": ") - reason);
    d->sensor.reported = state;
    d->sensor.said = strdup(reason);
    d->sensor.reason = strdup(reason);
    if (!begin_locating(d, true))
        write_down(d);
    update(d);
}

void sensor_reported(struct device *d, const char *state, const char *reason)
{
    int known = sensor_state_reported(state);

    if (known >= 0)
        report(d, (enum sensor_state)known, reason);
}

void sensor_sampled(struct device *d, const struct sample *samples, size_t n)
{
    if (d->sensor.reported != SENSOR_UNKNOWN)
        return;
    for (size_t i = 0; i < n; i++)
        if ((samples[i].quality & ~(unsigned)SAMPLE_BOOTTIME) == 0) {
            report(d, SENSOR_OK, "");
            return;
        }
}

void sensor_driver_changed(struct device *d)
{
    forget(d);
    update(d);
}

void sensor_configured(struct device *d, bool other_texts)
{
    if (other_texts)
        forget(d);
    else if (!d->sensor.place)
        (void)begin_locating(d, false); /* its place in the file may be another one */
    update(d);
}

void sensor_done(struct device *d)
{
    forget(d);
}
