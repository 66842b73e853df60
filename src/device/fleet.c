/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/fleet.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "base/timers.h"
#include "base/worker.h"
#include "device/announce.h"
#include "device/batch.h"
#include "device/calendar.h"
#include "device/clock-care.h"
#include "device/connection.h"
#include "device/delivery.h"
#include "device/drivers.h"
#include "device/facts.h"
#include "device/index.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/lifetime.h"
#include "device/login.h"
#include "device/membership.h"
#include "device/mistakes.h"
#include "device/profiles.h"
#include "device/quiesce.h"
#include "device/reload.h"
#include "device/rotate.h"
#include "device/sensor-key.h"
#include "device/server-time.h"
#include "device/spooling.h"
#include "device/tasks.h"
#include "device/uplinks.h"
#include "device/walk.h"
#include "spool/spool.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ── Time ── */

static int on_kick(sd_event_source *source, void *userdata)
{
    struct fleet *f = userdata;

    return walk_on(f, &f->walks.kick, delivery_kick);
}

/* Keys get a place on the calendar. */
static void date(struct device *d)
{
    rotate_event(d, ROTATION_EV_TIMER);
    rotate_schedule(d, false);
}

static int on_dating(sd_event_source *source, void *userdata)
{
    struct fleet *f = userdata;

    return walk_on(f, &f->walks.dating, date);
}

/* Until the clock can be trusted: then samples get their times, and keys their ages. */
static int on_clock(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct fleet *f = userdata;
    bool ready = clock_care_ready(f);

    if (!ready || !clock_synchronized()) {
        if (ready)
            clock_care_tell(f);
        server_time_look(f);
        timer_rearm(source, clock_boottime() + (ready ? CLOCK_LOOK_INTERVAL : CLOCK_LOOK_INTERVAL / 20));
        return 0;
    }
    spool_stamp(f->spool, (int64_t)(clock_realtime() - clock_boottime()), true);
    batch_date(f);
    walk_begin(&f->walks.dating);
    fleet_kick_all(f);
    return 0;
}

/* ── Beginning and end ── */

static int make_parts(struct fleet *f, const struct fleet_options *options, struct error *e)
{
    int r = clock_boot_id(f->clock.boot_id);

    if (r >= 0)
        r = workers_new(f->event, 1, &f->pools.local);
    if (r >= 0)
        r = workers_new(f->event, RESOLVER_THREADS, &f->pools.resolvers);
    if (r >= 0)
        r = workers_new(f->event, 1, &f->pools.bulk);
    if (r >= 0)
        r = jobs_new(f->event, &f->jobs);
    if (r >= 0)
        r = timers_new(f->event, 100 * USEC_PER_MSEC, rotate_timer, &f->calendar.rotation_timers);
    if (r >= 0)
        r = walk_init(f, &f->walks.kick, on_kick);
    if (r >= 0)
        r = walk_init(f, &f->walks.dating, on_dating);
    if (r >= 0)
        r = calendar_init(f);
    if (r >= 0)
        r = sd_event_add_time(f->event, &f->clock.timer, CLOCK_BOOTTIME, 0, 100 * USEC_PER_MSEC, on_clock, f);
    if (r < 0)
        return error_errno(e, r, "cannot begin");
    r = sensor_keys_new(f, &f->sensor_keys);
    if (r >= 0)
        r = spooling_begin(f, e);
    if (r < 0)
        return r;
    return link_host_new(f->event, f->pools.local, &options->link, &drivers_link_ops, f, &f->link, e);
}

/* Its cloud takes its names; otherwise it is not loaded, as with any other mistake in its file. */
static bool named_well(struct fleet *f, const struct config_device *config)
{
    size_t before = f->mistakes.files.n;

    if (profiles_take(&f->profiles, f->config, config, &f->mistakes.files))
        return true;
    for (size_t i = before; i < f->mistakes.files.n; i++) {
        const struct mistake *m = &f->mistakes.files.list[i];

        log_error(m->device, "not loaded: %s:%u:%u: %s", m->file, m->line, m->column, m->text);
    }
    return false;
}

