/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/counts.h"

#include "device/internal.h"
#include "rotation/carrier.h"

static uint8_t state_of(const struct device *d)
{
    const struct rotation_durable *now = d->keys.rotation ? &rotation_carrier_machine(d->keys.rotation)->d : NULL;

    if (!now)
        return ROTATION_IDLE;
    return now->state == ROTATION_OFFERED && now->fallen ? COUNTS_FALLEN : (uint8_t)now->state;
}

void counts_take(struct device *d, bool counted)
{
    struct counted *c = &d->counts;

    if (c->counted)
        d->fleet->numbers.rotations.rotating[c->state]--;
    *c = (struct counted){.counted = counted, .state = state_of(d)};
    if (counted)
        d->fleet->numbers.rotations.rotating[c->state]++;
}

void counts_update(struct device *d)
{
    if (d->counts.counted)
        counts_take(d, true);
}

void counts_finished(struct device *d, enum rotation_outcome outcome)
{
    if (outcome == ROTATION_DONE)
        d->fleet->numbers.rotations.done++;
    else if (outcome == ROTATION_ABANDONED)
        d->fleet->numbers.rotations.abandoned++;
}

void counts_fell_back(struct device *d)
{
    d->fleet->numbers.rotations.fell_back++;
}

const char *counts_state_name(unsigned state)
{
    return state == COUNTS_FALLEN ? "fallen-back" : rotation_state_name((enum rotation_state)state);
}
