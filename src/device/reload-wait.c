/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "device/internal.h"
#include "device/reload-internal.h"
#include "device/reload.h"

void reload_delivery_ended(struct device *d)
{
    struct reload *reload = d->fleet->tasks.reload;

    if (reload && d->delivery.paused && --reload->under_way == 0)
        sd_event_source_set_time(reload->pausing, clock_boottime());
}
