/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether commands keep a device busy. */
#include "device/downlink-internal.h"
#include "device/downlink.h"

bool outcome_pending(const struct downlink *l)
{
    for (size_t i = 0; i < COMMANDS_REMEMBERED; i++)
        if (l->remembered[i].telling || l->remembered[i].untold)
            return true;
    return false;
}

bool downlink_busy(const struct device *d)
{
    const struct downlink *l = d->downlink;

    return l && (l->n_running > 0 || outcome_pending(l));
}
