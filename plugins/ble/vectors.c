/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each file proves itself: the bytes of its vectors have to give their values, all of them and no others. */

#include "decoder-internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENTSOF(array) (sizeof(array) / sizeof(array)[0])

/* A vector's advertisement, with the memory that it points into. */
struct sample {
    uint8_t bytes[CHARACTERISTIC_BYTES_MAX];
    size_t n;
    struct advert_manufacturer manufacturer;
    struct advert_service service;
    const char *uuids[1];
    struct advert advert;
    struct bind_key key;
    bool has_key;
    const char *characteristic;
};

static bool read_bytes(struct reading *r, const char *key, json_object *o, struct sample *s)
{
    return (json_object_is_type(o, json_type_string) &&
            bytes_from_hex(json_object_get_string(o), s->bytes, sizeof s->bytes, &s->n) == 0) ||
           reading_complain(r, key, "expected bytes in hexadecimal");
}

/* "manufacturer": {"0x0499": "0512…"} */
static bool read_manufacturer(struct reading *r, json_object *table, struct sample *s)
{
    json_object_object_foreach (table, key, value) {
        int64_t company = -1;
        if (!reading_key(key, &company) || company < 0 || company > UINT16_MAX)
            return reading_complain(r, "manufacturer", "expected a company id as the key, such as \"0x0499\"");
        if (!read_bytes(r, "manufacturer", value, s))
            return false;
        s->manufacturer = (struct advert_manufacturer){(uint16_t)company, s->bytes, s->n};
        s->advert.manufacturer = &s->manufacturer;
        s->advert.n_manufacturer = 1;
    }
    return true;
}

static bool read_service(struct reading *r, json_object *table, struct sample *s)
{
    json_object_object_foreach (table, key, value) {
        struct ble_uuid uuid;
        if (uuid_parse(key, &uuid) < 0)
            return reading_complain(r, "service", "expected a UUID as the key, such as \"fcd2\"");
        if (!read_bytes(r, "service", value, s))
            return false;
        s->service = (struct advert_service){key, s->bytes, s->n};
        s->advert.service = &s->service;
        s->advert.n_service = 1;
    }
    return true;
}

static bool read_characteristic(struct reading *r, json_object *table, struct sample *s)
{
    json_object_object_foreach (table, key, value) {
        struct ble_uuid uuid;
        if (uuid_parse(key, &uuid) < 0)
            return reading_complain(r, "characteristic", "expected a UUID as the key, such as \"2a6e\"");
        if (!read_bytes(r, "characteristic", value, s))
            return false;
        s->characteristic = key;
    }
    return true;
}

static bool read_source(struct reading *r, json_object *o, struct sample *s)
{
    static const char *const keys[] = {"manufacturer", "service", "characteristic"};
    static bool (*const readers[])(struct reading *, json_object *, struct sample *) = {read_manufacturer, read_service,
                                                                                        read_characteristic};
    unsigned n = 0;

    for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
        json_object *table;
        if (!reading_get(r, o, keys[i], json_type_object, &table))
            continue;
        if (json_object_object_length(table) != 1)
            return reading_complain(r, keys[i], "expected one member");
        if (!readers[i](r, table, s))
            return false;
        n++;
    }
    if (n != 1 && !r->failed)
        return reading_complain(r, NULL, "expected one of \"manufacturer\", \"service\", \"characteristic\"");
    return !r->failed;
}

static bool read_sample(struct reading *r, json_object *o, struct sample *s)
{
    static const char *const known[] = {"manufacturer", "service", "characteristic", "name",   "advertises",
                                        "address",      "key",     "result",         "values", "sequence",
                                        "counter",      "comment"};
    const char *key;
    uint8_t address[6];

    memset(s, 0, sizeof *s);
    s->advert =
        (struct advert){.address = "00:00:00:00:00:00", .rssi = ADVERT_POWER_NONE, .tx_power = ADVERT_POWER_NONE};
    reading_known(r, o, known, ELEMENTSOF(known));
    (void)read_source(r, o, s);
    (void)reading_text(r, o, "name", &s->advert.name);
    if (reading_text(r, o, "advertises", &s->uuids[0])) {
        s->advert.uuids = s->uuids;
        s->advert.n_uuids = 1;
    }
    if (reading_text(r, o, "address", &s->advert.address) && address_parse(s->advert.address, address) < 0)
        reading_complain(r, "address", "expected an address such as \"A4:C1:38:02:83:F4\"");
    s->has_key = reading_text(r, o, "key", &key);
    if (s->has_key && bytes_from_hex(key, s->key.bytes, sizeof s->key.bytes, &s->key.n) < 0)
        reading_complain(r, "key", "expected a key in hexadecimal");
    return !r->failed;
}

/* --- comparing --- */

static bool number_of(const struct gatehouse_value *v, double *ret)
{
    switch (v->type) {
    case GATEHOUSE_INT:
        *ret = (double)v->x;
        return true;
    case GATEHOUSE_UINT:
        *ret = (double)v->t;
        return true;
    case GATEHOUSE_DOUBLE:
        *ret = v->d;
        return true;
    case GATEHOUSE_BOOL:
    case GATEHOUSE_STRING:
        break;
    }
    return false;
}

