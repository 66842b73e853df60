/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a rotation with its device. */
#include "base/timers.h"
#include "device/act.h"
#include "device/batch.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/rotate.h"
#include "device/turns.h"
#include "registrar/registrar.h"
#include "rotation/carrier.h"
#include "rotation/schedule.h"

void rotate_done(struct device *d)
{
    if (d->keys.call)
        registrar_call_cancel(d->keys.call);
    vault_change_leave(TAKE_PTR(d->keys.pending));
    vault_change_leave(TAKE_PTR(d->keys.mending));
    if (d->keys.rotation) {
        timer_stop(d->fleet->calendar.rotation_timers, &d->keys.timer);
        timers_release(d->fleet->calendar.rotation_timers);
    }
    d->keys.rotation = rotation_carrier_free(d->keys.rotation);
    schedule_drop(d->fleet->calendar.schedule, &d->keys.schedule);
    batch_gone(d);
    rotate_end_turn(d);
    if (d->keys.job) {
        job_progress(d->fleet->jobs, d->keys.job, d->config->id, false, "cancelled", "the device is gone");
        job_finish(d->fleet->jobs, d->keys.job, JOB_CANCELLED);
    }
    act_clear(d);
}
