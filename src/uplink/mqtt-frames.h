/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where packets begin and end in what a broker sends, so that none is taken in that is larger than we said we take:
 * libmosquitto makes room for whatever a header claims, up to 256 MiB; and properties are checked (mqtt-properties.h).
 * Pure, any thread. */

#include "base/error.h"
#include "uplink/mqtt-properties.h"

#include <stddef.h>
#include <stdint.h>

struct mqtt_frames {
    struct mqtt_properties properties;
    uint32_t left;        /* of the packet that has begun, behind its fixed header */
    uint32_t length;      /* as far as it is read */
    uint8_t length_bytes; /* of it, read */
    uint8_t first;        /* type and flags */
    uint8_t part;         /* what comes next */
    bool five;            /* set by the owner: MQTT 5, whose packets have properties */
    uint32_t packets;     /* begun so far */
    uint32_t published;   /* PUBLISH of QoS 1 so far: each makes libmosquitto answer */
};

/* In pieces as they come, of any size; begins zeroed. -EMSGSIZE, -EPROTO: this is to go no further, with words. */
int mqtt_frames_feed(struct mqtt_frames *f, const uint8_t *data, size_t n, struct error *e);
