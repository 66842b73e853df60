/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device's introduction to a broker: its client id and its will. */
#include "config/client-id.h"
#include "device/announce.h"
#include "device/internal.h"
#include "device/message.h"
#include "payload/profile.h"

int device_introduce(void *userdata, struct uplink_introduction *ret)
{
    struct device *d = userdata;
    struct profile_message m = {0};
    struct device_names names;
    int r = device_names(d, &names);

    if (r < 0)
        return r;
    r = client_id_make(d->uplink->settings->client_id, names.profile.device, names.profile.opaque,
                       names.profile.hardware_id, names.profile.gateway, &ret->client_id);
    if (r < 0)
        return r;
    r = profile_will(d->uplink->profile, &names.profile, &m);
    if (r <= 0)
        return r;
    ret->will_topic = TAKE_PTR(m.target);
    ret->will_payload = TAKE_PTR(m.body);
    ret->will_size = m.size;
    ret->will_retain = m.retain;
    profile_message_done(&m);
    return 0;
}
