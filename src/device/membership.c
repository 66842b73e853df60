/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that come and go over D-Bus: their files are written and removed on a worker. And devices that were removed
 * here but not yet at the cloud. */
#include "device/membership.h"

#include "base/log.h"
#include "device/act.h"
#include "device/announce.h"
#include "device/check.h"
#include "device/connection.h"
#include "device/damage.h"
#include "device/delivery.h"
#include "device/drivers.h"
#include "device/facts.h"
#include "device/fleet.h"
#include "device/index.h"
#include "device/internal.h"
#include "device/lifetime.h"
#include "device/login.h"
#include "device/mistakes.h"
#include "device/notify.h"
#include "device/online.h"
#include "device/profiles.h"
#include "device/rotate.h"
#include "device/sensor-key.h"
#include "device/tombstone.h"
#include "spool/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct membership {
    struct fleet *fleet;
    struct config_device *device; /* a reference */
    char *text;
    bool keep, force;
    struct error error;
    device_added added;
    device_done removed;
    void *userdata;
};

static struct membership *membership_free(struct membership *m)
{
    config_device_unref(m->device);
    free(m->text);
    free(m);
    return NULL;
}

static void membership_freep(struct membership **m)
{
    if (*m)
        membership_free(*m);
}

int fleet_begin_change(struct fleet *f, struct error *e)
{
    if (f->changing)
        return error_set(e, -EBUSY, "another change of the configuration is under way");
    if (f->tasks
            .care) /* what is being committed is waited for, see device_settle(): not for all records of the vault */
        return error_set(e, -EBUSY, "the vault is being sealed anew: come again");
    return f->stopping ? error_set(e, -ESHUTDOWN, "the agent is stopping") : 0;
}

static void forget_samples(struct device *d)
{
    struct spool_counts counts;

    spool_device_counts(d->queue, &counts);
    if (counts.queued > 0)
        log_warning(d->config->id, "%llu samples that waited are given up: the device is removed",
                    (unsigned long long)counts.queued);
    delivery_done(d);
    spool_forget(d->queue);
    d->queue = NULL;
}

void fleet_drop(struct fleet *f, struct device *d, bool forget)
{
    device_settle(d);
    session_keep_authenticated(d);
    fleet_remove(f, d);
    if (forget)
        forget_samples(d);
    device_free(d);
}

int fleet_start_device(struct fleet *f, struct config_device *config, struct error *e)
{
    _cleanup_(device_freep) struct device *d = NULL;
    int r = device_new(f, config, &d, e);

    if (r >= 0)
        r = fleet_insert(f, d);
    if (r < 0)
        return r;
    withdraw_orphan_back(f, config->id); /* before its own session begins */
    device_start(TAKE_PTR(d));
    return 0;
}

static int begin(struct fleet *f, struct membership *m, int (*run)(void *userdata), void (*done)(int r, void *userdata))
{
    int r = workers_submit(f->pools.local, run, done, m);

    if (r >= 0)
        f->changing = true;
    return r;
}

/* ── Adding ── */

static int store(void *userdata)
{
    struct membership *m = userdata;

    return config_device_store(&m->fleet->dirs.paths, m->device->id, m->text, strlen(m->text), &m->error);
}

static int apply_added(struct fleet *f, struct membership *m)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    int r = config_with(f->config, m->device, &config);

    if (r < 0)
        return r;
    config_unref(f->config);
    f->config = TAKE_PTR(config);
    r = fleet_start_device(f, m->device, &m->error);
    return r < 0 ? r : drivers_update(f, m->device->driver, &m->error);
}

static void on_stored(int r, void *userdata)
{
    _cleanup_(membership_freep) struct membership *m = userdata;
    struct fleet *f = m->fleet;

    f->changing = false;
    if (f->stopping)
        r = -ECANCELED;
    if (r >= 0)
        r = apply_added(f, m);
    m->added(r, r < 0 ? NULL : fleet_find(f, m->device->id), &m->error, m->userdata);
    if (r >= 0)
        fleet_changed(f);
}

