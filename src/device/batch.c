/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RotateAll: a job that brings each device through a rotation, so many at once as the configuration says. While it
 * lasts the vault has a record of it, from which it is resumed after a restart. */
#include "device/batch.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/names.h"
#include "device/batch-internal.h"
#include "device/calendar.h"
#include "device/facts.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/last-error.h"
#include "device/rotate-words.h"
#include "device/rotate.h"
#include "device/turns.h"
#include "rotation/carrier.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_PER_TURN 64 /* devices looked at in one turn of the loop */
#define BEFORE_RESTART "before the agent was started again"

/* ── The record ── */

static void on_recorded(int r, const struct error *e, void *userdata)
{
    struct batch *b = userdata;

    b->committing = NULL;
    if (r < 0 && !b->recorded) {
        log_error(NULL, "no rotation of all devices: it cannot be recorded: %s", e->text);
        job_note(b->job, "", "failed", e->text);
        b->failed = true;
    }
    b->recorded = true;
    calendar_wake(b->fleet);
}

/* With `done` the batch is told when it is durable. */
static int write_record(struct batch *b, bool there, bool done)
{
    struct vault *vault = b->fleet->vault;
    const struct vault_entry *entry = vault_find(vault, VAULT_FLEET, VAULT_FLEET);
    _cleanup_(vault_change_freep) struct vault_change *change = vault_change_new(vault, VAULT_FLEET, VAULT_FLEET);
    uint8_t blob[BATCH_RECORD_MAX];
    ssize_t n = batch_encode(&b->record, blob, sizeof(blob));
    int r;

    if (!change || n < 0)
        return -ENOMEM;
    if (there && entry && vault_quarantine(entry))
        vault_change_remove(change); /* there is nothing in it but what is written now */
    if (there)
        vault_change_rotation(change, blob, (size_t)n);
    else
        vault_change_remove(change);
    if (!done)
        return vault_commit(vault, TAKE_PTR(change), NULL, NULL);
    b->committing = change;
    r = vault_commit(vault, TAKE_PTR(change), on_recorded, b);
    if (r < 0)
        b->committing = NULL;
    return r;
}

void batch_date(struct fleet *f)
{
    struct batch *b = f->calendar.batch;
    struct stamp now;

    fleet_stamp_now(f, &now);
    if (b && !b->cancelled && !b->failed && stamp_complete(&b->record.begun, &now))
        write_record(b, true, false);
}

/* ── Its devices ── */

static bool has_new_key(const struct batch *b, const struct device *d)
{
    const struct rotation *machine = d->keys.rotation ? rotation_carrier_machine(d->keys.rotation) : NULL;

    return machine && machine->d.has_main && batch_covers(&b->record, &machine->d.main_since) && !rotate_under_way(d);
}

/* Why it is not even tried; "" if it is. */
static void why_not(const struct batch *b, const struct device *d, struct error *e)
{
    e->text[0] = 0;
    if (rotate_allowed(d, b->record.compromised, e) < 0)
        return;
    if (!rotation_carrier_machine(d->keys.rotation)->d.has_main)
        error_set(e, 0, "the device has no key yet");
    else if (d->uplink->registrar->traits.manual)
        error_set(e, 0, "the keys of uplink %s are carried by hand: rotate it by itself", d->config->uplink);
}

/* False if it needs a turn and there is none. */
static bool step(struct batch *b, struct device *d)
{
    struct error e;
    int r;

    why_not(b, d, &e);
    if (e.text[0]) {
        batch_end_one(b, d, false, "failed", e.text);
        return true;
    }
    if (has_new_key(b, d)) {
        batch_end_one(b, d, true, "done", "");
        return true;
    }
    if (!rotate_heard(d)) {
        batch_move(&b->away, d);
        return true;
    }
    if (!turn_take(d, false))
        return false;
    batch_move(&b->running, d);
    r = rotate_ask(d, b->record.compromised, false);
    if (r < 0)
        batch_ended(d, false, "failed", "too much is waiting already");
    return true;
}

/* ── Running ── */

static const char *trouble(const struct device *d)
{
    const char *text = device_last_error(d, device_entry(d));

    return text && text[0] ? text : "no reason is known";
}

/* Devices that nobody can wait for any longer. What they have begun goes on by itself. */
static void give_up(struct batch *b, uint64_t now)
{
    struct error e;
    struct device *d;

    for (int i = 0; i < STEPS_PER_TURN && (d = b->late.first) && d->keys.batch.since + ROTATION_BATCH_PATIENCE <= now;
         i++) {
        error_set(&e, 0, "it goes on by itself: %s", trouble(d));
        batch_end_one(b, d, false, "unfinished", e.text);
    }
    if (!batch_only_away(b) || b->progressed + ROTATION_BATCH_PATIENCE > now)
        return;
    for (int i = 0; i < STEPS_PER_TURN && (d = b->away.first); i++) {
        uint64_t progressed = b->progressed;

        error_set(&e, 0, "it is not online: %s", trouble(d));
        batch_end_one(b, d, false, "failed", e.text);
        b->progressed = progressed;
    }
}

