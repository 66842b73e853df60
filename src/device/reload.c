/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reload: the files are read on a worker, all or nothing, and what runs is then brought in line. Whoever did not change
 * is not touched. */
#include "base/log.h"
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reload {
    struct fleet *fleet;
    struct config *config;
    struct mistakes mistakes;
    device_done done;
    void *userdata;
};

/* Whether the device may go on as it is, with only its settings exchanged. */
static bool keeps_running(const struct device *d, const struct config_device *config, const struct config *all)
{
    return strcmp(d->config->uplink, config->uplink) == 0 && shared_uplink_current(d->uplink, all);
}

static void exchange_settings(struct device *d, struct config_device *config)
{
    bool shown = strcmp(d->config->driver, config->driver) != 0 || d->config->enabled != config->enabled;
    bool was_enabled = d->config->enabled, was_on_demand = d->config->on_demand;

    config_device_unref(d->config);
    d->config = config_device_ref(config);
    if (was_enabled && !config->enabled)
        probe_abort(d);
    if (was_enabled != config->enabled || was_on_demand != config->on_demand)
        session_start(d);
    if (shown)
        device_changed(d);
}

/* Brings the devices in line with f->config, which is the new one. Whoever did not change is not touched. */
static void follow(struct fleet *f, const struct config *before)
{
    struct error e = {0};

    for (size_t i = f->n_devices; i-- > 0;) {
        struct device *d = f->devices[i];
        const struct config_device *config = config_device(f->config, d->config->id);

        if (!config || !keeps_running(d, config, f->config))
            fleet_drop(f, d, !config);
    }
    for (size_t i = 0; i < f->config->n_devices; i++) {
        struct config_device *config = f->config->devices[i];
        struct device *d = fleet_find(f, config->id);

        if (d) {
            exchange_settings(d, config);
            continue;
        }
        fleet_exhume(f, config->id, config->uplink);
        if (fleet_start_device(f, config, &e) < 0)
            log_error(config->id, "not loaded: %s", e.text);
    }
    if (drivers_update_all(f, before, &e) < 0)
        log_error(NULL, "%s", e.text);
    fleet_changed(f);
}

int fleet_say_mistakes(int r, const struct mistakes *mistakes, struct error *e)
{
    _cleanup_free_ char *text = NULL;

    if (mistakes->n == 0 || mistakes_format(mistakes, &text) < 0)
        return error_errno(e, r, "the configuration cannot be read");
    return error_set(e, r, "%s", text);
}

static int apply(struct fleet *f, struct config *config, struct error *e)
{
    _cleanup_(config_unrefp) struct config *before = f->config;
    int r;

    f->config = config_ref(config);
    r = shared_uplinks_check(f, e);
    if (r < 0) {
        config_unref(f->config);
        f->config = TAKE_PTR(before);
        return r;
    }
    spooling_follow(f);
    calendar_set_policy(f);
    follow(f, before);
    for (size_t i = 0; i < f->n_devices; i++) {
        rotate_policy(f->devices[i]);
        rotate_schedule(f->devices[i], false);
    }
    fleet_warn_of_settings(f);
    log_notice(NULL, "configuration read again: %zu devices", f->n_devices);
    return 0;
}

/* On a worker: touches nothing but its own. */
static int load(void *userdata)
{
    struct reload *reload = userdata;

    return config_load(&reload->fleet->paths, CONFIG_STRICT, &reload->config, &reload->mistakes);
}

static void finish(struct reload *reload, int r, const struct error *e)
{
    reload->fleet->changing = false;
    reload->done(r, e, reload->userdata);
    config_unref(reload->config);
    mistakes_done(&reload->mistakes);
    free(reload);
}

static void on_checked(const struct mistakes *mistakes, void *userdata)
{
    struct reload *reload = userdata;
    struct error e = {0};
    int r;

    if (reload->fleet->stopping)
        r = error_set(&e, -ECANCELED, "the agent is stopping");
    else if (mistakes->n_all > 0)
        r = fleet_say_mistakes(-EBADMSG, mistakes, &e);
    else
        r = apply(reload->fleet, reload->config, &e);
    finish(reload, r, &e);
}

/* The devices whose plugin has not seen them as they now are. */
static int check_changed(struct reload *reload)
{
    const struct config *config = reload->config;
    _cleanup_free_ struct config_device **changed = calloc(config->n_devices + 1, sizeof(*changed));
    size_t n = 0;

    if (!changed)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_devices; i++) {
        const struct config_device *before = config_device(reload->fleet->config, config->devices[i]->id);

        if (!before || strcmp(before->driver, config->devices[i]->driver) != 0 ||
            strcmp(before->section, config->devices[i]->section) != 0 ||
            strcmp(before->points_text, config->devices[i]->points_text) != 0)
            changed[n++] = config->devices[i];
    }
    return check_devices(reload->fleet, changed, n, on_checked, reload);
}

static void on_loaded(int r, void *userdata)
{
    struct reload *reload = userdata;
    struct error e = {0};

    if (reload->fleet->stopping)
        r = error_set(&e, -ECANCELED, "the agent is stopping");
    else if (r < 0)
        r = fleet_say_mistakes(r == -EBADMSG ? -EINVAL : r, &reload->mistakes, &e);
    else
        r = check_changed(reload);
    if (r < 0)
        finish(reload, r, &e);
}

int fleet_reload(struct fleet *f, device_done done, void *userdata, struct error *e)
{
    struct reload *reload;
    int r = fleet_begin_change(f, e);

    if (r < 0)
        return r;
    reload = calloc(1, sizeof(*reload));
    if (!reload)
        return -ENOMEM;
    *reload = (struct reload){.fleet = f, .done = done, .userdata = userdata};
    r = workers_submit(f->workers, load, on_loaded, reload);
    if (r < 0) {
        free(reload);
        return r;
    }
    f->changing = true;
    return 0;
}