static void on_checked(struct mistakes *mistakes, void *userdata)
{
    struct membership *m = userdata;
    int r = -ECANCELED;

    m->fleet->changing = false;
    if (mistakes->n_all > 0)
        r = fleet_say_mistakes(-EINVAL, mistakes, &m->error);
    else if (!m->fleet->stopping)
        r = begin(m->fleet, m, store, on_stored);
    if (r >= 0)
        return;
    m->added(r, NULL, &m->error, m->userdata);
    membership_free(m);
}

static int check_new(struct fleet *f, const char *id, struct error *e)
{
    int r = fleet_begin_change(f, e);
    const struct device *t;

    if (r < 0)
        return r;
    if (fleet_find(f, id))
        return error_set(e, -EBUSY, "there is a device '%s' already", id);
    t = tombstone_find(f, id, NULL);
    if (t && !t->grave.exhume)
        return error_set(
            e, -EBUSY,
            "'%s' was removed, but the cloud has not yet deleted its credentials; `device remove %s --force` "
            "forgets them here",
            id, id);
    return 0;
}

static int parse(struct fleet *f, const char *id, const char *text, struct config_device **ret, struct error *e)
{
    _cleanup_free_ char *file = NULL;
    struct mistakes mistakes = {0};
    int r = config_device_path(&f->dirs.paths, id, &file);

    if (r < 0)
        return r;
    r = config_device_parse(f->config, file, text, strlen(text), ret, &mistakes);
    if (r >= 0 && !profiles_take(&f->profiles, f->config, *ret, &mistakes)) {
        *ret = config_device_unref(*ret);
        r = mistakes.failed < 0 ? mistakes.failed : -EBADMSG;
    }
    if (r < 0)
        fleet_say_mistakes(r, &mistakes, e);
    mistakes_done(&mistakes);
    if (r < 0)
        return r == -ENOMEM ? r : -EINVAL;
    if (strcmp((*ret)->id, id) != 0)
        return error_set(e, -EINVAL, "the file says \"device\": \"%s\", not \"%s\"", (*ret)->id, id);
    return 0;
}

int fleet_add_device(struct fleet *f, const char *id, const char *text, device_added done, void *userdata,
                     struct error *e)
{
    _cleanup_(membership_freep) struct membership *m = NULL;
    int r = check_new(f, id, e);

    if (r < 0)
        return r;
    m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    *m = (struct membership){.fleet = f, .text = strdup(text), .added = done, .userdata = userdata};
    r = m->text ? parse(f, id, text, &m->device, e) : -ENOMEM;
    if (r < 0)
        return r;
    f->changing = true;
    r = check_devices(f, &m->device, 1, on_checked, m);
    if (r < 0)
        f->changing = false;
    else
        TAKE_PTR(m);
    return r;
}

/* ── Removed here, not yet at the cloud ── */

/* The device goes on without a driver and unseen until the cloud has deleted its credentials. */
static void bury(struct fleet *f, struct device *d)
{
    fleet_remove(f, d);
    forget_samples(d);
    d->tombstone = true;
    session_count(d);
    d->grave.next = f->index.tombstones;
    f->index.tombstones = d;
    rotate_schedule(d, false);
}

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

        if (!blob || vault_entry_internal(entry) || rotation_decode(blob, n, &durable) < 0 || !durable.removing)
            continue;
        if (fleet_find(f, vault_entry_device(entry)))
            continue; /* configured again: its own rotation goes on with the removal */
        r = config_device_bare(vault_entry_device(entry), vault_entry_uplink(entry), &config);
        if (r >= 0)
            r = device_new(f, config, &d, &e);
        if (r >= 0 && device_damaged(d) && !damage_deletable(d)) {
            login_forget_of(f, vault_entry_device(entry), vault_entry_uplink(entry));
            damage_forget(f->vault, entry, NULL, NULL);
            device_free(d);
            continue;
        }
        if (r < 0) {
            log_warning(vault_entry_device(entry), "its credentials wait to be deleted at the cloud: %s", e.text);
            continue;
        }
        spool_forget(d->queue);
        d->queue = NULL;
        d->tombstone = true;
        d->grave.next = f->index.tombstones;
        f->index.tombstones = d;
    }
    return 0;
}

