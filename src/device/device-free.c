/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/internal.h"
#include "device/lifetime.h"
#include "device/login.h"
#include "device/sensor-key.h"

#include <stdlib.h>

struct device *device_free(struct device *d)
{
    if (!d)
        return NULL;
    d->tombstone = true;    /* nobody is told any more */
    d->disconnected = true; /* and no session begins anew */
    announce_end(d);
    announced_done(&d->announced);
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
    sd_event_source_disable_unref(d->exhume);
    shared_uplink_put(d->uplink);
    config_device_unref(d->config);
    free(d->writes);
    free(d->rotation_problem);
    free(d->vain.why);
    sensor_done(d);
    free(d);
    return NULL;
}
