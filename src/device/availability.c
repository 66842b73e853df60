/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a device's samples are to be expected, as its cloud hears of it: after each connection, and when its sensor's
 * state changes. That the session is down the cloud learns by the will. One message at a time, the last state wins. */
#include "base/clock.h"
#include "base/log.h"
#include "device/announce.h"
#include "device/device.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/message.h"
#include "payload/profile.h"

#include <errno.h>
#include <string.h>

static void complain(struct device *d, int r, uint8_t answered)
{
    char code[CODE_TEXT_MAX];

    if (d->availability.refused)
        return;
    d->availability.refused = true;
    message_code_text(d->uplink->profile, answered, code);
    if (r < 0)
        log_warning(d->config->id, "the cloud was not told the state of its sensor: %s", strerrordesc_np(-r));
    else
        log_warning(d->config->id, "the cloud refuses to hear the state of its sensor (%s)", code);
}

static void on_told(int r, const struct uplink_response *response, void *userdata)
{
    struct device *d = userdata;

    d->availability.call = NULL;
    if (r == -ECANCELED)
        return;
    if (r < 0 || profile_verdict(d->uplink->profile, response->code) != PROFILE_ACCEPTED) {
        complain(d, r, r < 0 ? 0 : response->code);
        d->availability.due = true;
        d->availability.next = clock_boottime() + AVAILABILITY_AGAIN;
        return;
    }
    d->availability.refused = false;
    availability_kick(d);
}

void availability_kick(struct device *d)
{
    _cleanup_(profile_message_done) struct profile_message m = {0};
    char buffer[ERROR_TEXT_MAX];
    struct device_names names;
    int r;

    if (!d->availability.due || d->availability.call || d->announce.running || d->withdrawing.wanted || d->tombstone ||
        !device_online(d) || clock_boottime() < d->availability.next)
        return;
    d->availability.due = false;
    r = device_names(d, &names);
    if (r >= 0)
        r = profile_availability(d->uplink->profile, &names.profile, d->sensor.shown,
                                 device_sensor_reason(d, buffer, sizeof(buffer)), &m);
    if (r > 0)
        r = message_send(device_session(d), &m, on_told, d, &d->availability.call);
    if (r < 0)
        complain(d, r, 0);
}

void availability_due(struct device *d)
{
    d->availability.due = true;
    availability_kick(d);
}

void availability_online(struct device *d)
{
    availability_end(d); /* of the session before */
    d->availability.next = 0;
    availability_due(d);
}

void availability_end(struct device *d)
{
    uplink_call_cancel(TAKE_PTR(d->availability.call));
}