/* ── Removing ── */

static int unlink_file(void *userdata)
{
    struct membership *m = userdata;

    return config_device_remove(m->device, &m->error);
}

static int apply_removed(struct fleet *f, struct membership *m)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    struct device *d = fleet_find(f, m->device->id);
    int r = config_without(f->config, m->device->id, &config);

    if (r < 0)
        return r;
    config_unref(f->config);
    f->config = TAKE_PTR(config);
    if (!m->keep)
        sensor_key_forget_of(f, m->device->id);
    if (!m->keep && device_damaged(d) && !damage_deletable(d)) {
        r = damage_forget(f->vault, device_entry(d), m->removed, m->userdata);
        fleet_drop(f, d, true);
        login_forget_of(f, m->device->id, m->device->uplink);
        if (r < 0)
            m->removed(r, &m->error, m->userdata);
    } else if (m->keep || !device_entry(d)) {
        fleet_drop(f, d, true);
        if (!m->keep)
            login_forget_of(f, m->device->id, m->device->uplink);
        m->removed(0, NULL, m->userdata);
    } else {
        bury(f, d);
        device_begin_removal(d, m->force, m->removed, m->userdata);
    }
    if (drivers_update(f, m->device->driver, &m->error) < 0)
        log_error(NULL, "%s", m->error.text);
    fleet_changed(f);
    return 0;
}

static void on_unlinked(int r, void *userdata)
{
    _cleanup_(membership_freep) struct membership *m = userdata;
    struct device *d = fleet_find(m->fleet, m->device->id);

    m->fleet->changing = false;
    if (m->fleet->stopping)
        r = -ECANCELED;
    if (r >= 0)
        r = apply_removed(m->fleet, m);
    if (r >= 0) {
        withdraw_orphans(m->fleet);
        return;
    }
    if (d)
        withdraw_cancel(d);
    m->removed(r, &m->error, m->userdata);
}

/* Its broker keeps nothing of it any more, or will be told later. */
static void on_withdrawn(void *userdata)
{
    struct membership *m = userdata;
    struct device *d = fleet_find(m->fleet, m->device->id);
    int r = m->fleet->stopping ? -ECANCELED : begin(m->fleet, m, unlink_file, on_unlinked);

    if (r >= 0)
        return;
    m->fleet->changing = false;
    if (d && !m->fleet->stopping)
        withdraw_cancel(d);
    m->removed(r, &m->error, m->userdata);
    membership_free(m);
}

/* Removed before, and still waiting for the cloud. */
static int remove_tombstone(struct fleet *f, const char *id, bool force, device_done done, void *userdata,
                            struct error *e)
{
    struct device *d = tombstone_find(f, id, NULL);

    if (!d || d->grave.exhume)
        return error_set(e, -ENODEV, "there is no device '%s'", id);
    if (!force)
        return error_set(
            e, -EBUSY,
            "'%s' was removed, its credentials wait to be deleted at the cloud: --force forgets them here, "
            "and leaves them there",
            id);
    device_begin_removal(d, true, done, userdata);
    return 0;
}

int fleet_remove_device(struct fleet *f, const char *id, bool keep, bool force, device_done done, void *userdata,
                        struct error *e)
{
    _cleanup_(membership_freep) struct membership *m = NULL;
    struct device *d = fleet_find(f, id);
    int r = fleet_begin_change(f, e);

    if (r < 0)
        return r;
    if (!d)
        return remove_tombstone(f, id, force, done, userdata, e);
    if (!d->config->removable)
        return error_set(e, -EROFS, "%s belongs to %s, which is the administrator's to remove", id, d->config->file);
    if (!keep && d->keys.act)
        return error_set(e, -EBUSY, "%s: a change of its keys is under way", id);
    m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    *m = (struct membership){.fleet = f,
                             .device = config_device_ref(d->config),
                             .keep = keep,
                             .force = force,
                             .removed = done,
                             .userdata = userdata};
    f->changing = true;
    withdraw(d, on_withdrawn, TAKE_PTR(m));
    return 0;
}