static bool equals(const struct gatehouse_value *v, json_object *expected)
{
    double number;

    if (v->type == GATEHOUSE_STRING)
        return json_object_is_type(expected, json_type_string) && strcmp(v->s, json_object_get_string(expected)) == 0;
    if (v->type == GATEHOUSE_BOOL)
        return json_object_is_type(expected, json_type_boolean) && v->b == (bool)json_object_get_boolean(expected);
    if (!json_object_is_type(expected, json_type_int) && !json_object_is_type(expected, json_type_double))
        return false;
    return number_of(v, &number) && number == json_object_get_double(expected);
}

static void value_text(const struct gatehouse_value *v, char *text, size_t size)
{
    double number = 0;

    if (v->type == GATEHOUSE_STRING)
        (void)snprintf(text, size, "\"%.60s\"", v->s);
    else if (v->type == GATEHOUSE_BOOL)
        (void)snprintf(text, size, "%s", v->b ? "true" : "false");
    else if (number_of(v, &number))
        (void)snprintf(text, size, "%.12g", number);
}

static void find_missing(struct reading *r, json_object *values, const struct decoded *got)
{
    json_object_object_foreach (values, name, expected) {
        bool found = false;
        (void)expected;
        for (size_t i = 0; i < got->n_values && !found; i++)
            found = strcmp(got->values[i].name, name) == 0;
        if (!found)
            reading_complain(r, name, "the bytes do not give this value");
    }
}

static void compare_values(struct reading *r, json_object *o, const struct decoded *got)
{
    json_object *values = NULL;

    if (!reading_get(r, o, "values", json_type_object, &values) && r->failed)
        return;
    size_t before = reading_enter(r, "values");
    for (size_t i = 0; i < got->n_values; i++) {
        const struct decoded_value *v = &got->values[i];
        json_object *expected = NULL;
        char text[80] = "";
        value_text(&v->value, text, sizeof text);
        if (!json_object_object_get_ex(values, v->name, &expected))
            reading_complain(r, v->name, "the bytes give %s, the vector does not have it", text);
        else if (!equals(&v->value, expected))
            reading_complain(r, v->name, "the bytes give %s, the vector has %.80s", text,
                             json_object_to_json_string_ext(expected, JSON_C_TO_STRING_PLAIN));
    }
    if (values)
        find_missing(r, values, got);
    reading_leave(r, before);
}

static void compare_number(struct reading *r, json_object *o, const char *key, bool there, uint32_t got)
{
    int64_t expected;

    if (!reading_whole(r, o, key, 0, UINT32_MAX, &expected))
        return;
    if (!there)
        reading_complain(r, key, "the bytes do not give one");
    else if (got != (uint32_t)expected)
        reading_complain(r, key, "the bytes give %u", (unsigned)got);
}

static void compare(struct reading *r, json_object *o, int result, const struct decoded *got)
{
    const char *expected = decoder_result_name(DECODED);

    (void)reading_text(r, o, "result", &expected);
    if (strcmp(expected, decoder_result_name((enum decoder_result)result)) != 0) {
        reading_complain(r, "result", "the bytes give \"%s\", expected \"%.32s\"",
                         decoder_result_name((enum decoder_result)result), expected);
        return;
    }
    compare_values(r, o, got);
    compare_number(r, o, "sequence", got->has_sequence, got->sequence);
    compare_number(r, o, "counter", got->has_counter, got->counter);
}

static void check_vector(struct reading *r, const struct decoder *d, json_object *o, struct decoded *got)
{
    struct sample s;
    struct ble_uuid uuid;
    int result;

    if (!json_object_is_type(o, json_type_object)) {
        reading_complain(r, NULL, "expected an object");
        return;
    }
    if (read_sample(r, o, &s)) {
        if (s.characteristic && uuid_parse(s.characteristic, &uuid) == 0)
            result = decoder_run_characteristic(d, &uuid, s.bytes, s.n, got);
        else
            result = decoder_run(d, &s.advert, s.has_key ? &s.key : NULL, NULL, 0, got);
        compare(r, o, result, got);
    }
}

bool decoder_check_vectors(struct reading *r, struct decoder *d, json_object *root)
{
    json_object *list;
    size_t n;

    if (!reading_get(r, root, "vectors", json_type_array, &list))
        return r->failed ? false : reading_complain(r, "vectors", "missing: bytes and the values that they give");
    n = json_object_array_length(list);
    if (n < 1 || n > DECODER_VECTORS_MAX)
        return reading_complain(r, "vectors", "expected 1 to %d", DECODER_VECTORS_MAX);
    struct decoded *got = calloc(1, sizeof *got);
    if (!got)
        return reading_complain(r, NULL, "out of memory");
    size_t outer = reading_enter(r, "vectors");
    for (size_t i = 0; i < n; i++) {
        size_t before = reading_enter_index(r, i);
        check_vector(r, d, json_object_array_get_idx(list, i), got);
        reading_leave(r, before);
    }
    reading_leave(r, outer);
    free(got);
    d->n_vectors = n;
    return !r->failed;
}
