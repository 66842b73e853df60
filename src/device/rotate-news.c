/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports of a rotation's progress and end: to the journal, jobs, batches and listeners. */
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"
#include "device/batch.h"
#include "device/counts.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/last-error.h"
#include "device/notify.h"
#include "device/rotate-words.h"
#include "device/rotate.h"
#include "device/tasks.h"
#include "device/tombstone.h"
#include "device/turns.h"

#include <stdlib.h>

void rotate_finished(void *userdata, enum rotation_outcome outcome, const char *reason)
{
    struct device *d = userdata;
    struct fleet *f = d->fleet;
    struct job *job = d->keys.job;
    struct error e = {0};

    d->keys.job = NULL;
    counts_finished(d, outcome);
    if (outcome == ROTATION_ABANDONED && d->keys.vain.why) {
        error_set(&e, 0, "%s: %s", reason, d->keys.vain.why);
        reason = e.text;
    }
    if (outcome == ROTATION_REMOVED)
        batch_gone(d);
    else
        batch_ended(d, outcome == ROTATION_DONE, rotation_outcome_name(outcome), reason);
    rotate_end_turn(d);
    if (outcome == ROTATION_REMOVED) {
        if (job)
            job_finish(f->jobs, job, JOB_CANCELLED);
        /* Configured again meanwhile: it is then a device without a key. */
        if (d->tombstone)
            fleet_tombstone_done(d, reason);
        else
            device_changed(d);
        return;
    }
    if (outcome == ROTATION_DONE) {
        backup_dir_due(f);
        free(d->keys.problem);
        d->keys.problem = NULL;
    }
    log_audit(LOG_INFO, outcome == ROTATION_DONE ? MESSAGE_ROTATION_DONE : MESSAGE_ROTATION_ABANDONED, d->config->id,
              NOBODY, "rotation %s%s%s", rotation_outcome_name(outcome), reason && reason[0] ? ": " : "", reason ?: "");
    rotate_schedule(d, true);
    if (job) {
        job_progress(f->jobs, job, d->config->id, outcome == ROTATION_DONE, rotation_outcome_name(outcome), reason);
        job_finish(f->jobs, job, outcome == ROTATION_DONE ? JOB_DONE : JOB_FAILED);
    }
    if (f->listener.rotation_finished && !d->tombstone)
        f->listener.rotation_finished(f->listener.userdata, d, rotation_outcome_name(outcome), reason ?: "");
}

void rotate_moved(void *userdata, enum rotation_move move, const char *reason)
{
    struct device *d = userdata;
    const struct vault_entry *entry = device_entry(d);
    const char *main = entry ? vault_credential(entry, VAULT_MAIN)->identity : "";
    const char *backup = entry ? vault_credential(entry, VAULT_BACKUP)->identity : "";

    if (move == ROTATION_WENT_FORWARD) {
        log_audit(LOG_NOTICE, MESSAGE_WENT_FORWARD, d->config->id, NOBODY,
                  "%s is accepted again and is main again, rotations go on: %s", main, reason);
        return;
    }
    /* Nobody's turn is taken by what waits for a person, or for the path to be clean. */
    rotate_end_turn(d);
    counts_fell_back(d);
    log_audit(LOG_WARNING, MESSAGE_FELL_BACK, d->config->id, NOBODY,
              "fell back to the key before, %s: %s. %s is tried on and on, nothing is rotated until it is accepted or "
              "somebody acts. Does somebody who has the old key stand between here and the cloud?",
              main, reason, backup);
}

void rotate_reported(void *userdata, enum rotation_report report, const char *reason)
{
    struct device *d = userdata;

    if (report != d->keys.report && report == ROTATION_REPORT_CONFLICT)
        log_audit(LOG_WARNING, MESSAGE_CONFLICT, d->config->id, NOBODY, "%s", reason);
    else if (report != d->keys.report && report == ROTATION_REPORT_LEFT)
        log_audit(LOG_WARNING, MESSAGE_LEFT_AT_CLOUD, d->config->id, NOBODY, "%s", reason);
    else if (report != d->keys.report && report != ROTATION_REPORT_FINE)
        log_warning(d->config->id, "%s",
                    device_online(d) && d->connections.answer ? device_last_error(d, NULL) : reason);
    d->keys.report = report;
    d->keys.report_reason = reason;
    /* It may take until somebody mends it, and others are waiting for their turn. */
    if (report != ROTATION_REPORT_FINE)
        rotate_end_turn(d);
    device_changed(d);
}
