/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/quiesce.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "device/calendar.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/sensor-key.h"
#include "device/spooling.h"
#include "rotation/carrier.h"
#include "spool/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct quiesce {
    struct fleet *fleet;
    struct job *job; /* NULL: it is done, and what it made quiet stays so */
    sd_event_source *timer;
    uint64_t until;   /* CLOCK_BOOTTIME */
    uint64_t give_up; /* when the job fails */
    /* Marks of what was open when the job began; what comes while it lasts is confirmed only once it is durable. */
    struct vault_handed vault;
    uint64_t spool;
};

static void finish(struct quiesce *q, enum job_state state)
{
    struct job *job = q->job;

    q->job = NULL;
    if (!job)
        return;
    job->done = state == JOB_DONE;
    job_finish(q->fleet->jobs, job, state);
}

static void quiesce_free(struct quiesce *q)
{
    q->fleet->tasks.quiesce = NULL;
    sd_event_source_disable_unref(q->timer);
    free(q);
}

void quiesce_leave(struct fleet *f)
{
    if (f->tasks.quiesce)
        quiesce_free(f->tasks.quiesce);
}

/* All goes on as configured. */
static void end(struct fleet *f, enum job_state state)
{
    finish(f->tasks.quiesce, state);
    quiesce_free(f->tasks.quiesce);
    log_notice(NULL, "no longer quiesced: rotations may begin, and samples are kept as configured");
    spooling_follow(f);
    calendar_wake(f);
}

/* A rotation under way is safe wherever it stands; whoever cuts the power may want to know. */
static void note_rotations(struct quiesce *q)
{
    for (size_t i = 0; i < q->fleet->index.n; i++) {
        const struct device *d = q->fleet->index.devices[i];
        const char *state = d->keys.rotation ? rotation_carrier_state(d->keys.rotation) : "idle";

        if (strcmp(state, "idle") != 0)
            job_note(q->job, d->config->id, "rotating", state);
    }
}

static void look(struct quiesce *q)
{
    struct fleet *f = q->fleet;
    char text[ERROR_TEXT_MAX];
    const char *problem;

    if (!q->job)
        return;
    if (vault_settled(f->vault, &q->vault) && spool_settled(f->spool, q->spool)) {
        note_rotations(q);
        log_notice(NULL, "quiesced: what was open is durable; the power may go");
        finish(q, JOB_DONE);
        return;
    }
    if (clock_boottime() < q->give_up)
        return;
    problem = spool_problem(f->spool, text, sizeof(text));
    job_note(q->job, "", "failed", problem ?: "the disk is too slow");
    log_error(NULL, "not quiesced: %s", problem ?: "the disk is too slow");
    finish(q, JOB_FAILED);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct quiesce *q = userdata;
    uint64_t now = clock_boottime();

    look(q);
    if (now >= q->until) {
        end(q->fleet, JOB_FAILED);
        return 0;
    }
    sd_event_source_set_time(source, q->job ? now + QUIESCE_LOOK : q->until);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

static void on_cancel(struct job *job, void *userdata)
{
    end(userdata, JOB_CANCELLED);
}

static int begin(struct fleet *f)
{
    struct quiesce *q = calloc(1, sizeof(*q));
    int r;

    if (!q)
        return -ENOMEM;
    r = sd_event_add_time(f->event, &q->timer, CLOCK_BOOTTIME, clock_boottime(), USEC_PER_MSEC, on_time, q);
    if (r < 0) {
        free(q);
        return r;
    }
    q->fleet = f;
    f->tasks.quiesce = q;
    spooling_follow(f);
    return 0;
}

/* From here on the job waits for all that is open. */
static void settle(struct quiesce *q)
{
    sensor_keys_flush(q->fleet->sensor_keys);
    q->vault = vault_handed(q->fleet->vault);
    q->spool = spool_settle(q->fleet->spool);
}

int fleet_quiesce(struct fleet *f, uint64_t duration, struct job **ret_job, struct error *e)
{
    struct job *job = f->tasks.quiesce ? f->tasks.quiesce->job : NULL;
    int r = 0;

    if (!job)
        r = job_new(f->jobs, "quiesce", ACTION_MANAGE_DEVICES, 1, &job);
    if (r < 0)
        return r;
    *ret_job = job;
    if (duration == 0) {
        if (f->tasks.quiesce)
            end(f, JOB_CANCELLED);
        if (job->state == JOB_RUNNING) {
            job->done = 1;
            job_finish(f->jobs, job, JOB_DONE);
        }
        return 0;
    }
    r = f->tasks.quiesce ? 0 : begin(f);
    if (r < 0) {
        job_finish(f->jobs, job, JOB_FAILED);
        return error_errno(e, r, "cannot quiesce");
    }
    job->cancel = on_cancel;
    job->cancel_userdata = f;
    if (!f->tasks.quiesce->job)
        settle(f->tasks.quiesce);
    f->tasks.quiesce->job = job;
    f->tasks.quiesce->until = clock_boottime() + duration;
    f->tasks.quiesce->give_up = MIN_OF(f->tasks.quiesce->until, clock_boottime() + QUIESCE_WAIT_MAX);
    sd_event_source_set_time(f->tasks.quiesce->timer, clock_boottime());
    sd_event_source_set_enabled(f->tasks.quiesce->timer, SD_EVENT_ONESHOT);
    log_notice(NULL, "quiescing for %llu s: no rotation begins, and every sample goes to disk",
               (unsigned long long)(duration / USEC_PER_SEC));
    return 0;
}
