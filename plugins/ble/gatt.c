/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Work over a connection: one step after the other. */
#include "hub.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool same_uuid(const char *a, const char *b)
{
    struct ble_uuid x, y;

    return uuid_parse(a, &x) >= 0 && uuid_parse(b, &y) >= 0 && uuid_equal(&x, &y);
}

static const char *service_uuid(const struct sensor *s, const char *path)
{
    for (size_t i = 0; i < s->n_services; i++)
        if (strcmp(s->services[i].path, path) == 0)
            return s->services[i].uuid;
    return "";
}

static struct characteristic *find(const struct sensor *s, const struct ble_point *p)
{
    for (size_t i = 0; i < s->n_characteristics; i++) {
        struct characteristic *c = &s->characteristics[i];

        if (same_uuid(c->uuid, p->characteristic) &&
            (!p->service || same_uuid(service_uuid(s, c->service), p->service)))
            return c;
    }
    return NULL;
}

/* ── What BlueZ has of it ── */

static bool of_this_adapter(const struct sensor *s, const char *path)
{
    size_t n = s->adapter ? strlen(s->adapter->path) : 0;

    return n > 0 && strncmp(path, s->adapter->path, n) == 0 && path[n] == '/' && strlen(path) < PATH_LENGTH;
}

static void add_service(struct sensor *s, const char *path, const char *uuid)
{
    struct service *more;

    if (service_uuid(s, path)[0] || s->n_services == CHARACTERISTICS_MAX || strlen(uuid) > 36)
        return;
    more = reallocarray(s->services, s->n_services + 1, sizeof *more);
    if (!more)
        return;
    s->services = more;
    (void)snprintf(more[s->n_services].path, PATH_LENGTH, "%s", path);
    (void)snprintf(more[s->n_services++].uuid, 37, "%s", uuid);
}

static void add_characteristic(struct sensor *s, const char *path, const struct properties *p)
{
    struct characteristic *more;

    for (size_t i = 0; i < s->n_characteristics; i++)
        if (strcmp(s->characteristics[i].path, path) == 0)
            return;
    if (s->n_characteristics == CHARACTERISTICS_MAX || strlen(p->uuid) > 36)
        return;
    more = reallocarray(s->characteristics, s->n_characteristics + 1, sizeof *more);
    if (!more)
        return;
    s->characteristics = more;
    more += s->n_characteristics++;
    *more = (struct characteristic){.notifying = false};
    (void)snprintf(more->path, sizeof more->path, "%s", path);
    (void)snprintf(more->uuid, sizeof more->uuid, "%s", p->uuid);
    (void)snprintf(more->service, sizeof more->service, "%s", p->service_path ?: "");
}

void gatt_object(struct sensor *s, const char *path, const char *interface, const struct properties *p)
{
    if (s->config->n_gatt == 0 || !of_this_adapter(s, path))
        return;
    if (strcmp(interface, BLUEZ_SERVICE) == 0 && p->uuid)
        add_service(s, path, p->uuid);
    if (strcmp(interface, BLUEZ_CHARACTERISTIC) != 0)
        return;
    if (p->uuid)
        add_characteristic(s, path, p);
    else if (p->value)
        gatt_value(s, path, p->value, p->n_value);
}

/* After an update of its firmware a sensor may say which services have changed: what is gone may come back elsewhere.
 */
void gatt_object_gone(struct sensor *s, const char *path)
{
    if (s->link == LINK_READY)
        s->refreshed = false;
    for (size_t i = 0; i < s->n_characteristics; i++)
        if (strcmp(s->characteristics[i].path, path) == 0)
            s->characteristics[i--] = s->characteristics[--s->n_characteristics];
    for (size_t i = 0; i < s->n_services; i++)
        if (strcmp(s->services[i].path, path) == 0)
            s->services[i--] = s->services[--s->n_services];
}

void gatt_forget(struct sensor *s)
{
    free(s->characteristics);
    free(s->services);
    s->characteristics = NULL;
    s->services = NULL;
    s->n_characteristics = s->n_services = 0;
}

bool gatt_complete(const struct sensor *s, const char **ret_missing)
{
    for (size_t i = 0; i < s->config->n_points; i++) {
        const struct ble_point *p = &s->config->points[i];

        if (p->gatt && !find(s, p)) {
            *ret_missing = p->characteristic;
            return false;
        }
    }
    return true;
}

/* ── Values ── */

static int decode_known(struct sensor *s, const struct ble_point *p, const uint8_t *bytes, size_t n, struct decoded *d)
{
    const char *format = decoder_has_characteristic(s->hub->set, s->config->format, p->characteristic, NULL)
                             ? s->config->format
                             : DECODER_AUTO;

    return decoder_decode_characteristic(s->hub->set, format, p->characteristic, bytes, n, d);
}

