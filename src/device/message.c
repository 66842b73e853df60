/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all use that say something to the cloud in the profile's words. */
#include "device/internal.h"

int device_names(const struct device *d, struct device_names *ret)
{
    int r = vault_opaque_id(d->fleet->vault, d->config->id, ret->opaque);

    if (r < 0)
        return r;
    ret->profile = (struct profile_names){
        .device = d->config->id, .hardware_id = d->config->hardware_id ?: d->config->id, .opaque = ret->opaque};
    return 0;
}

int message_send(struct uplink_session *s, const struct profile_message *m, uplink_done done, void *userdata,
                 struct uplink_call **ret)
{
    return uplink_session_request(s,
                                  &(struct uplink_request){.target = m->target,
                                                           .payload = m->body,
                                                           .payload_size = m->size,
                                                           .method = (uint8_t)m->method,
                                                           .content_format = m->content_format,
                                                           .accept = -1,
                                                           .retain = m->retain},
                                  done, userdata, ret);
}
