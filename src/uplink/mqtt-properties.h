/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The properties of an MQTT 5 packet, looked at before libmosquitto reads them: of an identifier that it does not know
 * it wants to log without a client, and aborts the process. Pure, any thread. */

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MQTT_TEXT_KEPT 120 /* with a NUL at the end */

struct mqtt_properties {
    uint32_t skip;      /* bytes whose content does not matter */
    uint32_t left;      /* of the properties, once `inside` */
    uint16_t length;    /* of a text, as far as it is read */
    uint8_t state;      /* what comes next */
    uint8_t bytes;      /* of a number of variable length, read */
    uint8_t identifier; /* of a packet: bytes behind the topic */
    bool inside;
    bool second; /* another text follows: a user property has two */
    bool kept;   /* the text that is being read is one of these: */
    uint8_t property;
    /* Of a DISCONNECT, as far as there is room; libmosquitto throws them away. Foreign bytes. */
    struct mqtt_text {
        uint8_t n;
        bool cut; /* there was more */
        char text[MQTT_TEXT_KEPT];
    } reason, reference;
    bool disconnects;
};

/* A packet whose first byte is this begins. */
void mqtt_properties_begin(struct mqtt_properties *p, uint8_t first);
/* Takes the bytes after the fixed header, in pieces of any size. -EPROTO with words: libmosquitto must not read this.
 */
int mqtt_properties_feed(struct mqtt_properties *p, const uint8_t *data, size_t n, struct error *e);
