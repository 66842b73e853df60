/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes of what is configured while the agent runs: reload, AddDevice, RemoveDevice, and devices that are removed
 * here but not yet at the cloud. */
#include "base/log.h"
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void changed_fleet(struct fleet *f)
{
    if (f->listener.fleet_changed)
        f->listener.fleet_changed(f->listener.userdata);
}

static void drop(struct fleet *f, struct device *d)
{
    fleet_remove(f, d);
    device_free(d);
}

static int add(struct fleet *f, struct config_device *config, struct error *e)
{
    _cleanup_(device_freep) struct device *d = NULL;
    int r = device_new(f, config, &d, e);

    if (r >= 0)
        r = fleet_insert(f, d);
    if (r < 0)
        return r;
    device_start(TAKE_PTR(d));
    return 0;
}

/* Whether the device may go on as it is, with only its settings exchanged. */
static bool keeps_running(const struct device *d, const struct config_device *config, const struct config *all)
{
    return strcmp(d->config->uplink, config->uplink) == 0 && shared_uplink_current(d->uplink, all);
}

static void exchange_settings(struct device *d, struct config_device *config)
{
    bool was_enabled = d->config->enabled;

    config_device_unref(d->config);
    d->config = config_device_ref(config);
    if (was_enabled != config->enabled)
        session_start(d);
    device_changed(d);
}

/* Brings the devices in line with f->config, which is the new one. Whoever did not change is not touched. */
static void follow(struct fleet *f, const struct config *before)
{
    struct error e = {0};

    for (size_t i = f->n_devices; i-- > 0;) {
        struct device *d = f->devices[i];
        const struct config_device *config = config_device(f->config, d->config->id);

        if (!config)
            spool_forget(d->queue);
        if (!config || !keeps_running(d, config, f->config))
            drop(f, d);
    }
    for (size_t i = 0; i < f->config->n_devices; i++) {
        struct config_device *config = f->config->devices[i];
        struct device *d = fleet_find(f, config->id);

        if (d)
            exchange_settings(d, config);
        else if (add(f, config, &e) < 0)
            log_error(config->id, "not loaded: %s", e.text);
    }
    if (drivers_update_all(f, before, &e) < 0)
        log_error(NULL, "%s", e.text);
    changed_fleet(f);
}

/* As many mistakes as an error text holds, a line each. */
static int say_mistakes(int r, const struct mistakes *mistakes, struct error *e)
{
    _cleanup_free_ char *text = NULL;

    if (mistakes->n == 0 || mistakes_format(mistakes, &text) < 0)
        return error_errno(e, r, "the configuration cannot be read");
    return error_set(e, r, "%s", text);
}

int fleet_reload(struct fleet *f, struct error *e)
{
    _cleanup_(config_unrefp) struct config *config = NULL, *before = NULL;
    struct mistakes mistakes = {0};
    int r = config_load(&f->paths, CONFIG_STRICT, &config, &mistakes);

    if (r < 0)
        say_mistakes(r, &mistakes, e);
    mistakes_done(&mistakes);
    if (r < 0)
        return r;
    before = f->config;
    f->config = config_ref(config);
    /* What the files alone cannot show: that every uplink's profile is there and right. */
    for (size_t i = 0; r >= 0 && i < config->n_uplinks; i++) {
        struct shared_uplink *u;

        r = shared_uplink_get(f, config->uplinks[i]->name, &u, e);
        if (r >= 0)
            shared_uplink_put(u);
    }
    if (r < 0) {
        config_unref(f->config);
        f->config = TAKE_PTR(before);
        return r == -ENOMEM ? r : -EINVAL;
    }
    spool_set(f->spool,
              &(struct spool_settings){.max_bytes = config->spool.max_bytes, .max_age = config->spool.max_age});
    schedule_set_policy(f->schedule, &(struct schedule_policy){.max_age = config->rotation.max_age,
                                                               .concurrent = config->rotation.concurrent});
    follow(f, before);
    for (size_t i = 0; i < f->n_devices; i++) {
        rotate_policy(f->devices[i]);
        rotate_schedule(f->devices[i], false);
    }
    log_notice(NULL, "configuration read again: %zu devices", f->n_devices);
    return 0;
}

int fleet_add_device(struct fleet *f, const char *id, const char *text, struct device **ret, struct error *e)
{
    _cleanup_(config_device_unrefp) struct config_device *device = NULL;
    _cleanup_(config_unrefp) struct config *config = NULL;
    _cleanup_free_ char *file = NULL;
    struct mistakes mistakes = {0};
    int r;

    if (fleet_find(f, id))
        return error_set(e, -EBUSY, "there is a device '%s' already", id);
    for (struct device *d = f->tombstones; d; d = d->next_tombstone)
        if (strcmp(d->config->id, id) == 0)
            return error_set(e, -EBUSY, "'%s' was removed, but the cloud has not yet deleted its credentials", id);
    r = config_device_path(&f->paths, id, &file);
    if (r < 0)
        return r;
    r = config_device_parse(f->config, file, text, strlen(text), &device, &mistakes);
    if (r < 0)
        say_mistakes(r, &mistakes, e);
    mistakes_done(&mistakes);
    if (r < 0)
        return r == -ENOMEM ? r : -EINVAL;
    if (strcmp(device->id, id) != 0)
        return error_set(e, -EINVAL, "the file says \"device\": \"%s\", not \"%s\"", device->id, id);
    r = config_with(f->config, device, &config);
    if (r >= 0)
        r = config_device_store(&f->paths, id, text, strlen(text), e);
    if (r < 0)
        return r;
    config_unref(f->config);
    f->config = TAKE_PTR(config);
    r = add(f, device, e);
    if (r >= 0)
        r = drivers_update(f, device->driver, e);
    if (r < 0)
        return r;
    *ret = fleet_find(f, id);
    changed_fleet(f);
    return 0;
}