static bool decode(struct sensor *s, const struct ble_point *p, const uint8_t *bytes, size_t n, struct decoded *d)
{
    struct gatehouse_value value;

    if (!p->has_type)
        return decode_known(s, p, bytes, n, d) == DECODED && d->n_values > 0;
    memset(d, 0, offsetof(struct decoded, values));
    if (field_decode(&p->field, bytes, n, d->text, &value) != FIELD_VALUE)
        return false;
    d->n_values = 1;
    d->values[0] =
        (struct decoded_value){.value = value, .unit = p->field.unit[0] ? p->field.unit : NULL, .event = true};
    if (value.type == GATEHOUSE_STRING)
        d->values[0].value.s = d->text;
    return true;
}

/* Which of the characteristic's values the point is. */
static struct decoded_value *pick(struct decoded *d, const struct ble_point *p)
{
    for (size_t i = 0; i < d->n_values; i++)
        if (strcmp(d->values[i].name, p->value) == 0)
            return &d->values[i];
    return d->n_values == 1 ? &d->values[0] : NULL;
}

static bool take(struct sensor *s, const struct ble_point *p, const uint8_t *bytes, size_t n)
{
    struct decoded *d = &s->hub->decoded;
    struct decoded_value *v = decode(s, p, bytes, n, d) ? pick(d, p) : NULL;

    if (!v)
        return false;
    d->values[0] = *v;
    d->n_values = 1;
    sensor_values(s, d, p);
    stale_over(&s->odd);
    s->link_problem[0] = 0;
    s->backoff = CONNECT_RETRY_MIN;
    return true;
}

/* No answer that the characteristic gives: it may be in another place. Whether the connection was ended for it. */
static bool odd_answer(struct sensor *s, const char *why)
{
    if (!stale_answer(&s->odd, hub_now()))
        return false;
    s->forget = true;
    link_failed(s, why);
    return true;
}

/* A value of the type that means none is none of these. */
static bool too_short(struct sensor *s, const struct ble_point *p, const uint8_t *bytes, size_t n)
{
    struct decoded *d = &s->hub->decoded;
    struct gatehouse_value value;

    return p->has_type ? field_decode(&p->field, bytes, n, d->text, &value) == FIELD_TRUNCATED
                       : decode_known(s, p, bytes, n, d) == DECODER_TRUNCATED;
}

static bool odd_bytes(struct sensor *s, const struct ble_point *p, const uint8_t *bytes, size_t n)
{
    char why[REASON_MAX];

    (void)snprintf(why, sizeof why, "%s: its bytes are no value of this type", p->name);
    return too_short(s, p, bytes, n) && odd_answer(s, why);
}

void gatt_value(struct sensor *s, const char *path, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < s->config->n_points; i++) {
        const struct ble_point *p = &s->config->points[i];
        const struct characteristic *c = p->gatt && p->notify ? find(s, p) : NULL;

        if (c && c->notifying && strcmp(c->path, path) == 0 && !take(s, p, bytes, n) && odd_bytes(s, p, bytes, n))
            return;
    }
}

static int put_number(const struct field *f, double number, uint8_t *bytes, size_t *ret_n)
{
    double scale = f->scaled ? f->scale / (f->scale_by != 0 ? f->scale_by : 1) : 1;
    double raw = rint((number - (f->scaled ? f->offset : 0)) / scale);
    unsigned bits = 8 * f->place.size;
    bool sign = f->place.kind == FIELD_SIGNED;
    uint64_t out;

    if (!isfinite(raw) || raw < (sign ? -ldexp(1, (int)bits - 1) : 0) || raw >= ldexp(1, (int)(sign ? bits - 1 : bits)))
        return -ERANGE;
    out = raw < 0 ? (uint64_t)(int64_t)raw : (uint64_t)raw;
    for (unsigned i = 0; i < f->place.size; i++)
        bytes[f->place.big ? f->place.size - 1 - i : i] = (uint8_t)(out >> (8 * i));
    *ret_n = f->place.size;
    return 0;
}

static int put_float(const struct field *f, double number, uint8_t *bytes, size_t *ret_n)
{
    float small = (float)number;
    uint64_t out = 0;
    uint32_t half;

    if (f->place.size == 4) {
        memcpy(&half, &small, sizeof half);
        out = half;
    } else {
        memcpy(&out, &number, sizeof out);
    }
    for (unsigned i = 0; i < f->place.size; i++)
        bytes[f->place.big ? f->place.size - 1 - i : i] = (uint8_t)(out >> (8 * i));
    *ret_n = f->place.size;
    return 0;
}

