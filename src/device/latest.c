/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where only the latest value of each point is of use: while the queue has something that the cloud has not taken, what
 * comes waits here, one sample a point, a newer one in the place of an older one. So an outage leaves as many samples
 * as there are points, and what was under way. In memory: at the end of the agent, or of the device, it goes to the
 * queue. */
#include "base/clock.h"
#include "device/internal.h"

#include <stdlib.h>

static bool wanted(const struct device *d)
{
    switch (d->uplink->settings->order) {
    case CONFIG_ORDER_PROFILE:
        return d->uplink->profile->latest;
    case CONFIG_ORDER_OLDEST:
        return false;
    case CONFIG_ORDER_LATEST:
        return true;
    }
    return false;
}

bool latest_take(struct device *d, const struct sample *samples, size_t n)
{
    struct spool_counts counts;

    if (!wanted(d))
        return false;
    spool_device_counts(d->queue, &counts);
    if (counts.queued == 0 && !d->delivery.latest)
        return false;
    if (!d->delivery.latest)
        d->delivery.latest = calloc(1, sizeof(*d->delivery.latest));
    if (!d->delivery.latest)
        return false;
    for (size_t i = 0; i < n; i++)
        if (sample_set_put(d->delivery.latest, &samples[i], POINTS_PER_DEVICE_MAX) < 0)
            spool_append(d->queue, clock_boottime(), &samples[i], 1, NULL, NULL);
    return true;
}

/* Into the queue, in the order in which they came. */
static void append(struct device *d, const struct sample_set *l)
{
    _cleanup_free_ const struct sample **all = NULL;
    size_t n;

    if (sample_set_list(l, SAMPLE_SET_BY_TURN, &all, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        spool_append(d->queue, clock_boottime(), all[i], 1, NULL, NULL);
}

void latest_release(struct device *d)
{
    struct sample_set *l = d->delivery.latest;

    if (!l)
        return;
    d->delivery.latest = NULL;
    if (d->queue)
        append(d, l);
    sample_set_done(l);
    free(l);
}
