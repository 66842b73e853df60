/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where only the latest value of each point is of use: what a newer one has overtaken leaves the queue unsent. All of
 * it goes through the spool, so that the value that counts is as safe as any sample. */
#include "device/announce.h"
#include "device/internal.h"
#include "device/pack-bound.h"
#include "spool/spool.h"

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

/* A pack that is suspected, and hunted for the one sample that the cloud does not take, stays what it is. */
bool latest_pass_over(struct device *d)
{
    struct delivery *delivery = &d->delivery;
    size_t n;

    if (!d->queue || !wanted(d) || delivery->request || delivery->prove || delivery->bound.hunted > 0)
        return false;
    n = spool_pass_over(d->queue, LATEST_PER_TURN);
    if (n > 0)
        delivery->pack = (struct pack){0};
    return n == LATEST_PER_TURN;
}

size_t latest_of(const struct device *d, size_t n)
{
    size_t i = 1;

    if (n == 0 || !wanted(d) || d->delivery.pack.samples > 0)
        return n;
    while (i < n && !spool_overtaken(d->queue, i))
        i++;
    return i;
}