static bool number_of(const struct gatehouse_value *v, double *ret)
{
    switch (v->type) {
    case GATEHOUSE_BOOL:
        *ret = v->b;
        return true;
    case GATEHOUSE_INT:
        *ret = (double)v->x;
        return true;
    case GATEHOUSE_UINT:
        *ret = (double)v->t;
        return true;
    case GATEHOUSE_DOUBLE:
        *ret = v->d;
        return true;
    case GATEHOUSE_STRING:
        break;
    }
    return false;
}

int gatt_encode(const struct ble_point *p, const struct gatehouse_value *v, uint8_t *bytes, size_t *ret_n)
{
    double number;

    if (!p->has_type)
        return -EINVAL;
    switch (p->field.place.kind) {
    case FIELD_UNSIGNED:
    case FIELD_SIGNED:
        return number_of(v, &number) ? put_number(&p->field, number, bytes, ret_n) : -EINVAL;
    case FIELD_FLOAT:
        return number_of(v, &number) ? put_float(&p->field, number, bytes, ret_n) : -EINVAL;
    case FIELD_BOOL:
        if (!number_of(v, &number) || (number != 0 && number != 1))
            return -EINVAL;
        bytes[0] = (uint8_t)number;
        *ret_n = 1;
        return 0;
    case FIELD_TEXT:
        if (v->type != GATEHOUSE_STRING)
            return -EINVAL;
        *ret_n = strlen(v->s);
        memcpy(bytes, v->s, *ret_n);
        return 0;
    case FIELD_HEX:
        if (v->type != GATEHOUSE_STRING)
            return -EINVAL;
        return bytes_from_hex(v->s, bytes, CHARACTERISTIC_BYTES_MAX, ret_n);
    case FIELD_SIGN_MAGNITUDE:
    case FIELD_MEDICAL:
    case FIELD_VERSION:
        break;
    }
    return -EINVAL;
}

/* ── Steps ── */

static void answer(struct sensor *s, int r, const char *why)
{
    struct ask *ask = s->ask;

    if (!ask)
        return;
    s->ask = NULL;
    ask->r = r;
    (void)snprintf(ask->error, sizeof ask->error, "%s", why);
    ask->done = true;
    pthread_cond_broadcast(&s->hub->cond);
}

/* The bytes of an answered ReadValue. */
static const uint8_t *read_reply(sd_bus_message *m, size_t *ret_n)
{
    const void *bytes = NULL;

    *ret_n = 0;
    return sd_bus_message_read_array(m, 'y', &bytes, ret_n) < 0 ? NULL : bytes ?: (const void *)"";
}

static void copy_value(struct sensor *s, const struct gatehouse_value *from, struct gatehouse_value *to)
{
    *to = *from;
    if (from->type != GATEHOUSE_STRING)
        return;
    (void)snprintf(s->text, sizeof s->text, "%s", from->s);
    to->s = s->text;
}

static void answer_read(struct sensor *s, const uint8_t *bytes, size_t n)
{
    struct decoded *d = &s->hub->decoded;
    const struct ble_point *p = s->ask->point;
    const struct decoded_value *v = bytes && decode(s, p, bytes, n, d) ? pick(d, p) : NULL;

    if (!v) {
        answer(s, -EBADMSG, "the sensor's bytes are no value of this type");
        return;
    }
    copy_value(s, &v->value, &s->ask->value);
    (void)take(s, p, bytes, n);
    answer(s, 0, "");
}

/* An answer of BlueZ's that is an error. Whether it was dealt with: the characteristic went meanwhile, or moved. */
static bool moved(struct sensor *s, const struct ble_point *p, const char *text, const char *why)
{
    if (!find(s, p)) {
        gatt_tick(s, hub_now());
        return true;
    }
    return stale_error(text) && odd_answer(s, why);
}

static int on_asked(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct sensor *s = userdata;
    char text[REASON_MAX];
    const uint8_t *bytes;
    size_t n;

    (void)error;
    s->step = sd_bus_slot_unref(s->step);
    if (!s->ask || !s->ask->sent)
        return 0; /* nobody waits any more */
    if (sd_bus_message_is_method_error(m, NULL)) {
        const struct ble_point *p = s->ask->point;

        answer(s, -EIO, bluez_error(m, text, sizeof text));
        if (moved(s, p, text, text))
            return 0;
    } else if (s->ask->write)
        answer(s, 0, "");
    else {
        bytes = read_reply(m, &n);
        answer_read(s, bytes, n);
    }
    gatt_tick(s, hub_now());
    return 0;
}

