/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/online.h"

#include "device/announce.h"
#include "device/downlink.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/notify.h"

void session_count(struct device *d)
{
    bool online = device_online(d) && !d->tombstone;

    if (online == d->counted)
        return;
    d->counted = online;
    d->fleet->numbers.online += online ? 1 : -1;
    d->uplink->outage.online += online ? 1 : -1;
    fleet_changed(d->fleet);
}

void session_other_points(struct device *d)
{
    if (!device_online(d))
        return;
    announce_begin(d);
    downlink_online(d);
}
