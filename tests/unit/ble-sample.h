/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a test hears, and what it expects, in a line each. */

#include "ble/bytes.h"
#include "ble/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct sample {
    uint8_t bytes[ADVERT_PAYLOAD_MAX];
    struct advert_manufacturer manufacturer;
    struct advert_service service;
    struct advert advert;
    char uuid[5];
    struct bind_key key;
};

/* "0499:HEX" is manufacturer data of the company 0x0499, "s:fcd2:HEX" service data. */
static inline void sample_make(struct sample *s, const char *source, const char *address, const char *key)
{
    bool service = strncmp(source, "s:", 2) == 0;
    size_t n = 0;

    memset(s, 0, sizeof *s);
    s->advert = (struct advert){.address = address ? address : "AA:BB:CC:DD:EE:FF", .rssi = -60, .tx_power = 127};
    source += service ? 2 : 0;
    (void)snprintf(s->uuid, sizeof s->uuid, "%.4s", source);
    assert_int_equal(bytes_from_hex(source + 5, s->bytes, sizeof s->bytes, &n), 0);
    s->service = (struct advert_service){s->uuid, s->bytes, n};
    s->manufacturer = (struct advert_manufacturer){(uint16_t)strtoul(s->uuid, NULL, 16), s->bytes, n};
    s->advert.service = &s->service;
    s->advert.n_service = service;
    s->advert.manufacturer = &s->manufacturer;
    s->advert.n_manufacturer = !service;
    if (key)
        assert_int_equal(bytes_from_hex(key, s->key.bytes, sizeof s->key.bytes, &s->key.n), 0);
}

/* "temperature=24.3 light=true button=press", in the order of the values. */
static inline void decoded_text(const struct decoded *d, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < d->n_values && used < size; i++) {
        const struct gatehouse_value *v = &d->values[i].value;
        char value[FIELD_TEXT_MAX + 1];
        switch (v->type) {
        case GATEHOUSE_BOOL:
            (void)snprintf(value, sizeof value, "%s", v->b ? "true" : "false");
            break;
        case GATEHOUSE_INT:
            (void)snprintf(value, sizeof value, "%lld", (long long)v->x);
            break;
        case GATEHOUSE_UINT:
            (void)snprintf(value, sizeof value, "%llu", (unsigned long long)v->t);
            break;
        case GATEHOUSE_DOUBLE:
            (void)snprintf(value, sizeof value, "%.15g", v->d);
            break;
        case GATEHOUSE_STRING:
            (void)snprintf(value, sizeof value, "%s", v->s);
            break;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s=%s", i ? " " : "", d->values[i].name, value);
    }
}

static inline void sample_complain(void *context, const char *path, const char *place, const char *message)
{
    (void)context;
    fail_msg("%s:%s: %s", path, place, message);
}

static inline struct decoder_set *shipped_decoders(void)
{
    static const char *const directories[] = {BLE_DECODERS};
    struct decoder_set *set = NULL;

    assert_int_equal(decoder_set_load(directories, 1, sample_complain, NULL, &set), 0);
    return set;
}