/* With the bytes, if it is a write, and no options but that an answer is wanted. */
static int call_value(struct sensor *s, const struct characteristic *c, const struct ask *ask,
                      sd_bus_message_handler_t done)
{
    sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_call(s->hub->bus, &m, BLUEZ, c->path, BLUEZ_CHARACTERISTIC,
                                           ask && ask->write ? "WriteValue" : "ReadValue");

    if (r >= 0 && ask && ask->write)
        r = sd_bus_message_append_array(m, 'y', ask->bytes, ask->n);
    if (r >= 0)
        r = ask && ask->write ? sd_bus_message_append(m, "a{sv}", 1, "type", "s", "request")
                              : sd_bus_message_append(m, "a{sv}", 0);
    if (r >= 0)
        r = sd_bus_call_async(s->hub->bus, &s->step, m, done, s, CALL_TIMEOUT);
    sd_bus_message_unref(m);
    return r;
}

static bool step_ask(struct sensor *s)
{
    const struct characteristic *c = s->ask ? find(s, s->ask->point) : NULL;

    if (!s->ask || s->ask->sent)
        return false;
    if (!c) {
        answer(s, -ENOENT, "the sensor has no such characteristic");
        return false;
    }
    s->ask->sent = true;
    if (call_value(s, c, s->ask, on_asked) >= 0)
        return true;
    answer(s, -EIO, "bluetoothd cannot be asked");
    return false;
}

static int on_notifying(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct sensor *s = userdata;
    char text[REASON_MAX / 2], why[REASON_MAX];

    (void)error;
    s->step = sd_bus_slot_unref(s->step);
    if (sd_bus_message_is_method_error(m, NULL) && strncmp(bluez_error(m, text, sizeof text), "InProgress", 10) != 0) {
        (void)snprintf(why, sizeof why, "cannot be notified of %s: %s", s->config->points[s->turn].name, text);
        if (!moved(s, &s->config->points[s->turn], text, why))
            link_failed(s, why);
        return 0;
    }
    gatt_tick(s, hub_now());
    return 0;
}

static bool step_notify(struct sensor *s)
{
    for (size_t i = 0; i < s->config->n_points; i++) {
        const struct ble_point *p = &s->config->points[i];
        struct characteristic *c = p->gatt && p->notify ? find(s, p) : NULL;

        if (!c || c->notifying)
            continue;
        c->notifying = true;
        s->turn = i;
        return bluez_call(s->hub, &s->step, c->path, BLUEZ_CHARACTERISTIC, "StartNotify", CALL_TIMEOUT, on_notifying, s,
                          NULL) >= 0;
    }
    return false;
}

static int on_read(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct sensor *s = userdata;
    const struct ble_point *p = &s->config->points[s->turn];
    char text[REASON_MAX / 2], why[REASON_MAX];
    const uint8_t *bytes;
    size_t n;

    (void)error;
    s->step = sd_bus_slot_unref(s->step);
    if (sd_bus_message_is_method_error(m, NULL)) {
        (void)snprintf(why, sizeof why, "cannot read %s: %s", p->name, bluez_error(m, text, sizeof text));
        if (!moved(s, p, text, why))
            link_failed(s, why);
        return 0;
    }
    bytes = read_reply(m, &n);
    if (!bytes || !take(s, p, bytes, n)) {
        (void)snprintf(s->link_problem, sizeof s->link_problem, "%s: its bytes are no value of this type", p->name);
        if (bytes && odd_bytes(s, p, bytes, n))
            return 0;
    }
    gatt_tick(s, hub_now());
    return 0;
}

static bool step_read(struct sensor *s, uint64_t now)
{
    for (size_t i = 0; i < s->config->n_points; i++) {
        const struct ble_point *p = &s->config->points[i];
        const struct characteristic *c = p->gatt && p->read > 0 && s->next_read[i] <= now ? find(s, p) : NULL;

        if (!c)
            continue;
        s->next_read[i] = now + p->read;
        s->turn = i;
        return call_value(s, c, NULL, on_read) >= 0;
    }
    return false;
}

/* BlueZ says that services are resolved before it has shown them all: they are asked for once more, and waited for. */
static bool is_complete(struct sensor *s, uint64_t now)
{
    char why[REASON_MAX];
    const char *missing;

    if (gatt_complete(s, &missing)) {
        s->stale = 0;
        return true;
    }
    if (!s->refreshed) {
        s->refreshed = s->hub->objects_due = true;
        s->deadline = now + RESOLVE_TIMEOUT / 3;
    } else if (now > s->deadline) {
        s->stale++;
        (void)snprintf(why, sizeof why, "the sensor has no characteristic %s", missing);
        answer(s, -ENOENT, why);
        link_failed(s, why);
    }
    return false;
}

void gatt_begin(struct sensor *s)
{
    for (size_t i = 0; i < s->n_characteristics; i++)
        s->characteristics[i].notifying = false;
    s->refreshed = false;
    gatt_tick(s, hub_now());
}

void gatt_tick(struct sensor *s, uint64_t now)
{
    if (s->link != LINK_READY || s->step || !is_complete(s, now))
        return;
    if (!step_ask(s) && !step_notify(s))
        (void)step_read(s, now);
}
