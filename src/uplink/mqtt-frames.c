/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/mqtt-frames.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <errno.h>

enum part { PART_FIRST, PART_LENGTH, PART_REST };

#define TYPE(first) ((first) >> 4)
#define TYPE_PUBLISH 3
/* Packets that a broker may send to a client that asks for QoS 1 at most: CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK,
 * PINGRESP, DISCONNECT. Others libmosquitto answers, and type 0 it takes for no packet at all. */
#define FROM_BROKERS (1 << 2 | 1 << TYPE_PUBLISH | 1 << 4 | 1 << 9 | 1 << 11 | 1 << 13 | 1 << 14)
#define QOS(first) ((first) >> 1 & 3)

static int begins(struct mqtt_frames *f, struct error *e)
{
    uint32_t size = 1U + f->length_bytes + f->length;

    if (size > MQTT_PACKET_MAX)
        return error_set(e, -EMSGSIZE, "the broker sends a packet of %u bytes; expected at most %d", size,
                         MQTT_PACKET_MAX);
    if (TYPE(f->first) == TYPE_PUBLISH && QOS(f->first) > 1)
        return error_set(e, -EPROTO, "the broker sends a message of QoS %d; expected at most 1, as was asked for",
                         QOS(f->first));
    if (TYPE(f->first) == TYPE_PUBLISH && QOS(f->first) == 1)
        f->published++;
    f->packets++;
    mqtt_properties_begin(&f->properties, f->first);
    f->left = f->length;
    f->part = f->left > 0 ? PART_REST : PART_FIRST;
    return 0;
}

static int header_byte(struct mqtt_frames *f, uint8_t byte, struct error *e)
{
    if (f->part == PART_FIRST) {
        if (!(FROM_BROKERS >> TYPE(byte) & 1))
            return error_set(e, -EPROTO, "the broker sends what none may send to us (a packet of type %d)", TYPE(byte));
        f->first = byte;
        f->length = f->length_bytes = 0;
        f->part = PART_LENGTH;
        return 0;
    }
    f->length |= (uint32_t)(byte & 0x7f) << (7 * f->length_bytes++);
    if (!(byte & 0x80))
        return begins(f, e);
    if (f->length_bytes == 4)
        return error_set(e, -EPROTO, "the broker sends what is not MQTT (the length of a packet does not end)");
    return 0;
}

int mqtt_frames_feed(struct mqtt_frames *f, const uint8_t *data, size_t n, struct error *e)
{
    while (n > 0) {
        size_t step = f->part == PART_REST ? MIN_OF((size_t)f->left, n) : 1;
        int r;

        if (f->part == PART_REST) {
            r = f->five ? mqtt_properties_feed(&f->properties, data, step, e) : 0;
            f->left -= (uint32_t)step;
            if (f->left == 0)
                f->part = PART_FIRST;
        } else
            r = header_byte(f, *data, e);
        if (r < 0)
            return r;
        data += step;
        n -= step;
    }
    return 0;
}
