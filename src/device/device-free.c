/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/sample-set.h"
#include "device/announce.h"
#include "device/announced.h"
#include "device/connection.h"
#include "device/delivery.h"
#include "device/downlink.h"
#include "device/idle.h"
#include "device/internal.h"
#include "device/lifetime.h"
#include "device/login.h"
#include "device/registration.h"
#include "device/restored.h"
#include "device/rotate.h"
#include "device/seen.h"
#include "device/sensor-key.h"
#include "device/sensor.h"
#include "device/uplinks.h"

#include <stdlib.h>

struct device *device_free(struct device *d)
{
    if (!d)
        return NULL;
    d->tombstone = true;    /* nobody is told any more */
    d->disconnected = true; /* and no session begins anew */
    announce_end(d);
    announced_done(&d->announce.kept);
    seen_done(&d->seen);
    sample_set_done(&d->newest);
    withdraw_leave(d);
    availability_end(d);
    downlink_done(d);
    delivery_done(d);
    if (d->uplink)
        registration_stop(d);
    connections_done(d);
    rotate_done(d);
    restored_done(d);
    idle_done(d);
    sensor_key_done(d);
    login_done(d);
    sd_event_source_disable_unref(d->grave.exhume);
    shared_uplink_put(d->uplink);
    config_device_unref(d->config);
    free(d->writes);
    free(d->keys.problem);
    free(d->keys.vain.why);
    sensor_done(d);
    free(d);
    return NULL;
}
