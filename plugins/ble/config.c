/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "decoder.h"
#include "field-read.h"
#include "reading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Complaints of `struct reading` are of a file; ours are of a device. */
struct bridge {
    gatehouse_complain complain;
    void *context;
};

static void on_complaint(void *context, const char *path, const char *place, const char *message)
{
    struct bridge *b = context;

    (void)path;
    b->complain(b->context, place, message);
}

int ble_duration(const char *text, uint64_t *ret)
{
    static const struct {
        const char *name;
        uint64_t unit;
    } units[] = {{"ms", MSEC}, {"s", SEC}, {"min", MINUTE}, {"h", 60 * MINUTE}, {"d", 24 * 60 * MINUTE}};
    size_t digits = strspn(text, "0123456789");
    uint64_t n;

    if (digits == 0 || digits > 9)
        return -EINVAL;
    n = strtoull(text, NULL, 10);
    if (n == 0 && text[digits] == 0) {
        *ret = 0;
        return 0;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text + digits, units[i].name) == 0) {
            *ret = n * units[i].unit;
            return 0;
        }
    return -EINVAL;
}

int ble_address(const char *text, char ret[ADDRESS_TEXT])
{
    uint8_t bytes[6];

    if (address_parse(text, bytes) < 0)
        return -EINVAL;
    (void)snprintf(ret, ADDRESS_TEXT, "%02X:%02X:%02X:%02X:%02X:%02X", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                   bytes[5]);
    return 0;
}

static void read_duration(struct reading *r, json_object *o, const char *key, uint64_t min, uint64_t *ret)
{
    const char *text;
    uint64_t value;

    if (!reading_text(r, o, key, &text))
        return;
    if (ble_duration(text, &value) < 0 || value > DURATION_MAX || (value < min && value != 0))
        reading_complain(r, key, "expected a duration from \"%s\" to \"24h\", written like 1s, 5min, 24h; or \"0\"",
                         min < SEC ? "1ms" : "1s");
    else
        *ret = value;
}

static void read_address(struct reading *r, json_object *o, struct ble_config *c)
{
    const char *text;

    if (!json_object_object_get_ex(o, "address", NULL)) {
        reading_complain(
            r, NULL,
            "\"address\" is missing: the sensor's Bluetooth address, as \"A4:C1:38:02:83:F4\" (gatehousectl "
            "scan ble shows those that are heard)");
        return;
    }
    if (reading_text(r, o, "address", &text) && ble_address(text, c->address) < 0)
        reading_complain(r, "address", "expected a Bluetooth address, as \"A4:C1:38:02:83:F4\"");
}

static void read_adapter(struct reading *r, json_object *o, struct ble_config *c)
{
    const char *text;

    if (reading_text(r, o, "adapter", &text) && strcmp(text, "any") != 0 && ble_address(text, c->adapter) < 0)
        reading_complain(r, "adapter",
                         "expected \"any\", or the address of an adapter of this machine, as \"DC:A6:32:01:02:03\" "
                         "(bluetoothctl list)");
}

static void read_format(struct reading *r, json_object *o, const struct decoder_set *set, struct ble_config *c)
{
    const char *text = DECODER_AUTO;

    (void)reading_text(r, o, "format", &text);
    if (strcmp(text, DECODER_AUTO) != 0 && !decoder_set_find(set, text))
        reading_complain(r, "format",
                         "there is no format \"%s\": expected \"auto\", or the name of a file in " DECODER_DIR_ADMIN
                         " or the package's (see gatehouse-ble(5))",
                         text);
    c->format = strdup(text);
}

/* Scan responses are never heard passively. */
static void read_scan(struct reading *r, json_object *o, const struct decoder_set *set, struct ble_config *c)
{
    const struct decoder *d = c->format ? decoder_set_find(set, c->format) : NULL;
    const char *text;

    if (!reading_text(r, o, "scan", &text))
        return;
    c->passive = strcmp(text, "passive") == 0;
    if (!c->passive && strcmp(text, "active") != 0)
        reading_complain(r, "scan", "expected \"active\" or \"passive\"");
    else if (c->passive && d && decoder_wants_active_scan(d))
        reading_complain(r, "scan", "the format %s needs \"active\": its values are not in what a passive scan hears",
                         c->format);
}

