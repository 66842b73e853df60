/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everybody who is heard, for somebody who asks: bounded, the weakest give way. */
#include "hub.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_TEXT 400
/* Of one value at most: what parts it from the last, its name, a text of 40 bytes, its unit. */
#define VALUE_TEXT (2 + FIELD_NAME_MAX + 8 + 1 + 40 + 1 + FIELD_UNIT_MAX + 1)

static struct heard *slot_of(struct hub *h, const char *address, int16_t rssi)
{
    struct heard *weakest = NULL;

    for (size_t i = 0; i < h->n_heard; i++) {
        if (strcmp(h->heard[i].address, address) == 0)
            return &h->heard[i];
        if (!weakest || h->heard[i].rssi < weakest->rssi)
            weakest = &h->heard[i];
    }
    if (h->n_heard < HEARD_MAX)
        weakest = &h->heard[h->n_heard++];
    else if (!weakest || weakest->rssi >= rssi)
        return NULL;
    *weakest = (struct heard){.rssi = INT16_MIN};
    (void)snprintf(weakest->address, sizeof weakest->address, "%s", address);
    return weakest;
}

void scan_heard(struct hub *h, const char *address, const struct adapter *a, const struct properties *p)
{
    int16_t rssi = p->advert.rssi == ADVERT_POWER_NONE ? INT16_MIN : p->advert.rssi;
    struct heard *e = slot_of(h, address, rssi);

    if (!e)
        return;
    if (p->advert.rssi != ADVERT_POWER_NONE)
        e->rssi = p->advert.rssi;
    e->at = hub_now();
    (void)snprintf(e->adapter, sizeof e->adapter, "%s", strrchr(a->path, '/') + 1);
    if (p->advert.name)
        (void)snprintf(e->name, sizeof e->name, "%s", p->advert.name);
    if (p->address_type)
        e->random = strcmp(p->address_type, "random") == 0;
    if (p->advert.n_manufacturer > 0 && p->manufacturer[0].n <= sizeof e->manufacturer) {
        e->company = p->manufacturer[0].company;
        e->n_manufacturer = p->manufacturer[0].n;
        memcpy(e->manufacturer, p->manufacturer[0].bytes, e->n_manufacturer);
    }
    if (p->advert.n_service > 0 && p->service[0].n <= sizeof e->service) {
        (void)snprintf(e->uuid, sizeof e->uuid, "%s", p->service[0].uuid);
        e->n_service = p->service[0].n;
        memcpy(e->service, p->service[0].bytes, e->n_service);
    }
}

/* ── Shown ── */

static void hex(const uint8_t *bytes, size_t n, char *text)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    text[2 * n] = 0;
}

static void add_value(char *text, const struct decoded_value *v)
{
    size_t n = strlen(text);
    char *at = text + n;

    n = VALUES_TEXT - n;
    if (n < VALUE_TEXT)
        return;
    at += snprintf(at, n, "%s%s ", text[0] ? ", " : "", v->name);
    n = VALUES_TEXT - (size_t)(at - text);
    switch (v->value.type) {
    case GATEHOUSE_BOOL:
        at += snprintf(at, n, "%s", v->value.b ? "true" : "false");
        break;
    case GATEHOUSE_INT:
        at += snprintf(at, n, "%lld", (long long)v->value.x);
        break;
    case GATEHOUSE_UINT:
        at += snprintf(at, n, "%llu", (unsigned long long)v->value.t);
        break;
    case GATEHOUSE_DOUBLE:
        at += snprintf(at, n, "%.6g", v->value.d);
        break;
    case GATEHOUSE_STRING:
        at += snprintf(at, n, "%.40s", v->value.s);
        break;
    }
    if (v->unit)
        (void)snprintf(at, VALUES_TEXT - (size_t)(at - text), " %s", v->unit);
}

/* "ruuvi-5-1e2f": of the format, and the end of the address. */
static void suggest(const struct heard *e, const struct decoded *d, char *text, size_t size)
{
    (void)snprintf(text, size, "%.40s-%c%c%c%c", d->decoder ? decoder_name(d->decoder) : "ble", e->address[12],
                   e->address[13], e->address[15], e->address[16]);
    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c += 'a' - 'A';
}

static int decode(struct hub *h, const struct heard *e, struct decoded *d)
{
    const struct advert_manufacturer manufacturer = {e->company, e->manufacturer, e->n_manufacturer};
    const struct advert_service service = {e->uuid, e->service, e->n_service};
    const struct sensor *s = hub_sensor(h, e->address);
    const struct advert advert = {.address = e->address,
                                  .random_address = e->random,
                                  .name = e->name[0] ? e->name : NULL,
                                  .rssi = ADVERT_POWER_NONE,
                                  .tx_power = ADVERT_POWER_NONE,
                                  .manufacturer = &manufacturer,
                                  .n_manufacturer = e->n_manufacturer > 0,
                                  .service = &service,
                                  .n_service = e->n_service > 0};

    return decoder_decode(h->set, DECODER_AUTO, &advert, s && s->has_key ? &s->key : NULL, NULL, hub_now(), d);
}

static void add_text(json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, json_object_new_string(text));
}

