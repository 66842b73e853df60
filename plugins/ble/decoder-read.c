/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A decoder file's keys. */

#include "decoder-internal.h"
#include "field-read.h"

#include <stdlib.h>
#include <string.h>

#define ELEMENTSOF(array) (sizeof(array) / sizeof(array)[0])

struct decoder *decoder_free(struct decoder *d)
{
    if (!d)
        return NULL;
    object_done(&d->plain);
    for (size_t i = 0; i < d->n_objects; i++)
        object_done(&d->objects[i]);
    for (size_t i = 0; i < d->n_characteristics; i++)
        object_done(&d->characteristics[i]);
    for (size_t i = 0; i < d->match.n_names; i++)
        free(d->match.names[i]);
    free(d->match.when);
    free(d->objects);
    free(d->characteristics);
    free(d->name);
    free(d->path);
    free(d->title);
    free(d);
    return NULL;
}

/* --- match --- */

/* One value or a list of them: how many, 0 after a complaint. */
static size_t list_length(struct reading *r, json_object *o, const char *key, size_t max)
{
    json_object *value = json_object_object_get(o, key);
    size_t n = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 1;

    if (n >= 1 && n <= max)
        return n;
    reading_complain(r, key, "expected 1 to %zu", max);
    return 0;
}

static json_object *list_item(json_object *o, const char *key, size_t i)
{
    json_object *value = json_object_object_get(o, key);

    return json_object_is_type(value, json_type_array) ? json_object_array_get_idx(value, i) : value;
}

static void read_companies(struct reading *r, json_object *o, struct match *m)
{
    const char *text = json_object_get_string(json_object_object_get(o, "company"));
    size_t n = list_length(r, o, "company", MATCH_COMPANIES_MAX);

    m->source = SOURCE_MANUFACTURER;
    if (text && strcmp(text, "value") == 0) {
        m->source = SOURCE_COMPANY_IS_DATA;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t company;
        if (!reading_raw(list_item(o, "company", i), &company) || company < 0 || company > UINT16_MAX) {
            reading_complain(r, "company", "expected a company id such as \"0x0499\", a list of them, or \"value\"");
            return;
        }
        m->companies[m->n_companies++] = (uint16_t)company;
    }
}

static bool read_uuid(struct reading *r, json_object *o, const char *key, struct ble_uuid *ret)
{
    const char *text;

    if (!reading_text(r, o, key, &text))
        return false;
    return uuid_parse(text, ret) == 0 || reading_complain(r, key, "expected a UUID such as \"fcd2\"");
}

static void read_service(struct reading *r, json_object *o, struct match *m)
{
    struct ble_uuid base;

    if (m->source != SOURCE_NONE)
        reading_complain(r, "service", "there is \"company\" already: the values are in one of the two");
    m->source = SOURCE_SERVICE;
    if (!read_uuid(r, o, "service", &m->service))
        return;
    uint16_t low = (uint16_t)(m->service.bytes[2] << 8 | m->service.bytes[3]);
    (void)uuid_parse("0000", &base);
    base.bytes[2] = m->service.bytes[2];
    base.bytes[3] = m->service.bytes[3];
    m->short_service = uuid_equal(&base, &m->service) ? low : 0;
}

static void read_match_names(struct reading *r, json_object *o, struct match *m)
{
    size_t n = list_length(r, o, "name", MATCH_NAMES_MAX);

    for (size_t i = 0; i < n; i++) {
        json_object *name = list_item(o, "name", i);
        if (!json_object_is_type(name, json_type_string) || json_object_get_string_len(name) < 1) {
            reading_complain(r, "name", "expected the beginning of a name, or a list of them");
            return;
        }
        m->names[m->n_names] = strdup(json_object_get_string(name));
        if (!m->names[m->n_names]) {
            reading_complain(r, "name", "out of memory");
            return;
        }
        m->n_names++;
    }
}

