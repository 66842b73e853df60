/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The output of an open connection, and its state. */
#include "base/clock.h"
#include "base/limits.h"
#include "uplink/mqtt-internal.h"
#include "uplink/udp.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>

/* libmosquitto writes at once if it can, and says so when it cannot. */
static int sent(struct mqtt *m, int r)
{
    switch (r) {
    case MOSQ_ERR_SUCCESS:
        m->time.sent_at = clock_boottime();
        mqtt_await(m);
        return 0;
    case MOSQ_ERR_OVERSIZE_PACKET:
    case MOSQ_ERR_PAYLOAD_SIZE:
        return -EMSGSIZE;
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_MALFORMED_UTF8:
        return -EINVAL;
    case MOSQ_ERR_NOMEM:
        return -ENOMEM;
    default:
        m->end.broken = true;
        m->ops->rearm(m->userdata);
        return -ENOTCONN;
    }
}

int mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t n, bool retain, int *ret_mid)
{
    if (!mqtt_is_open(m) || m->end.broken)
        return -ENOTCONN;
    if (n > MQTT_PAYLOAD_MAX)
        return -EMSGSIZE;
    return sent(m, mosquitto_publish_v5(m->mosquitto, ret_mid, topic, (int)n, payload, 1, retain, NULL));
}

int mqtt_subscribe(struct mqtt *m, const char *filter, int *ret_mid)
{
    /* Where the broker keeps the session it has kept messages shown once already. */
    int options = m->terms.version == MQTT_V5 && m->terms.session_expiry > 0 ? MQTT_SUB_OPT_SEND_RETAIN_NEW : 0;

    if (!mqtt_is_open(m) || m->end.broken)
        return -ENOTCONN;
    return sent(m, mosquitto_subscribe_v5(m->mosquitto, ret_mid, filter, 1, options, NULL));
}

void mqtt_unsubscribe(struct mqtt *m, const char *filter)
{
    if (mqtt_is_open(m) && !m->end.broken)
        (void)sent(m, mosquitto_unsubscribe(m->mosquitto, NULL, filter));
}

unsigned mqtt_receive_maximum(const struct mqtt *m)
{
    return m->terms.receive_maximum;
}

uint32_t mqtt_packet_max(const struct mqtt *m)
{
    return m->terms.packet_max;
}

enum mqtt_version mqtt_version(const struct mqtt *m)
{
    return m->terms.version;
}

int mqtt_local_address(const struct mqtt *m, struct resolver_address *ret)
{
    return udp_local_address(mosquitto_socket(m->mosquitto), ret);
}
