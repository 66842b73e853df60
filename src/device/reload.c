/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reload: the files are read on a worker, profiles among them, all or nothing, and what runs is then brought in line.
 * Unchanged devices are left alone. */
#include "device/reload.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/sample-set.h"
#include "device/announce.h"
#include "device/calendar.h"
#include "device/check.h"
#include "device/clock-care.h"
#include "device/connection.h"
#include "device/delivery.h"
#include "device/drivers.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/membership.h"
#include "device/mistakes.h"
#include "device/notify.h"
#include "device/online.h"
#include "device/profiles.h"
#include "device/reload-internal.h"
#include "device/reload-plan.h"
#include "device/rotate.h"
#include "device/seen.h"
#include "device/sensor-key.h"
#include "device/sensor.h"
#include "device/spooling.h"
#include "device/tombstone.h"
#include "device/uplinks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void exchange_settings(struct device *d, const struct reload_step *step)
{
    const unsigned changes = step->changes;

    config_device_unref(d->config);
    d->config = config_device_ref(step->after);
    if (changes & CONFIG_DEVICE_ENABLED && !d->config->enabled)
        probe_abort(d);
    if (changes & (CONFIG_DEVICE_ENABLED | CONFIG_DEVICE_OWN))
        session_start(d);
    if (changes & (CONFIG_DEVICE_POINTS | CONFIG_DEVICE_DRIVER)) {
        seen_done(&d->seen);
        sample_set_done(&d->newest);
        session_other_points(d);
    }
    sensor_configured(d, changes & (CONFIG_DEVICE_DRIVER | CONFIG_DEVICE_ENABLED));
    if (changes & (CONFIG_DEVICE_DRIVER | CONFIG_DEVICE_POINTS | CONFIG_DEVICE_ENABLED))
        sensor_key_due(d);
}

/* When the keys of devices that are made anew were last accepted: the vault knows that later than they. */
struct carried {
    const char *id; /* in the order of the devices, the first on top */
    uint64_t authenticated;
};

static void carry(struct carried *stack, size_t *n, const struct device *d, const struct config_device *config)
{
    if (config && strcmp(d->config->uplink, config->uplink) == 0)
        stack[(*n)++] = (struct carried){config->id, d->connections.last_authenticated};
}

/* `d` NULL: it could not be made. */
static void hand_on(const struct carried *stack, size_t *n, const char *id, struct device *d)
{
    if (*n == 0 || strcmp(stack[*n - 1].id, id) != 0)
        return;
    --*n;
    if (d)
        d->connections.last_authenticated = MAX_OF(d->connections.last_authenticated, stack[*n].authenticated);
}

static void start(struct fleet *f, const struct reload_step *step)
{
    struct error e = {0};

    fleet_exhume(f, step->id, step->after->uplink);
    if (fleet_start_device(f, step->after, &e) >= 0)
        return;
    log_error(step->id, "not loaded: %s", e.text);
    mistakes_not_started(f, step->after, &e);
}

/* Brings the devices in line with f->config, which is the new one. */
static void follow(struct fleet *f, const struct reload_plan *plan, const struct config *before)
{
    _cleanup_free_ struct carried *stack = calloc(f->index.n + 1, sizeof(*stack));
    struct error e = {0};
    size_t n = 0;

    for (size_t i = plan->n; i-- > 0;) {
        const struct reload_step *step = &plan->steps[i];
        struct device *d = reload_ends(step) ? fleet_find(f, step->id) : NULL;

        if (d && stack)
            carry(stack, &n, d, step->after);
        if (d)
            fleet_drop(f, d, !step->after);
    }
    for (size_t i = 0; i < plan->n; i++) {
        const struct reload_step *step = &plan->steps[i];
        struct device *d = fleet_find(f, step->id);

        if (d)
            exchange_settings(d, step);
        else if (step->after)
            start(f, step);
        if (!d && step->after)
            hand_on(stack, &n, step->id, fleet_find(f, step->id));
    }
    if (drivers_update_all(f, before, &e) < 0)
        log_error(NULL, "%s", e.text);
    fleet_changed(f);
    withdraw_orphans(f);
}

/* Exchanges the fleet's configuration and the reload's. */
static void exchange(struct reload *reload)
{
    struct fleet *f = reload->fleet;
    struct config *config = f->config;
    struct profiles profiles = f->profiles;

    f->config = reload->config;
    f->profiles = reload->profiles;
    reload->config = config;
    reload->profiles = profiles;
}

static int apply(struct reload *reload, struct error *e)
{
    struct fleet *f = reload->fleet;
    int r;

    exchange(reload);
    r = shared_uplinks_check(f, e);
    if (r < 0) {
        exchange(reload);
        return r;
    }
    mistakes_loaded(f);
    spooling_follow(f);
    calendar_set_policy(f);
    follow(f, &reload->plan, reload->config);
    for (size_t i = 0; reload->plan.global & CONFIG_GLOBAL_ROTATION && i < f->index.n; i++) {
        rotate_policy(f->index.devices[i]);
        rotate_schedule(f->index.devices[i], false);
    }
    if (f->config->clock_trust != reload->config->clock_trust)
        clock_care_follow(f);
    fleet_warn_of_settings(f);
    log_notice(NULL, "configuration read again: %zu devices", f->index.n);
    return 0;
}