static void add_bytes(json_object *o, const struct heard *e)
{
    char text[2 * sizeof e->manufacturer + 64], bytes[2 * sizeof e->manufacturer + 1];

    if (e->n_manufacturer > 0) {
        hex(e->manufacturer, e->n_manufacturer, bytes);
        (void)snprintf(text, sizeof text, "%04x:%s", e->company, bytes);
        add_text(o, "manufacturer_data", text);
    }
    if (e->n_service > 0) {
        hex(e->service, e->n_service, bytes);
        (void)snprintf(text, sizeof text, "%s:%s", e->uuid, bytes);
        add_text(o, "service_data", text);
    }
}

static json_object *describe(struct hub *h, const struct heard *e)
{
    const struct sensor *s = hub_sensor(h, e->address);
    char values[VALUES_TEXT] = "", name[64];
    struct decoded *d = &h->decoded;
    json_object *o = json_object_new_object();
    int r = decode(h, e, d);

    for (size_t i = 0; r >= 0 && i < d->n_values; i++)
        add_value(values, &d->values[i]);
    suggest(e, d, name, sizeof name);
    add_text(o, "id", s ? s->id : name);
    add_text(o, "configured", s ? "yes" : "no");
    add_text(o, "address", e->address);
    if (e->rssi > INT16_MIN)
        json_object_object_add(o, "rssi", json_object_new_int(e->rssi));
    json_object_object_add(o, "age", json_object_new_int((int)((hub_now() - e->at) / SEC)));
    add_text(o, "format", r >= 0 && d->decoder ? decoder_name(d->decoder) : "unknown");
    if (values[0])
        add_text(o, "values", values);
    else if (r == DECODER_NEEDS_KEY)
        add_text(o, "values", "encrypted: needs its bind key");
    else if (r == DECODER_WRONG_KEY)
        add_text(o, "values", "encrypted: its bind key does not fit");
    else
        add_bytes(o, e);
    if (e->name[0])
        add_text(o, "name", e->name);
    add_text(o, "adapter", e->adapter);
    return o;
}

/* Those that a format knows first, and the nearest. */
static int compare(const void *a, const void *b)
{
    const struct heard *x = a, *y = b;

    return x->rssi == y->rssi ? strcmp(x->address, y->address) : x->rssi < y->rssi ? 1 : -1;
}

static void tell(struct hub *h, bool all, void (*found)(void *context, const char *object), void *context)
{
    qsort(h->heard, h->n_heard, sizeof *h->heard, compare);
    for (int known = 1; known >= 0; known--)
        for (size_t i = 0; i < h->n_heard; i++) {
            int r = decode(h, &h->heard[i], &h->decoded);
            bool is = r >= 0 && r != DECODER_NOT_MINE;
            json_object *o;

            if (is != (known == 1) || (!is && !all))
                continue;
            o = describe(h, &h->heard[i]);
            found(context, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
            json_object_put(o);
        }
}

static bool read_option(const char *key, json_object *value, unsigned *seconds, bool *all)
{
    int64_t number = json_object_get_int64(value);

    if (strcmp(key, "seconds") == 0 && number >= 1 && number <= SCAN_MAX)
        *seconds = (unsigned)number;
    else if (strcmp(key, "all") == 0 && json_object_is_type(value, json_type_boolean))
        *all = json_object_get_boolean(value);
    else
        return false;
    return true;
}

static int read_options(const char *text, unsigned *seconds, bool *all, char *error, size_t error_size)
{
    json_object *o = json_tokener_parse(text);
    int r = json_object_is_type(o, json_type_object) ? 0 : -EINVAL;

    if (r == 0) {
        json_object_object_foreach (o, key, value)
            r = read_option(key, value, seconds, all) ? r : -EINVAL;
    }
    json_object_put(o);
    if (r < 0)
        (void)snprintf(error, error_size, "expected seconds=1 to seconds=%d, and all=true or all=false", SCAN_MAX);
    return r;
}

int scan_run(struct hub *h, const char *options, void (*found)(void *context, const char *object), void *context,
             char *error, size_t error_size)
{
    unsigned seconds = SCAN_DEFAULT;
    bool all = true, never = false;
    int r = read_options(options, &seconds, &all, error, error_size);

    if (r < 0)
        return r;
    pthread_mutex_lock(&h->mutex);
    if (!h->heard)
        h->heard = calloc(HEARD_MAX, sizeof *h->heard);
    if (!h->heard)
        r = -ENOMEM;
    if (r >= 0) {
        h->scans++;
        h->objects_due = true; /* what BlueZ heard just now */
        hub_wake(h);
        (void)hub_wait(h, &never, seconds * SEC);
        if (!h->bluez) {
            (void)snprintf(error, error_size, "%s", h->problem[0] ? h->problem : "bluetoothd does not answer");
            r = -ENOTCONN;
        } else if (!h->adapters || !h->adapters->present) {
            (void)snprintf(error, error_size, "there is no Bluetooth adapter");
            r = -ENODEV;
        } else {
            tell(h, all, found, context);
        }
        if (--h->scans == 0) {
            free(h->heard);
            h->heard = NULL;
            h->n_heard = 0;
        }
    }
    pthread_mutex_unlock(&h->mutex);
    return r;
}
