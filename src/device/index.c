/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/index.h"

#include "base/limits.h"
#include "device/counts.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/sensor.h"
#include "device/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The place of the first device whose id is not before `id`. */
static size_t lower_bound(const struct fleet *f, const char *id)
{
    size_t low = 0, high = f->index.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(f->index.devices[middle]->config->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct device *fleet_find(struct fleet *f, const char *id)
{
    size_t i = lower_bound(f, id);

    return i < f->index.n && strcmp(f->index.devices[i]->config->id, id) == 0 ? f->index.devices[i] : NULL;
}

struct device *fleet_next(struct fleet *f, const char *after)
{
    size_t i = after ? lower_bound(f, after) : 0;

    if (after && i < f->index.n && strcmp(f->index.devices[i]->config->id, after) == 0)
        i++;
    return i < f->index.n ? f->index.devices[i] : NULL;
}

size_t fleet_size(const struct fleet *f)
{
    return f->index.n;
}

int fleet_insert(struct fleet *f, struct device *d)
{
    size_t i = lower_bound(f, d->config->id);

    if (f->index.n == f->index.allocated) {
        size_t allocated = MAX_OF(f->index.allocated * 2, (size_t)16);
        struct device **p = reallocarray(f->index.devices, allocated, sizeof(*p));

        if (!p)
            return -ENOMEM;
        f->index.devices = p;
        f->index.allocated = allocated;
    }
    memmove(f->index.devices + i + 1, f->index.devices + i, (f->index.n - i) * sizeof(*f->index.devices));
    f->index.devices[i] = d;
    f->index.n++;
    walk_shift(&f->walks.kick, i, 1);
    walk_shift(&f->walks.dating, i, 1);
    sensor_count(d, true);
    counts_take(d, true);
    if (f->listener.device_added)
        f->listener.device_added(f->listener.userdata, d);
    return 0;
}

void fleet_remove(struct fleet *f, struct device *d)
{
    size_t i = lower_bound(f, d->config->id);

    memmove(f->index.devices + i, f->index.devices + i + 1, (f->index.n - i - 1) * sizeof(*f->index.devices));
    f->index.n--;
    walk_shift(&f->walks.kick, i, -1);
    walk_shift(&f->walks.dating, i, -1);
    sensor_count(d, false);
    counts_take(d, false);
    if (f->listener.device_removed)
        f->listener.device_removed(f->listener.userdata, d);
}
