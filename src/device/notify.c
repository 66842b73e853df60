/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/notify.h"

#include "device/counts.h"
#include "device/internal.h"

void device_changed(struct device *d)
{
    counts_update(d);
    if (!d->tombstone && d->fleet->listener.device_changed)
        d->fleet->listener.device_changed(d->fleet->listener.userdata, d);
}

void fleet_changed(struct fleet *f)
{
    if (f->listener.fleet_changed)
        f->listener.fleet_changed(f->listener.userdata);
}