static void read_pairing(struct reading *r, json_object *o, struct ble_config *c)
{
    const char *text, *passkey = NULL;

    if (reading_text(r, o, "pairing", &text)) {
        if (strcmp(text, "none") == 0)
            c->pairing = PAIRING_NONE;
        else if (strcmp(text, "just-works") == 0)
            c->pairing = PAIRING_JUST_WORKS;
        else if (strcmp(text, "passkey") == 0)
            c->pairing = PAIRING_PASSKEY;
        else
            reading_complain(r, "pairing", "expected \"none\", \"just-works\" or \"passkey\"");
    }
    if (reading_text(r, o, "passkey", &passkey)) {
        if (strlen(passkey) != 6 || strspn(passkey, "0123456789") != 6)
            reading_complain(r, "passkey", "expected the six digits that are printed on the sensor, as \"012345\"");
        else
            c->passkey = (uint32_t)strtoul(passkey, NULL, 10);
    }
    if (c->pairing == PAIRING_PASSKEY && !passkey && !r->failed)
        reading_complain(r, "pairing", "with \"passkey\" the key \"passkey\" says which: the six digits on the sensor");
    if (passkey && c->pairing != PAIRING_PASSKEY)
        reading_complain(r, "passkey", "is of no use without \"pairing\": \"passkey\"");
}

static bool section_read(struct reading *r, const char *text, const struct decoder_set *set, struct ble_config *c)
{
    static const char *const known[] = {"address", "format", "interval", "timeout",
                                        "adapter", "scan",   "pairing",  "passkey"};
    json_object *o = json_tokener_parse(text);

    if (!json_object_is_type(o, json_type_object)) {
        json_object_put(o);
        return reading_complain(r, NULL, "expected an object");
    }
    reading_known(r, o, known, sizeof known / sizeof known[0]);
    read_address(r, o, c);
    read_format(r, o, set, c);
    read_duration(r, o, "interval", MSEC, &c->interval);
    read_duration(r, o, "timeout", SEC, &c->timeout);
    read_adapter(r, o, c);
    read_scan(r, o, set, c);
    read_pairing(r, o, c);
    json_object_put(o);
    return !r->failed;
}

/* A key that is none of a point's own is one of the field, as in a decoder's file. */
static bool read_type(struct reading *r, json_object *o, struct ble_point *p)
{
    static const char *const own[] = {"characteristic", "service", "read", "notify", "value"};
    json_object *field = NULL;
    bool ok;

    if (json_object_deep_copy(o, &field, NULL) < 0)
        return false;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        json_object_object_del(field, own[i]);
    /* The name is of no meaning here, and a point's may be longer than a field's. */
    json_object_object_add(field, "name", json_object_new_string("value"));
    p->has_type = true;
    ok = field_read(r, field, &p->field);
    json_object_put(field);
    return ok;
}

static void read_gatt(struct reading *r, json_object *o, const struct decoder_set *set, const struct ble_config *c,
                      struct ble_point *p)
{
    struct ble_uuid uuid;
    const char *text;

    if (reading_text(r, o, "service", &text)) {
        if (uuid_parse(text, &uuid) < 0)
            reading_complain(r, "service", "expected a UUID, as \"181a\" or in full");
        p->service = strdup(text);
    }
    if (!p->characteristic || uuid_parse(p->characteristic, &uuid) < 0) {
        reading_complain(r, "characteristic", "expected a UUID, as \"2a6e\" or in full");
        return;
    }
    (void)reading_bool(r, o, "notify", &p->notify);
    read_duration(r, o, "read", READ_MIN, &p->read);
    if (json_object_object_get_ex(o, "type", NULL))
        (void)read_type(r, o, p);
    else if (!decoder_has_characteristic(set, c->format ?: DECODER_AUTO, p->characteristic, NULL) &&
             !decoder_has_characteristic(set, DECODER_AUTO, p->characteristic, NULL))
        reading_complain(r, NULL, "\"type\" is missing, and no format knows this characteristic");
    else if (p->writable)
        reading_complain(r, NULL, "\"type\" is missing: how what is written becomes bytes");
    if (!p->notify && !p->writable && !json_object_object_get_ex(o, "read", NULL))
        p->read = READ_DEFAULT;
}