static struct batch *batch_free(struct batch *b)
{
    vault_change_leave(b->committing);
    free(b);
    return NULL;
}

static void finish(struct batch *b)
{
    struct fleet *f = b->fleet;
    struct job *job = b->job;
    enum job_state state = b->cancelled ? JOB_CANCELLED : b->failed || b->job->failed > 0 ? JOB_FAILED : JOB_DONE;

    if (!b->cancelled && !b->failed)
        write_record(b, false, false); /* if it stays, the next start finds everything done */
    log_notice(NULL, "rotation of all devices %s: %u of %u, %u failed", job_state_name(state), job->done, job->total,
               job->failed);
    f->calendar.batch = batch_free(b);
    job_finish(f->jobs, job, state);
}

/* Drops devices that have not begun. */
static void drop(struct batch *b, struct batch_list *list, const char *outcome, const char *reason)
{
    while (list->first) {
        struct device *d = list->first;

        job_note(b->job, d->config->id, outcome, reason);
        batch_take_out(d);
    }
}

void batch_run(struct fleet *f, uint64_t now)
{
    struct batch *b = f->calendar.batch;

    if (!b || !b->recorded)
        return;
    if (b->failed)
        drop(b, &b->waiting, "failed", "not begun");
    for (int i = 0; i < STEPS_PER_TURN && b->waiting.first; i++)
        if (!step(b, b->waiting.first))
            break;
    give_up(b, now);
    if (batch_is_empty(b))
        finish(b);
}

static void on_cancel(struct job *job, void *userdata)
{
    struct batch *b = userdata;

    b->cancelled = true;
    drop(b, &b->waiting, "cancelled", "not begun");
    drop(b, &b->away, "cancelled", "not begun");
    drop(b, &b->late, "unfinished", "it goes on by itself");
    write_record(b, false, false);
    calendar_wake(b->fleet);
}

/* ── Beginning ── */

static int begin(struct fleet *f, const struct batch_record *record, struct batch **ret)
{
    struct batch *b = calloc(1, sizeof(*b));
    int r = b ? job_new(f->jobs, "rotate-all", ACTION_ROTATE, (uint32_t)f->index.n, &b->job) : -ENOMEM;

    if (r < 0) {
        free(b);
        return r;
    }
    b->fleet = f;
    b->record = *record;
    b->progressed = clock_boottime();
    b->job->cancel = on_cancel;
    b->job->cancel_userdata = b;
    hex_encode(record->id, sizeof(record->id), b->job->batch_id);
    *ret = f->calendar.batch = b;
    return 0;
}

int fleet_rotate_all(struct fleet *f, bool compromised, struct job **ret_job, struct error *e)
{
    struct batch_record record = {.compromised = compromised};
    struct batch *b = f->calendar.batch;
    const char *why;
    int r;

    if (b && (b->cancelled || b->record.compromised != compromised))
        return error_set(e, -EBUSY, "another rotation of all devices is under way: cancel it, and wait for its end");
    if (b) {
        *ret_job = b->job;
        return 0;
    }
    if (!vault_durable(f->vault, &why))
        return error_set(e, -ESTALE, "no key is rotated while a commit may not last: %s", why);
    gnutls_rnd(GNUTLS_RND_NONCE, record.id, sizeof(record.id));
    fleet_stamp_now(f, &record.begun);
    r = begin(f, &record, &b);
    if (r < 0)
        return r;
    for (size_t i = 0; i < f->index.n; i++)
        batch_put(&b->waiting, f->index.devices[i]);
    *ret_job = b->job;
    r = write_record(b, true, true);
    if (r < 0) {
        b->recorded = b->failed = true;
        calendar_wake(f);
    }
    log_notice(NULL, "rotation of all %zu devices begins, batch %s", f->index.n, b->job->batch_id);
    return 0;
}

int batch_resume(struct fleet *f, struct error *e)
{
    const struct vault_entry *entry = vault_find(f->vault, VAULT_FLEET, VAULT_FLEET);
    size_t n = 0;
    const void *blob = entry ? vault_rotation(entry, &n) : NULL;
    struct batch_record record;
    struct batch *b;
    int r;

    if (!blob)
        return 0;
    if (batch_decode(blob, n, &record) < 0) {
        log_error(NULL, "the vault's record of a rotation of all devices is of a later version: it is not resumed");
        return 0;
    }
    r = begin(f, &record, &b);
    if (r < 0)
        return error_errno(e, r, "cannot go on with the rotation of all devices");
    b->recorded = true;
    for (size_t i = 0; i < f->index.n; i++) {
        struct device *d = f->index.devices[i];

        batch_put(d->keys.turn.until != 0 ? &b->running : &b->waiting, d);
        if (has_new_key(b, d))
            batch_end_one(b, d, true, "done", BEFORE_RESTART);
    }
    log_notice(NULL, "rotation of all devices goes on, batch %s: %u of %u are done", b->job->batch_id, b->job->done,
               b->job->total);
    calendar_wake(f);
    return 0;
}

struct batch *batch_leave(struct batch *b)
{
    if (!b)
        return NULL;
    b->job->cancel = NULL;
    return batch_free(b);
}
