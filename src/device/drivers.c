/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of devices for drivers, and reports from them. */
#include "device/drivers.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/sample-set.h"
#include "device/announce.h"
#include "device/delivery.h"
#include "device/device.h"
#include "device/downlink.h"
#include "device/fleet.h"
#include "device/idle.h"
#include "device/internal.h"
#include "device/notify.h"
#include "device/sensor-key.h"
#include "device/sensor.h"
#include "spool/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int drivers_update(struct fleet *f, const char *driver, struct error *e)
{
    _cleanup_free_ struct link_device *devices = calloc(f->index.n + 1, sizeof(*devices));
    size_t n = 0;
    int r;

    if (!devices)
        return -ENOMEM;
    for (size_t i = 0; i < f->index.n; i++) {
        const struct config_device *config = f->index.devices[i]->config;

        if (config->enabled && strcmp(config->driver, driver) == 0)
            devices[n++] =
                (struct link_device){.id = config->id, .section = config->section, .points = config->points_text};
    }
    r = link_host_set_devices(f->link, driver, devices, n);
    return r < 0 ? error_errno(e, r, "cannot give driver %s its %zu devices", driver, n) : 0;
}

static bool first_with_driver(const struct config *config, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(config->devices[k]->driver, config->devices[i]->driver) == 0)
            return false;
    return true;
}

int drivers_update_all(struct fleet *f, const struct config *before, struct error *e)
{
    const struct config *configs[] = {f->config, before};
    int r = 0;

    for (size_t k = 0; k < ELEMENTSOF(configs) && configs[k]; k++)
        for (size_t i = 0; r >= 0 && i < configs[k]->n_devices; i++)
            if (first_with_driver(configs[k], i))
                r = drivers_update(f, configs[k]->devices[i]->driver, e);
    return r;
}

static void of_driver(struct device *d, bool connected)
{
    sensor_driver_changed(d);
    if (!connected)
        return;
    sensor_key_due(d);
    downlink_driver_connected(d);
}

static void on_driver_changed(struct link_driver *driver, void *userdata)
{
    struct fleet *f = userdata;

    if (link_driver_connected(driver))
        log_notice(NULL, "driver %s connected", link_driver_name(driver));
    else
        log_notice(NULL, "driver %s disconnected: %s", link_driver_name(driver), link_driver_last_error(driver));
    /* Its reports are void; the next connection reports anew. */
    for (size_t i = 0; i < f->index.n; i++)
        if (strcmp(f->index.devices[i]->config->driver, link_driver_name(driver)) == 0)
            of_driver(f->index.devices[i], link_driver_connected(driver));
    fleet_changed(f);
}

static void on_safe(int r, void *userdata)
{
    link_report_done(userdata, r);
}

/* A driver believes a clock that the agent knows to be wrong: what counts is how long ago it was. */
static struct sample *undated(const struct sample *samples, size_t n)
{
    uint64_t boottime = clock_boottime(), realtime = clock_realtime();
    struct sample *copy = calloc(n, sizeof(*copy));

    for (size_t i = 0; copy && i < n; i++) {
        struct sample *s = &copy[i];

        *s = samples[i];
        if (s->quality & SAMPLE_BOOTTIME)
            continue;
        s->quality |= SAMPLE_BOOTTIME;
        s->time = s->time < realtime ? boottime - MIN_OF(realtime - s->time, boottime) : boottime;
    }
    return copy;
}

static void on_report(struct link_driver *driver, struct link_report *token, const char *device,
                      const struct sample *samples, size_t n, void *userdata)
{
    struct fleet *f = userdata;
    struct device *d = fleet_find(f, device);
    const struct sample *said = samples;
    _cleanup_free_ struct sample *copy = NULL;

    if (!d) {
        link_report_done(token, -ENODEV);
        return;
    }
    if (n > 0 && !clock_synchronized()) {
        copy = undated(samples, n);
        if (!copy) {
            link_report_done(token, -ENOMEM);
            return;
        }
        samples = copy;
    }
    if (f->listener.sample)
        for (size_t i = 0; i < n; i++)
            f->listener.sample(f->listener.userdata, d, &samples[i]);
    sensor_sampled(d, samples, n);
    announce_seen(d, samples, n);
    /* One that there is no room for is sent all the same. */
    for (size_t i = 0; i < n; i++)
        (void)sample_set_put(&d->newest, &samples[i], POINTS_PER_DEVICE_MAX);
    spool_append_said(d->queue, clock_boottime(), samples, said, n, on_safe, token);
    (void)latest_pass_over(d);
    idle_touch(d);
    delivery_kick(d);
}

static void on_device_state(struct link_driver *driver, const char *device, const char *state, const char *reason,
                            void *userdata)
{
    struct device *d = fleet_find(userdata, device);

    if (d)
        sensor_reported(d, state, reason);
}

static void on_keep(struct link_driver *driver, const char *device, const char *text, void *userdata)
{
    struct device *d = fleet_find(userdata, device);

    if (d)
        sensor_key_keep(d, text);
}

const struct link_host_ops drivers_link_ops = {
    .driver_changed = on_driver_changed,
    .report = on_report,
    .device_state = on_device_state,
    .keep = on_keep,
};