/* A field that the format (any, if it is found out) never gives would never be a sample. */
static void check_given(struct reading *r, json_object *o, const struct decoder_set *set, const struct ble_config *c,
                        const struct ble_point *p)
{
    const char *format = c->format ?: DECODER_AUTO, *key = json_object_object_get_ex(o, "value", NULL) ? "value" : NULL;
    bool any = strcmp(format, DECODER_AUTO) == 0;

    if (!p->value || (!any && !decoder_set_find(set, format)) || decoder_gives(set, format, p->value))
        return;
    if (any)
        reading_complain(r, key, "no format gives a value \"%s\"; gatehousectl scan ble shows what a sensor gives",
                         p->value);
    else
        reading_complain(r, key, "the format %s gives no value \"%s\"; gatehousectl scan ble shows what a sensor gives",
                         format, p->value);
}

static void read_advertised(struct reading *r, json_object *o, const struct decoder_set *set,
                            const struct ble_config *c, struct ble_point *p)
{
    static const char *const known[] = {"value", "characteristic"};

    reading_known(r, o, known, 2);
    if (p->writable)
        reading_complain(r, NULL, "a value that is advertised cannot be written: \"characteristic\" names what can");
    else
        check_given(r, o, set, c, p);
}

static void point_read(struct reading *r, const struct gatehouse_point *from, const struct decoder_set *set,
                       const struct ble_config *c, struct ble_point *p)
{
    json_object *o = json_tokener_parse(from->config);
    const char *text = from->name;

    p->name = strdup(from->name);
    p->unit = from->unit ? strdup(from->unit) : NULL;
    p->writable = from->writable;
    p->read = 0;
    (void)reading_text(r, o, "value", &text);
    p->value = strdup(text);
    p->gatt = json_object_object_get_ex(o, "characteristic", NULL) || json_object_object_get_ex(o, "service", NULL);
    if (reading_text(r, o, "characteristic", &text))
        p->characteristic = strdup(text);
    if (p->gatt)
        read_gatt(r, o, set, c, p);
    else
        read_advertised(r, o, set, c, p);
    json_object_put(o);
}

static bool points_read(struct reading *r, const struct gatehouse_point *points, size_t n,
                        const struct decoder_set *set, struct ble_config *c)
{
    c->points = calloc(n + 1, sizeof *c->points);
    if (!c->points)
        return false;
    for (c->n_points = 0; c->n_points < n; c->n_points++) {
        struct ble_point *p = &c->points[c->n_points];
        size_t before;

        (void)snprintf(r->pointer, sizeof r->pointer, "/points");
        before = reading_enter(r, points[c->n_points].name);
        point_read(r, &points[c->n_points], set, c, p);
        reading_leave(r, before);
        c->n_gatt += p->gatt;
        if (!p->name || !p->value)
            return false;
    }
    return true;
}

int ble_config_read(const struct decoder_set *set, const char *section, const struct gatehouse_point *points,
                    size_t n_points, gatehouse_complain complain, void *context, struct ble_config **ret)
{
    struct bridge bridge = {complain, context};
    struct reading r = {.complain = on_complaint, .context = &bridge, .path = ""};
    struct ble_config *c = calloc(1, sizeof *c);
    bool whole;

    if (!c)
        return -ENOMEM;
    c->interval = INTERVAL_DEFAULT;
    c->timeout = TIMEOUT_DEFAULT;
    (void)snprintf(r.pointer, sizeof r.pointer, "/section");
    whole = section_read(&r, section, set, c);
    whole = points_read(&r, points, n_points, set, c) && whole && c->format;
    if (!whole || r.failed || !ret) {
        ble_config_free(c);
        return r.failed ? -EINVAL : whole ? 0 : -ENOMEM;
    }
    *ret = c;
    return 0;
}

struct ble_config *ble_config_free(struct ble_config *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < c->n_points + 1 && c->points; i++) {
        struct ble_point *p = &c->points[i];

        free(p->name);
        free(p->unit);
        free(p->value);
        free(p->characteristic);
        free(p->service);
        if (p->has_type)
            field_done(&p->field);
    }
    free(c->points);
    free(c->format);
    free(c);
    return NULL;
}

bool ble_config_listens(const struct ble_config *c)
{
    return c->n_gatt < c->n_points || c->n_points == 0;
}
