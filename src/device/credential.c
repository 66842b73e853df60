/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operator's acts on keys. Each is an event of the device's rotation, which knows whether it is safe,
 * commits it, and replies. One at a time. */
#include "base/log.h"
#include "device/damage.h"
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct act *act_free(struct act *act)
{
    if (!act)
        return NULL;
    vault_key_read_free(act->reading);
    secret_free(act->key);
    free(act->identity);
    free(act->reason);
    free(act);
    return NULL;
}

void act_drop(struct device *d)
{
    d->act = act_free(d->act);
}

void act_clear(struct device *d)
{
    const struct error gone = {"the device is gone"};
    struct act answer;

    if (!d->act)
        return;
    answer = *d->act;
    act_drop(d);
    if (answer.done)
        answer.done(-ECANCELED, &gone, answer.userdata);
    if (answer.exported)
        answer.exported(-ECANCELED, -EBADF, &gone, answer.userdata);
}

void act_failed(struct device *d, int r, const struct error *e)
{
    if (!d->act)
        return;
    d->act->r = r;
    free(d->act->reason);
    d->act->reason = e->text[0] ? strdup(e->text) : NULL;
}

static void finish(struct device *d, int r, const struct error *e)
{
    const struct act act = *d->act; /* its type and whom to answer: the rest goes before the answer */
    _cleanup_close_ int fd = -EBADF;
    struct error error = {0};

    if (e)
        error = *e;
    if (act.exported && r >= 0)
        r = vault_key_export(d->fleet->vault, device_entry(d), act.slot, VAULT_RAW, &fd, &error);
    /* Empty before the answer: it may begin the next act. */
    act_drop(d);
    if (act.done)
        act.done(r, &error, act.userdata);
    else if (act.exported)
        act.exported(r, fd, &error, act.userdata);
    if (r >= 0 && !act.exported) {
        rotate_schedule(d, true);
        if (act.type == ROTATION_EV_SET_MAIN)
            session_new_key(d);
        else
            session_start(d);
    }
}

static void rotate_replied(struct device *d, int r, const char *reason)
{
    struct job *job = d->job;

    if (r >= 0)
        return; /* under way: it ends in `finished` */
    log_notice(d->config->id, "no rotation: %s", reason);
    if (d->scheduled)
        rotate_schedule(d, true); /* another time */
    else
        batch_ended(d, false, "failed", reason);
    rotate_end_turn(d);
    if (!job)
        return;
    d->job = NULL;
    job_progress(d->fleet->jobs, job, d->config->id, false, "failed", reason);
    job_finish(d->fleet->jobs, job, JOB_FAILED);
}

void act_reply(struct device *d, enum rotation_event_type type, int r, const char *reason)
{
    struct error e = {0};

    if (type == ROTATION_EV_ROTATE) {
        rotate_replied(d, r, reason ?: "");
        return;
    }
    if (!d->act || type != d->act->type)
        return; /* Connect, and removals that have nobody waiting */
    /* The vault's reason is more exact than that the commit failed. */
    if (r < 0 && d->act->r < 0) {
        r = d->act->r;
        error_set(&e, r, "%s", d->act->reason ?: strerrordesc_np(-r));
    } else if (r < 0) {
        error_set(&e, r, "%s: %s", d->config->id, reason ?: strerrordesc_np(-r));
    }
    finish(d, r, &e);
}

static int begin(struct device *d, enum rotation_event_type type, device_done done, void *userdata, struct error *e)
{
    if (d->act)
        return error_set(e, -EBUSY, "%s: another change of its keys is under way", d->config->id);
    if (!d->rotation && type != ROTATION_EV_SET_MAIN)
        return damage_refuses(d, VAULT_MAIN, false, e);
    d->act = calloc(1, sizeof(*d->act));
    if (!d->act)
        return -ENOMEM;
    *d->act = (struct act){.type = type, .done = done, .userdata = userdata};
    return 0;
}

/* Gives the act to the rotation; a refusal at once is an answer like any other. */
static void submit(struct device *d, bool confirmed)
{
    enum rotation_event_type type = d->act->type;
    int r;

    d->act->confirmed = confirmed;
    /* An operator who insists need not wait for a handshake with the present key. */
    if (confirmed && probe_under_way(d))
        probe_abort(d);
    r = rotation_carrier_event(d->rotation, &(struct rotation_event){.type = type, .confirmed = confirmed});

    if (r < 0 && d->act && d->act->type == type)
        act_reply(d, type, r, "too much is waiting already");
}