static int make_devices(struct fleet *f)
{
    for (size_t i = 0; i < f->config->n_devices; i++) {
        struct device *d = NULL;
        struct error e = {0};
        int r;

        if (!named_well(f, f->config->devices[i]))
            continue;
        r = device_new(f, f->config->devices[i], &d, &e);

        if (r >= 0)
            r = fleet_insert(f, d);
        if (r == -ENOMEM)
            return r;
        if (r < 0) {
            log_error(f->config->devices[i]->id, "not loaded: %s", e.text);
            mistakes_not_started(f, f->config->devices[i], &e);
        }
    }
    return 0;
}

static int read_profiles(struct fleet *f, struct error *e)
{
    struct mistakes mistakes = {0};
    int r = profiles_read(f->config, f->dirs.config, &f->profiles, &mistakes);

    if (r < 0)
        fleet_say_mistakes(r, &mistakes, e);
    mistakes_done(&mistakes);
    return r;
}

int fleet_new(const struct fleet_options *options, struct fleet **ret, struct error *e)
{
    _cleanup_(fleet_freep) struct fleet *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    *f = (struct fleet){
        .event = sd_event_ref(options->event),
        .arena = options->arena,
        .vault = options->vault,
        .config = config_ref(options->config),
        .dirs = {.config = strdup(options->paths.config_dir),
                 .registrar = strdup(options->registrar_dir ?: REGISTRAR_DIR),
                 .plugin = strdup(options->plugin_dir ?: GATEHOUSE_PLUGIN_DIR),
                 .state = strdup(options->paths.state_dir)},
        .clock = {.started = clock_boottime()},
    };
    f->dirs.paths = (struct config_paths){.config_dir = f->dirs.config, .state_dir = f->dirs.state};
    if (!f->dirs.config || !f->dirs.state || !f->dirs.registrar || !f->dirs.plugin)
        return -ENOMEM;
    if (options->mistakes)
        mistakes_take(&f->mistakes.files, options->mistakes);
    clock_care_begin(f);
    r = read_profiles(f, e);
    if (r >= 0)
        r = make_parts(f, options, e);
    if (r >= 0)
        r = shared_uplinks_check(f, e);
    if (r >= 0)
        r = make_devices(f);
    if (r >= 0)
        r = fleet_load_tombstones(f);
    if (r >= 0)
        r = drivers_update_all(f, NULL, e);
    if (r < 0)
        return r;
    fleet_raise_descriptors(f);
    fleet_warn_of_settings(f);
    for (size_t i = 0; i < f->index.n; i++)
        device_start(f->index.devices[i]);
    for (struct device *d = f->index.tombstones; d; d = d->grave.next)
        device_start(d);
    r = batch_resume(f, e);
    if (r < 0)
        return r;
    backup_dir_begin(f);
    withdraw_orphans(f);
    *ret = TAKE_PTR(f);
    return 0;
}

struct fleet *fleet_free(struct fleet *f)
{
    if (!f)
        return NULL;
    f->stopping = true;
    f->stop.source = sd_event_source_disable_unref(f->stop.source);
    f->walks.kick.source = sd_event_source_disable_unref(f->walks.kick.source);
    f->walks.dating.source = sd_event_source_disable_unref(f->walks.dating.source);
    f->listener = (struct fleet_listener){0};
    if (f->jobs)
        jobs_listen(f->jobs, NULL);
    link_host_free(f->link);
    f->calendar.batch = batch_leave(f->calendar.batch);
    withdraw_orphans_leave(f);
    while (f->index.n > 0)
        device_free(f->index.devices[--f->index.n]);
    while (f->index.tombstones) {
        struct device *d = f->index.tombstones;

        f->index.tombstones = d->grave.next;
        device_free(d);
    }
    f->pools.bulk = workers_free(f->pools.bulk); /* what runs there looks at the fleet */
    provision_leave(f);
    export_leave(f);
    free(f->index.devices);
    f->sensor_keys = sensor_keys_free(f->sensor_keys);
    logins_leave(f);
    verify_leave(f);
    quiesce_leave(f);
    vault_care_leave(f);
    backup_leave(f);
    backup_dir_leave(f);
    reload_leave(f);
    jobs_free(f->jobs);
    calendar_done(f);
    sd_event_source_disable_unref(f->clock.timer);
    sd_event_source_disable_unref(f->spooling.orphan_timer);
    timers_free(f->calendar.rotation_timers);
    spool_free(f->spool);
    workers_free(f->pools.local);
    workers_free(f->pools.resolvers);
    profiles_done(&f->profiles);
    mistakes_done(&f->mistakes.files);
    mistakes_done(&f->mistakes.refused);
    config_unref(f->config);
    sd_event_unref(f->event);
    free(f->dirs.config);
    free(f->dirs.registrar);
    free(f->dirs.plugin);
    free(f->dirs.state);
    free(f);
    return NULL;
}