/* "length": BYTES, or [LEAST, MOST] */
static void read_length(struct reading *r, json_object *o, struct match *m)
{
    int64_t least = -1, most = -1;
    size_t n = list_length(r, o, "length", 2);

    if (n == 0 || !reading_raw(list_item(o, "length", 0), &least) ||
        !reading_raw(list_item(o, "length", n - 1), &most) || least < 0 || most < least || most > ADVERT_PAYLOAD_MAX) {
        reading_complain(r, "length", "expected a number of bytes, or [least, most], at most %d", ADVERT_PAYLOAD_MAX);
        return;
    }
    m->length_min = (size_t)least;
    m->length_max = (size_t)most;
}

/* "bytes": {"OFFSET": "HEX"} */
static void read_match_bytes(struct reading *r, json_object *o, struct match *m)
{
    json_object *table;

    if (!reading_get(r, o, "bytes", json_type_object, &table))
        return;
    size_t before = reading_enter(r, "bytes");
    if (json_object_object_length(table) > MATCH_BYTES_MAX)
        reading_complain(r, NULL, "at most %d", MATCH_BYTES_MAX);
    json_object_object_foreach (table, key, value) {
        struct match_bytes *b = &m->bytes[m->n_bytes];
        char *end;
        if (m->n_bytes == MATCH_BYTES_MAX)
            break;
        unsigned long at = strtoul(key, &end, 10);
        if (end == key || *end || at > ADVERT_PAYLOAD_MAX)
            reading_complain(r, key, "expected an offset as the key, such as \"0\"");
        else if (!json_object_is_type(value, json_type_string) ||
                 bytes_from_hex(json_object_get_string(value), b->bytes, sizeof b->bytes, &b->n) < 0 || b->n == 0)
            reading_complain(r, key, "expected 1 to %zu bytes in hexadecimal", sizeof b->bytes);
        b->at = (unsigned)at;
        m->n_bytes++;
    }
    reading_leave(r, before);
}

static void read_match(struct reading *r, json_object *root, struct match *m)
{
    static const char *const known[] = {"company", "service", "advertises", "name",
                                        "length",  "bytes",   "when",       "comment"};
    json_object *o;

    m->length_max = ADVERT_PAYLOAD_MAX;
    if (!reading_get(r, root, "match", json_type_object, &o))
        return;
    size_t before = reading_enter(r, "match");
    reading_known(r, o, known, ELEMENTSOF(known));
    if (json_object_object_get_ex(o, "company", NULL))
        read_companies(r, o, m);
    if (json_object_object_get_ex(o, "service", NULL))
        read_service(r, o, m);
    if (m->source == SOURCE_NONE)
        reading_complain(r, NULL, "expected \"company\" or \"service\": where the values are");
    m->has_advertised = read_uuid(r, o, "advertises", &m->advertised);
    if (json_object_object_get_ex(o, "name", NULL))
        read_match_names(r, o, m);
    if (json_object_object_get_ex(o, "length", NULL))
        read_length(r, o, m);
    read_match_bytes(r, o, m);
    (void)field_conditions_read(r, o, "when", &m->when, &m->n_when);
    if (m->source == SOURCE_COMPANY_IS_DATA && m->n_names == 0 && !m->has_advertised)
        reading_complain(r, "company",
                         "\"value\" matches every company: expected \"name\" or \"advertises\" beside it");
    reading_leave(r, before);
}

/* --- the rest --- */

