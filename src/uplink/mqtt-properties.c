/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/mqtt-properties.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

enum state { NOTHING, TOPIC_HIGH, TOPIC_LOW, LENGTH, IDENTIFIER, NUMBER, TEXT_HIGH, TEXT_LOW };

#define CONNACK 2
#define PUBLISH 3
#define PUBACK 4
#define SUBACK 9
#define UNSUBACK 11
#define DISCONNECT 14
#define NUMBER_BYTES_MAX 4
#define SERVER_REFERENCE 28
#define REASON_STRING 31

/* By identifier (MQTT 5 section 2.2.2.2): bytes of the value, or one of these. */
enum { VALUE_NUMBER = 16, VALUE_TEXT, VALUE_PAIR };
static const uint8_t values[] = {
    [1] = 1,  [2] = 4,           [3] = VALUE_TEXT,  [8] = VALUE_TEXT,  [9] = VALUE_TEXT,  [11] = VALUE_NUMBER,
    [17] = 4, [18] = VALUE_TEXT, [19] = 2,          [21] = VALUE_TEXT, [22] = VALUE_TEXT, [23] = 1,
    [24] = 4, [25] = 1,          [26] = VALUE_TEXT, [28] = VALUE_TEXT, [31] = VALUE_TEXT, [33] = 2,
    [34] = 2, [35] = 2,          [36] = 1,          [37] = 1,          [38] = VALUE_PAIR, [39] = 4,
    [40] = 1, [41] = 1,          [42] = 1,
};

void mqtt_properties_begin(struct mqtt_properties *p, uint8_t first)
{
    memset(p, 0, sizeof(*p));
    p->state = LENGTH;
    switch (first >> 4) {
    case CONNACK:
    case SUBACK:
    case UNSUBACK:
        p->skip = 2;
        break;
    case PUBLISH:
        p->state = TOPIC_HIGH;
        p->identifier = first & 6 ? 2 : 0;
        break;
    case PUBACK:
        p->skip = 3;
        break;
    case DISCONNECT:
        p->disconnects = true;
        p->skip = 1;
        break;
    default: /* has none */
        p->state = NOTHING;
    }
}

static int pass(struct mqtt_properties *p, uint32_t n, enum state next, struct error *e)
{
    if (n > p->left)
        return error_set(e, -EPROTO, "the broker sends a property that is longer than all of the packet's");
    p->skip = n;
    p->state = next;
    return 0;
}

static int take_identifier(struct mqtt_properties *p, uint8_t byte, struct error *e)
{
    uint8_t value = byte < ELEMENTSOF(values) ? values[byte] : 0;

    if (value == 0)
        return error_set(e, -EPROTO, "the broker sends a property that MQTT does not know (%u)", byte);
    p->property = byte;
    p->bytes = 0;
    p->second = value == VALUE_PAIR;
    if (value < VALUE_NUMBER)
        return pass(p, value, IDENTIFIER, e);
    p->state = value == VALUE_NUMBER ? NUMBER : TEXT_HIGH;
    return 0;
}

/* The length of all properties. */
static int take_length(struct mqtt_properties *p, uint8_t byte, struct error *e)
{
    p->left |= (uint32_t)(byte & 0x7f) << (7 * p->bytes++);
    if (!(byte & 0x80)) {
        p->inside = true;
        p->state = IDENTIFIER;
        return 0;
    }
    return p->bytes == NUMBER_BYTES_MAX
               ? error_set(e, -EPROTO, "the broker sends what is not MQTT (the length of properties does not end)")
               : 0;
}

static int take(struct mqtt_properties *p, uint8_t byte, struct error *e)
{
    bool second = p->second;

    switch ((enum state)p->state) {
    case TOPIC_HIGH:
    case TEXT_HIGH:
        p->length = (uint16_t)(byte << 8);
        p->state++;
        return 0;
    case TOPIC_LOW:
        p->skip = (uint32_t)(p->length | byte) + p->identifier;
        p->state = LENGTH;
        return 0;
    case LENGTH:
        return take_length(p, byte, e);
    case IDENTIFIER:
        return take_identifier(p, byte, e);
    case NUMBER:
        if (!(byte & 0x80))
            p->state = IDENTIFIER;
        else if (++p->bytes == NUMBER_BYTES_MAX)
            return error_set(e, -EPROTO, "the broker sends what is not MQTT (a property's number does not end)");
        return 0;
    case TEXT_LOW:
        p->second = false;
        p->kept = p->disconnects && (p->property == REASON_STRING || p->property == SERVER_REFERENCE);
        return pass(p, (uint32_t)(p->length | byte), second ? TEXT_HIGH : IDENTIFIER, e);
    case NOTHING:
        break;
    }
    return 0;
}

static void keep(struct mqtt_properties *p, const uint8_t *data, size_t n)
{
    struct mqtt_text *t = p->property == REASON_STRING ? &p->reason : &p->reference;
    size_t room = sizeof(t->text) - 1 - t->n;

    t->cut = t->cut || n > room;
    n = MIN_OF(n, room);
    memcpy(t->text + t->n, data, n);
    t->n = (uint8_t)(t->n + n);
}

int mqtt_properties_feed(struct mqtt_properties *p, const uint8_t *data, size_t n, struct error *e)
{
    while (n > 0 && p->state != NOTHING) {
        size_t step = p->skip > 0 ? MIN_OF((size_t)p->skip, n) : 1;
        int r;

        if (p->inside && p->left == 0 && p->skip == 0) {
            if (p->state != IDENTIFIER)
                return error_set(e, -EPROTO, "the broker sends properties that end in the middle of one");
            p->state = NOTHING;
            return 0;
        }
        if (p->inside)
            p->left -= (uint32_t)step;
        if (p->skip > 0) {
            p->skip -= (uint32_t)step;
            if (p->kept)
                keep(p, data, step);
            p->kept = p->kept && p->skip > 0;
        } else if ((r = take(p, *data, e)) < 0)
            return r;
        data += step;
        n -= step;
    }
    return 0;
}
