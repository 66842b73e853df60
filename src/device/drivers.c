/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What drivers are given, and what comes from them. */
#include "base/clock.h"
#include "base/log.h"
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool drivers_connected(const struct device *d)
{
    const struct link_driver *driver = link_host_find_driver(d->fleet->link, d->config->driver);

    return driver && link_driver_connected(driver);
}

/* Tells the driver all its devices; it leaves open what did not change. */
int drivers_update(struct fleet *f, const char *driver, struct error *e)
{
    _cleanup_free_ struct link_device *devices = calloc(f->n_devices + 1, sizeof(*devices));
    size_t n = 0;
    int r;

    if (!devices)
        return -ENOMEM;
    for (size_t i = 0; i < f->n_devices; i++) {
        const struct config_device *config = f->devices[i]->config;

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

/* Every driver that has devices now, and those that had some under the configuration `before` (may be NULL). */
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

static void on_driver_changed(struct link_driver *driver, void *userdata)
{
    struct fleet *f = userdata;

    log_notice(NULL, "driver %s %s%s%s", link_driver_name(driver),
               link_driver_connected(driver) ? "connected" : "is away", link_driver_last_error(driver)[0] ? ": " : "",
               link_driver_last_error(driver));
    for (size_t i = 0; i < f->n_devices; i++) {
        struct device *d = f->devices[i];

        if (strcmp(d->config->driver, link_driver_name(driver)) != 0)
            continue;
        /* What the driver said of it is over; a new one says it again. */
        free(d->driver_state);
        free(d->driver_reason);
        d->driver_state = d->driver_reason = NULL;
        device_changed(d);
    }
    if (f->listener.fleet_changed)
        f->listener.fleet_changed(f->listener.userdata);
}

static void on_safe(int r, void *userdata)
{
    link_report_done(userdata, r);
}

static void on_report(struct link_driver *driver, struct link_report *token, const char *device,
                      const struct sample *samples, size_t n, void *userdata)
{
    struct fleet *f = userdata;
    struct device *d = fleet_find(f, device);

    if (!d) {
        link_report_done(token, -ENODEV);
        return;
    }
    if (f->listener.sample)
        for (size_t i = 0; i < n; i++)
            f->listener.sample(f->listener.userdata, d, &samples[i]);
    spool_append(d->queue, clock_boottime(), samples, n, on_safe, token);
    idle_touch(d);
    delivery_kick(d);
}

/* A plugin names the place of a mistake by a JSON pointer; the user gets file, line and column. */
static char *placed(const struct device *d, const char *reason)
{
    const char *text = reason[0] == '/' ? strstr(reason, ": ") : NULL;
    _cleanup_free_ char *pointer = text ? strndup(reason, (size_t)(text - reason)) : NULL;
    unsigned line, column;
    char *with_place;

    if (!pointer || config_device_locate(d->config, pointer, &line, &column) < 0 ||
        asprintf(&with_place, "%s:%u:%u%s", d->config->file, line, column, text) < 0)
        return strdup(reason);
    return with_place;
}

static void on_device_state(struct link_driver *driver, const char *device, const char *state, const char *reason,
                            void *userdata)
{
    struct device *d = fleet_find(userdata, device);

    if (!d)
        return;
    free(d->driver_state);
    free(d->driver_reason);
    d->driver_state = strdup(state);
    d->driver_reason = placed(d, reason);
    if (strcmp(state, "ok") != 0 && strcmp(state, "closed") != 0) {
        log_warning(d->config->id, "its driver says: %s%s%s", state, reason[0] ? ": " : "", d->driver_reason ?: reason);
        message_log(d, d->config->driver, reason[0] ? d->driver_reason ?: reason : state);
    } else {
        log_info(d->config->id, "its driver says: %s", state);
    }
    device_changed(d);
}

const struct link_host_ops drivers_link_ops = {
    .driver_changed = on_driver_changed,
    .report = on_report,
    .device_state = on_device_state,
};
