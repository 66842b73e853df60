/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device's place on the calendar. */
#include "base/hash.h"
#include "device/calendar.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/rotate.h"
#include "rotation/carrier.h"
#include "rotation/schedule.h"

void rotate_schedule(struct device *d, bool fresh)
{
    const struct rotation *machine = d->keys.rotation ? rotation_carrier_machine(d->keys.rotation) : NULL;
    struct stamp now;

    if (!machine || !machine->d.has_main || machine->d.fallen || d->tombstone || restored_waits(d) ||
        registration_pending(d) || !vault_durable(d->fleet->vault, NULL)) {
        schedule_drop(d->fleet->calendar.schedule, &d->keys.schedule);
        return;
    }
    d->keys.schedule.manual = d->uplink->registrar->traits.manual;
    fleet_stamp_now(d->fleet, &now);
    schedule_put(d->fleet->calendar.schedule, &d->keys.schedule, &machine->d.main_since, &now,
                 (uint32_t)hash_text(HASH_BEGIN, d->config->id), fresh);
    calendar_wake(d->fleet);
}