/* "walk": {"from": 0, "tag": "uint8", "order": "little", "length": "uint8"} */
static void read_walk(struct reading *r, json_object *root, struct walk *w)
{
    static const char *const known[] = {"from", "tag", "order", "length", "comment"};
    const char *tag = "uint8", *length = "none";
    int64_t from = 0;
    json_object *o;

    if (!reading_get(r, root, "walk", json_type_object, &o))
        return;
    size_t before = reading_enter(r, "walk");
    reading_known(r, o, known, ELEMENTSOF(known));
    (void)reading_whole(r, o, "from", 0, ADVERT_PAYLOAD_MAX, &from);
    (void)reading_text(r, o, "tag", &tag);
    (void)reading_text(r, o, "length", &length);
    (void)field_order_read(r, o, "order", &w->tag_big);
    if (strcmp(tag, "uint8") != 0 && strcmp(tag, "uint16") != 0)
        reading_complain(r, "tag", "expected \"uint8\" or \"uint16\"");
    if (strcmp(length, "none") != 0 && strcmp(length, "uint8") != 0)
        reading_complain(r, "length", "expected \"uint8\" or \"none\"");
    w->used = true;
    w->from = (unsigned)from;
    w->tag_size = strcmp(tag, "uint16") == 0 ? 2 : 1;
    w->has_length = strcmp(length, "uint8") == 0;
    reading_leave(r, before);
    if (!json_object_object_get_ex(root, "objects", NULL))
        reading_complain(r, "objects", "missing: what the walk meets");
}

static void read_fields(struct reading *r, json_object *root, struct decoder *d)
{
    json_object *list;

    if (reading_get(r, root, "fields", json_type_array, &list)) {
        size_t before = reading_enter(r, "fields");
        (void)object_read_fields(r, list, &d->plain);
        reading_leave(r, before);
    }
    read_walk(r, root, &d->walk);
    if (!d->walk.used && json_object_object_get_ex(root, "objects", NULL))
        reading_complain(r, "objects", "expected \"walk\" beside it");
    (void)objects_read(r, root, "objects", false, d->walk.has_length, &d->objects, &d->n_objects);
    (void)objects_read(r, root, "characteristics", true, true, &d->characteristics, &d->n_characteristics);
}

static void read_cipher(struct reading *r, json_object *root, struct decoder *d)
{
    const char *name;

    if (!reading_text(r, root, "decrypt", &name))
        return;
    if (!cipher_find(name, &d->cipher))
        reading_complain(r, "decrypt", "expected bthome, mibeacon, pvvx or victron");
    if (d->cipher == CIPHER_PVVX && d->match.short_service == 0)
        reading_complain(r, "decrypt", "pvvx needs \"service\" with a UUID of 16 bits");
}

/* Checks that keys which belong together are there. */
static void check_whole(struct reading *r, const struct decoder *d)
{
    bool decodes = d->plain.n_fields > 0 || d->walk.used;

    if (r->failed)
        return;
    if (d->match.source == SOURCE_NONE && (decodes || d->n_characteristics == 0))
        reading_complain(r, "match", "missing: which advertisements are these");
    else if (d->match.source != SOURCE_NONE && !decodes)
        reading_complain(r, "fields", "missing: neither \"fields\" nor \"walk\" is there");
    if (d->match.source == SOURCE_NONE && d->cipher != CIPHER_NONE)
        reading_complain(r, "decrypt", "only advertisements are decrypted");
}

struct decoder *decoder_read(struct reading *r, const char *name, json_object *root)
{
    static const char *const known[] = {"title",  "source", "comment", "active_scan",     "match",   "decrypt",
                                        "fields", "walk",   "objects", "characteristics", "vectors", "$schema"};
    struct decoder *d = calloc(1, sizeof *d);
    const char *title = name, *text;

    if (!d) {
        reading_complain(r, NULL, "out of memory");
        return NULL;
    }
    reading_known(r, root, known, ELEMENTSOF(known));
    (void)reading_text(r, root, "title", &title);
    (void)reading_text(r, root, "source", &text);
    (void)reading_bool(r, root, "active_scan", &d->active_scan);
    read_match(r, root, &d->match);
    read_cipher(r, root, d);
    read_fields(r, root, d);
    check_whole(r, d);
    d->name = strdup(name);
    d->path = strdup(r->path);
    d->title = strdup(title);
    if (!r->failed && (!d->name || !d->path || !d->title))
        reading_complain(r, NULL, "out of memory");
    return r->failed ? decoder_free(d) : d;
}