/* ── Removed here, not yet at the cloud ── */

/* The device goes on without a driver and unseen until the cloud has deleted its credentials. */
static void bury(struct fleet *f, struct device *d)
{
    fleet_remove(f, d);
    d->tombstone = true;
    d->queue = NULL;
    d->next_tombstone = f->tombstones;
    f->tombstones = d;
    rotate_schedule(d, false);
}

static int on_exhume(sd_event_source *source, void *userdata)
{
    device_free(userdata);
    sd_event_source_unref(source);
    return 0;
}

/* Called from within the device's own rotation, so that it is freed a little later. */
void fleet_tombstone_done(struct device *d)
{
    sd_event_source *source;

    for (struct device **link = &d->fleet->tombstones; *link; link = &(*link)->next_tombstone)
        if (*link == d) {
            *link = d->next_tombstone;
            break;
        }
    log_notice(d->config->id, "removed at the cloud too");
    session_stop(d, true);
    if (sd_event_add_defer(d->fleet->event, &source, on_exhume, d) < 0)
        log_error(d->config->id, "no memory to free it");
}

/* Devices whose removal was under way when the agent stopped: their files are gone, their credentials are not. */
int fleet_load_tombstones(struct fleet *f)
{
    for (struct vault_entry *entry = vault_next(f->vault, NULL); entry; entry = vault_next(f->vault, entry)) {
        _cleanup_(config_device_unrefp) struct config_device *config = NULL;
        struct rotation_durable durable;
        struct error e = {0};
        struct device *d;
        size_t n;
        const void *blob = vault_rotation(entry, &n);
        int r;

        if (!blob || rotation_decode(blob, n, &durable) < 0 || !durable.removing)
            continue;
        if (fleet_find(f, vault_entry_device(entry)))
            continue; /* configured again: its own rotation goes on with the removal */
        r = config_device_bare(vault_entry_device(entry), vault_entry_uplink(entry), &config);
        if (r >= 0)
            r = device_new(f, config, &d, &e);
        if (r < 0) {
            log_warning(vault_entry_device(entry), "its credentials wait to be deleted at the cloud: %s", e.text);
            continue;
        }
        spool_forget(d->queue);
        d->queue = NULL;
        d->tombstone = true;
        d->next_tombstone = f->tombstones;
        f->tombstones = d;
    }
    return 0;
}

int fleet_remove_device(struct fleet *f, const char *id, bool keep, device_done done, void *userdata, struct error *e)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    struct device *d = fleet_find(f, id);
    char driver[DEVICE_ID_MAX + 1];
    int r;

    if (!d)
        return error_set(e, -ENODEV, "there is no device '%s'", id);
    if (!d->config->removable)
        return error_set(e, -EROFS, "%s belongs to %s, which is the administrator's to remove", id, d->config->file);
    if (!keep && d->act.type != ROTATION_EV_RESTART)
        return error_set(e, -EBUSY, "%s: a change of its keys is under way", id);
    r = config_without(f->config, id, &config);
    if (r >= 0)
        r = config_device_remove(d->config, e);
    if (r < 0)
        return r;
    snprintf(driver, sizeof(driver), "%s", d->config->driver);
    config_unref(f->config);
    f->config = TAKE_PTR(config);
    spool_forget(d->queue);
    if (keep || !device_entry(d) || !d->rotation) {
        drop(f, d);
        done(0, NULL, userdata);
    } else {
        bury(f, d);
        device_begin_removal(d, done, userdata);
    }
    if (drivers_update(f, driver, e) < 0)
        log_error(NULL, "%s", e->text);
    changed_fleet(f);
    return 0;
}

/* ── The vault ── */

static void on_problem(const char *device, const char *uplink, const char *reason, void *userdata)
{
    struct fleet *f = userdata;

    f->verify->failed++;
    job_note(f->verify, device, "failed", reason);
    log_error(device, "its record for uplink %s: %s", uplink, reason);
}

static void on_progress(size_t done, size_t total, void *userdata)
{
    struct fleet *f = userdata;

    f->verify->done = (uint32_t)done;
    f->verify->total = (uint32_t)total;
}

static void on_verified(int r, size_t n_problems, const struct error *e, void *userdata)
{
    struct fleet *f = userdata;
    struct job *job = f->verify;

    f->verify = NULL;
    if (r < 0)
        job_note(job, "", "failed", e->text);
    job_finish(f->jobs, job, r < 0 || n_problems > 0 ? JOB_FAILED : JOB_DONE);
}

int fleet_verify_vault(struct fleet *f, struct job **ret_job, struct error *e)
{
    static const struct vault_verify_handler handler = {
        .problem = on_problem, .progress = on_progress, .done = on_verified};
    struct job *job;
    int r;

    if (f->verify) {
        *ret_job = f->verify;
        return 0;
    }
    r = vault_verify(f->vault, &handler, f);
    if (r < 0)
        return error_errno(e, r, "cannot verify the vault");
    r = job_new(f->jobs, "verify-vault", "org.gatehouse1.manage-keys", (uint32_t)vault_entries(f->vault), &job);
    if (r < 0)
        return r;
    f->verify = *ret_job = job;
    return 0;
}
