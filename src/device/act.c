/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/act.h"

#include "base/log.h"
#include "device/batch.h"
#include "device/connection.h"
#include "device/damage.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/registration.h"
#include "device/rotate.h"
#include "device/turns.h"
#include "rotation/carrier.h"

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
    d->keys.act = act_free(d->keys.act);
}

void act_clear(struct device *d)
{
    const struct error gone = {"the device is gone"};
    struct act answer;

    if (!d->keys.act)
        return;
    answer = *d->keys.act;
    act_drop(d);
    if (answer.done)
        answer.done(-ECANCELED, &gone, answer.userdata);
    if (answer.exported)
        answer.exported(-ECANCELED, -EBADF, &gone, answer.userdata);
}

void act_failed(struct device *d, int r, const struct error *e)
{
    if (!d->keys.act)
        return;
    d->keys.act->r = r;
    free(d->keys.act->reason);
    d->keys.act->reason = e->text[0] ? strdup(e->text) : NULL;
}

void act_end(struct device *d, int r, const struct error *e)
{
    const struct act act = *d->keys.act; /* its type and whom to answer: the rest goes before the answer */
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
    struct job *job = d->keys.job;

    if (r >= 0)
        return; /* under way: it ends in `finished` */
    log_notice(d->config->id, "no rotation: %s", reason);
    if (d->keys.scheduled)
        rotate_schedule(d, true); /* another time */
    else
        batch_ended(d, false, "failed", reason);
    rotate_end_turn(d);
    if (!job)
        return;
    d->keys.job = NULL;
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
    if (!d->keys.act || type != d->keys.act->type)
        return; /* Connect, and removals that have nobody waiting */
    /* The vault's reason is more exact than that the commit failed. */
    if (r < 0 && d->keys.act->r < 0) {
        r = d->keys.act->r;
        error_set(&e, r, "%s", d->keys.act->reason ?: strerrordesc_np(-r));
    } else if (r < 0) {
        error_set(&e, r, "%s: %s", d->config->id, reason ?: strerrordesc_np(-r));
    }
    act_end(d, r, &e);
}

int act_begin(struct device *d, enum rotation_event_type type, device_done done, void *userdata, struct error *e)
{
    if (d->keys.act)
        return error_set(e, -EBUSY, "%s: another change of its keys is under way", d->config->id);
    if (!d->keys.rotation && type != ROTATION_EV_SET_MAIN)
        return damage_refuses(d, VAULT_MAIN, false, e);
    d->keys.act = calloc(1, sizeof(*d->keys.act));
    if (!d->keys.act)
        return -ENOMEM;
    *d->keys.act = (struct act){.type = type, .done = done, .userdata = userdata};
    return 0;
}

void act_submit(struct device *d, bool confirmed)
{
    enum rotation_event_type type = d->keys.act->type;
    int r;

    d->keys.act->confirmed = confirmed;
    /* An operator who insists need not wait for a handshake with the present key. */
    if (confirmed && probe_under_way(d))
        probe_abort(d);
    r = rotation_carrier_event(d->keys.rotation, &(struct rotation_event){.type = type, .confirmed = confirmed});

    if (r < 0 && d->keys.act && d->keys.act->type == type)
        act_reply(d, type, r, "too much is waiting already");
}

void device_begin_removal(struct device *d, bool force, device_done done, void *userdata)
{
    struct error e = {0};
    /* A key that was never offered, or refused because the identity is another's, need not be deleted anywhere. */
    bool unknown = registration_unknown(d) || registration_conflict(d);
    int r;

    registration_stop(d);
    act_clear(d); /* whatever it was, it was on a device that is no more */
    r = act_begin(d, ROTATION_EV_REMOVE, done, userdata, &e);
    if (r < 0)
        done(r, &e, userdata);
    else
        act_submit(d, unknown || force);
}