/* On a worker: touches nothing but its own. */
static int load(void *userdata)
{
    struct reload *reload = userdata;
    const struct fleet *f = reload->fleet;
    int r = config_load(&f->dirs.paths, CONFIG_STRICT, &reload->config, &reload->mistakes);

    if (r >= 0)
        r = profiles_read(reload->config, f->dirs.config, &reload->profiles, &reload->mistakes);
    return r < 0 ? r : profiles_check_devices(&reload->profiles, reload->config, &reload->mistakes);
}

static void finish(struct reload *reload, int r, const struct error *e)
{
    reload->fleet->changing = false;
    if (r < 0 && !reload->fleet->stopping)
        mistakes_refused(reload->fleet, &reload->mistakes, e);
    reload->done(r, e, reload->userdata);
    reload_plan_done(&reload->plan);
    profiles_done(&reload->profiles);
    config_unref(reload->config);
    mistakes_done(&reload->mistakes);
    free(reload);
}

/* ── What is under way ── */

static void go_on(struct fleet *f)
{
    for (size_t i = 0; i < f->index.n; i++)
        if (f->index.devices[i]->delivery.paused) {
            f->index.devices[i]->delivery.paused = false;
            delivery_kick(f->index.devices[i]);
        }
}

static void end_pause(struct reload *reload)
{
    struct error e = {0};
    int r = reload->fleet->stopping ? error_set(&e, -ECANCELED, "the agent is stopping") : apply(reload, &e);

    reload->fleet->tasks.reload = NULL;
    sd_event_source_disable_unref(reload->pausing);
    if (r < 0)
        go_on(reload->fleet);
    finish(reload, r, &e);
}

static int on_paused(sd_event_source *source, uint64_t usec, void *userdata)
{
    end_pause(userdata);
    return 0;
}

/* A request that ends with its session would be sent again, and the cloud may have taken it. */
static int pause_changed(struct reload *reload)
{
    struct fleet *f = reload->fleet;
    int r = sd_event_add_time(f->event, &reload->pausing, CLOCK_BOOTTIME, clock_boottime() + RELOAD_PAUSE,
                              100 * USEC_PER_MSEC, on_paused, reload);

    if (r < 0)
        return r;
    f->tasks.reload = reload;
    for (size_t i = 0; i < reload->plan.n; i++) {
        struct device *d = reload->plan.steps[i].what == RELOAD_REMAKE ? fleet_find(f, reload->plan.steps[i].id) : NULL;

        if (!d)
            continue;
        d->delivery.paused = true;
        reload->under_way += d->delivery.request != NULL;
    }
    if (reload->under_way == 0)
        end_pause(reload);
    return 0;
}

void reload_leave(struct fleet *f)
{
    struct reload *reload = f->tasks.reload;
    struct error e = {0};

    if (!reload)
        return;
    f->tasks.reload = NULL;
    sd_event_source_disable_unref(reload->pausing);
    finish(reload, error_set(&e, -ECANCELED, "the agent is stopping"), &e);
}

static void on_checked(struct mistakes *mistakes, void *userdata)
{
    struct reload *reload = userdata;
    struct error e = {0};
    int r;

    if (reload->fleet->stopping)
        r = error_set(&e, -ECANCELED, "the agent is stopping");
    else if (mistakes->n_all > 0) {
        r = fleet_say_mistakes(-EBADMSG, mistakes, &e);
        mistakes_take(&reload->mistakes, mistakes);
    } else
        r = pause_changed(reload);
    if (r < 0)
        finish(reload, r, &e);
}

/* The devices whose plugin has not seen them as they now are. */
static int check_changed(struct reload *reload)
{
    _cleanup_free_ struct config_device **changed = calloc(reload->plan.n + 1, sizeof(*changed));
    size_t n = 0;

    if (!changed)
        return -ENOMEM;
    for (size_t i = 0; i < reload->plan.n; i++)
        if (reload_wants_check(&reload->plan.steps[i]))
            changed[n++] = reload->plan.steps[i].after;
    return check_devices(reload->fleet, changed, n, on_checked, reload);
}

static bool runs(const char *device, void *userdata)
{
    const struct reload *reload = userdata;

    return fleet_find(reload->fleet, device);
}

static bool profile_is_same(const char *uplink, void *userdata)
{
    const struct reload *reload = userdata;

    return profile_same(profiles_of(&reload->fleet->profiles, reload->fleet->config, uplink),
                        profiles_of(&reload->profiles, reload->config, uplink));
}

/* Nothing else changes the configuration, or what runs of it, until the plan is carried out. */
static int make_plan(struct reload *reload)
{
    const struct reload_view view = {.runs = runs, .profile_same = profile_is_same, .userdata = reload};

    return reload_plan(reload->fleet->config, reload->config, &view, &reload->plan);
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
        r = make_plan(reload);
    if (r >= 0)
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
    r = workers_submit(f->pools.local, load, on_loaded, reload);
    if (r < 0) {
        free(reload);
        return r;
    }
    f->changing = true;
    return 0;
}
