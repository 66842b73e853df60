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
    if (d->registrar_call)
        registrar_call_cancel(d->registrar_call);
    vault_change_leave(TAKE_PTR(d->pending));
    vault_change_leave(TAKE_PTR(d->mending));
    if (d->rotation) {
        timer_stop(d->fleet->calendar.rotation_timers, &d->rotation_timer);
        timers_release(d->fleet->calendar.rotation_timers);
    }
    d->rotation = rotation_carrier_free(d->rotation);
    schedule_drop(d->fleet->calendar.schedule, &d->schedule);
    batch_gone(d);
    rotate_end_turn(d);
    if (d->job) {
        job_progress(d->fleet->jobs, d->job, d->config->id, false, "cancelled", "the device is gone");
        job_finish(d->fleet->jobs, d->job, JOB_CANCELLED);
    }
    act_clear(d);
}
