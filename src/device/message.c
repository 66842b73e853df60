/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Common part of all messages to the cloud that use the profile's words. */
#include "device/message.h"

#include "base/log.h"
#include "device/facts.h"
#include "device/internal.h"
#include "payload/profile.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A NAT on the way keeps an address for as long as it sees something of it. */
static unsigned hold(const struct config_uplink *u)
{
    uint64_t half = u->keepalive == USEC_INFINITY ? COMMANDS_HOLD_MAX : u->keepalive / 2;

    return (unsigned)(MIN_OF(half, COMMANDS_HOLD_MAX) / USEC_PER_SEC);
}

int device_names(const struct device *d, struct device_names *ret)
{
    ret->profile = (struct profile_names){.device = d->config->id,
                                          .hardware_id = d->config->hardware_id ?: d->config->id,
                                          .opaque = d->opaque,
                                          .gateway = d->uplink->settings->gateway,
                                          .hold = hold(d->uplink->settings)};
    return 0;
}

struct uplink_request message_request(const struct profile_message *m)
{
    return (struct uplink_request){.target = m->target,
                                   .payload = m->body,
                                   .payload_size = m->size,
                                   .method = (uint8_t)m->method,
                                   .content_format = m->content_format,
                                   .accept = m->accept,
                                   .wants_option = m->wants_option,
                                   .retain = m->retain};
}

int message_send(struct uplink_session *s, const struct profile_message *m, uplink_done done, void *userdata,
                 struct uplink_call **ret)
{
    const struct uplink_request request = message_request(m);

    return uplink_session_request(s, &request, done, userdata, ret);
}

void message_code_text(const struct profile *p, uint8_t code, char ret[static CODE_TEXT_MAX])
{
    if (p->transport == PROFILE_MQTT)
        snprintf(ret, CODE_TEXT_MAX, "0x%02x", code);
    else
        snprintf(ret, CODE_TEXT_MAX, "%u.%02u", code >> 5, code & 31U);
}

static void on_logged(int r, const struct uplink_response *response, void *userdata)
{
    const struct device *d = userdata;

    if (r < 0 && r != -ECANCELED)
        log_debug(d->config->id, "a warning did not reach the cloud: %s", strerrordesc_np(-r));
}

void message_log(struct device *d, enum profile_level level, const char *module, const char *text)
{
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct device_names names;

    if (device_online(d) && device_names(d, &names) >= 0 &&
        profile_log(d->uplink->profile, &names.profile, level, module, text, &m) > 0)
        (void)message_send(device_session(d), &m, on_logged, d, NULL);
}