static void disconnect_some(struct fleet *f)
{
    /* An operation that ends meanwhile may remove devices. */
    f->stop.left = MIN_OF(f->stop.left, f->index.n);
    for (int i = 0; i < STOP_PER_TURN && f->stop.left > 0; i++) {
        struct device *d = f->index.devices[--f->stop.left];

        probe_drop(d);
        session_keep_authenticated(d);
        session_stop(d, UPLINK_BYE_FOR_GOOD);
    }
}

static void note_commit(struct fleet *f, int r)
{
    if (f->stop.failed == 0)
        f->stop.failed = r;
}

/* A part of the devices a turn, then a transaction a turn. Drivers may report until the last. */
static int on_stop(sd_event_source *source, void *userdata)
{
    struct fleet *f = userdata;

    disconnect_some(f);
    if (f->stop.left > 0)
        return 0;
    if (!f->stop.drained) {
        f->stop.drained = true;
        sensor_keys_flush(f->sensor_keys);
    }
    note_commit(f, vault_flush_batch(f->vault));
    if (vault_pending(f->vault) > 0)
        return 0;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    sensor_keys_flush(f->sensor_keys);
    note_commit(f, vault_flush(f->vault));
    spooling_end(f);
    f->stop.done(f->stop.failed, f->stop.userdata);
    return 0;
}

/* Every session is closed with a word to the server, which is one datagram each and waits for nothing. */
int fleet_stop(struct fleet *f, void (*stopped)(int r, void *userdata), void *userdata)
{
    int r;

    if (f->stopping)
        return -EALREADY;
    r = sd_event_add_defer(f->event, &f->stop.source, on_stop, f);
    if (r >= 0)
        r = sd_event_source_set_enabled(f->stop.source, SD_EVENT_ON);
    if (r < 0)
        return r;
    f->stopping = true;
    f->stop.left = f->index.n;
    f->stop.done = stopped;
    f->stop.userdata = userdata;
    link_host_stop(f->link);
    return 0;
}

void fleet_listen(struct fleet *f, const struct fleet_listener *listener)
{
    f->listener = listener ? *listener : (struct fleet_listener){0};
}

/* ── What is shown ── */

struct jobs *fleet_jobs(struct fleet *f)
{
    return f->jobs;
}

const struct config *fleet_config(const struct fleet *f)
{
    return f->config;
}

struct link_host *fleet_link(struct fleet *f)
{
    return f->link;
}

struct workers *fleet_workers(struct fleet *f)
{
    return f->pools.local;
}

struct vault *fleet_vault(struct fleet *f)
{
    return f->vault;
}

const char *fleet_plugin_dir(const struct fleet *f)
{
    return f->dirs.plugin;
}

const char *fleet_state_dir(const struct fleet *f)
{
    return f->dirs.state;
}

void fleet_totals(struct fleet *f, struct fleet_totals *ret)
{
    static char problem[ERROR_TEXT_MAX];
    struct spool_counts counts;

    spool_counts(f->spool, &counts);
    *ret = (struct fleet_totals){
        .devices = (uint32_t)f->index.n,
        .online = f->numbers.online,
        .sensors = f->numbers.sensors,
        .mistakes_version = f->mistakes.version,
        .spooled = counts.queued,
        .delivered = counts.accepted,
        .dropped = counts.dropped,
        .rejected = counts.rejected,
        .counts = &f->numbers.rotations,
        .spool_hours = spool_hours(f->spool, clock_boottime()),
        .spool_problem = spool_problem(f->spool, problem, sizeof(problem)) ?: "",
    };
}