static void on_key(int r, struct secret *key, const struct error *e, void *userdata)
{
    struct device *d = userdata;
    struct error error = {0};

    d->act->reading = NULL;
    if (r < 0) {
        finish(d, r, e);
        return;
    }
    d->act->key = key;
    if (!d->act->mends) {
        submit(d, d->act->force);
        return;
    }
    r = damage_mend(d, &error);
    if (r < 0)
        finish(d, r, &error);
}

int device_set_credential(struct device *d, enum vault_slot slot, const char *identity, int fd,
                          enum vault_encoding encoding, bool force, device_done done, void *userdata, struct error *e)
{
    bool damaged = device_damaged(d);
    int r = damaged ? damage_refuses(d, slot, force, e) : 0;

    if (r >= 0)
        r = begin(d, slot == VAULT_MAIN ? ROTATION_EV_SET_MAIN : ROTATION_EV_SET_BACKUP, done, userdata, e);
    if (r < 0)
        return r;
    d->act->force = force;
    d->act->mends = damaged;
    d->act->identity = strdup(identity);
    r = d->act->identity
            ? vault_key_read(d->fleet->arena, d->fleet->event, fd, encoding, on_key, d, &d->act->reading, e)
            : -ENOMEM;
    if (r < 0)
        act_drop(d);
    return r;
}

int device_export_credential(struct device *d, enum vault_slot slot, device_exported done, void *userdata,
                             struct error *e)
{
    const struct vault_entry *entry = device_entry(d);
    int r;

    if (!entry || !vault_credential(entry, slot)->present)
        return error_set(e, -ENOKEY, "%s has no %s key", d->config->id, vault_slot_to_string(slot));
    r = begin(d, ROTATION_EV_EXPORT, NULL, userdata, e);
    if (r < 0)
        return r;
    d->act->exported = done;
    d->act->slot = slot;
    if (slot == VAULT_MAIN)
        finish(d, 0, NULL);
    else
        submit(d, false);
    return 0;
}

int device_promote(struct device *d, device_done done, void *userdata, struct error *e)
{
    int r;

    if (!d->config->enabled || d->disconnected)
        return error_set(e, -EBUSY, "%s is disabled: connect it first", d->config->id);
    r = begin(d, ROTATION_EV_PROMOTE, done, userdata, e);
    if (r >= 0)
        submit(d, false);
    return r;
}

int device_forget_credential(struct device *d, enum vault_slot slot, bool force, device_done done, void *userdata,
                             struct error *e)
{
    int r = begin(d, slot == VAULT_MAIN ? ROTATION_EV_FORGET_MAIN : ROTATION_EV_FORGET_BACKUP, done, userdata, e);

    if (r < 0)
        return r;
    if (slot == VAULT_MAIN || !force || !damage_of_backup(d)) {
        submit(d, force);
        return 0;
    }
    r = damage_mend(d, e);
    if (r < 0)
        act_drop(d);
    return r;
}

void device_begin_removal(struct device *d, bool force, device_done done, void *userdata)
{
    struct error e = {0};
    /* A key that was never offered, or refused because the identity is another's, need not be deleted anywhere. */
    bool unknown = registration_unknown(d) || registration_conflict(d);
    int r;

    registration_stop(d);
    act_clear(d); /* whatever it was, it was on a device that is no more */
    r = begin(d, ROTATION_EV_REMOVE, done, userdata, &e);
    if (r < 0)
        done(r, &e, userdata);
    else
        submit(d, unknown || force);
}

void device_connect(struct device *d)
{
    bool was = d->disconnected;

    d->disconnected = false;
    idle_touch(d);
    if (was && device_phase(d) == CONNECTION_CLOSED)
        session_start(d);
    else if (device_session(d) && device_phase(d) != CONNECTION_CLOSED)
        uplink_session_hurry(device_session(d));
    rotate_event(d, ROTATION_EV_CONNECT);
    registration_retry(d);
    device_changed(d);
}

void device_disconnect(struct device *d)
{
    d->disconnected = true;
    probe_abort(d);
    session_stop(d, UPLINK_BYE_FOR_GOOD);
    device_changed(d);
}
