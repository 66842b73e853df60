/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading lists of fields, and tables of objects and characteristics. */

#include "decoder-internal.h"
#include "field-read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENTSOF(array) (sizeof(array) / sizeof(array)[0])

void object_done(struct object *o)
{
    for (size_t i = 0; i < o->n_fields; i++)
        field_done(&o->fields[i]);
    free(o->fields);
    memset(o, 0, sizeof *o);
}

bool object_read_fields(struct reading *r, json_object *list, struct object *ret)
{
    size_t n = json_object_array_length(list);

    if (n < 1 || n > FIELDS_MAX)
        return reading_complain(r, NULL, "expected 1 to %d fields", FIELDS_MAX);
    ret->fields = calloc(n, sizeof *ret->fields);
    if (!ret->fields)
        return reading_complain(r, NULL, "out of memory");
    ret->n_fields = n;
    for (size_t i = 0; i < n; i++) {
        json_object *field = json_object_array_get_idx(list, i);
        size_t before = reading_enter_index(r, i);
        if (json_object_is_type(field, json_type_object))
            (void)field_read(r, field, &ret->fields[i]);
        else
            reading_complain(r, NULL, "expected an object");
        reading_leave(r, before);
    }
    return !r->failed;
}

/* The whole object is one field. */
static bool read_single(struct reading *r, json_object *o, struct object *ret)
{
    ret->fields = calloc(1, sizeof *ret->fields);
    if (!ret->fields)
        return reading_complain(r, NULL, "out of memory");
    ret->n_fields = 1;
    return field_read(r, o, &ret->fields[0]);
}

/* Where no length is told by the bytes, by a single field's type or by "length", a byte with it comes first. */
static bool read_object(struct reading *r, json_object *o, bool has_length, struct object *ret)
{
    static const char *const known[] = {"fields", "length", "prefixed", "more", "comment"};
    json_object *list;
    int64_t length = 0, more = 0;
    bool prefixed = has_length;

    if (!json_object_object_get_ex(o, "fields", NULL)) {
        if (!read_single(r, o, ret))
            return false;
        const struct field_place *place = &ret->fields[0].place;
        if (place->at < 0)
            return has_length ? true : reading_complain(r, "at", "an object of one field begins with it");
        ret->length = place->size ? place->at + (int)place->size : -1;
        return true;
    }
    reading_known(r, o, known, ELEMENTSOF(known));
    if (!reading_get(r, o, "fields", json_type_array, &list))
        return false;
    size_t before = reading_enter(r, "fields");
    (void)object_read_fields(r, list, ret);
    reading_leave(r, before);
    (void)reading_bool(r, o, "prefixed", &prefixed);
    (void)reading_whole(r, o, "more", 0, ADVERT_PAYLOAD_MAX, &more);
    if (!reading_whole(r, o, "length", 1, CHARACTERISTIC_BYTES_MAX, &length) && !prefixed && !r->failed)
        return reading_complain(r, "length", "missing: how many bytes the object has");
    ret->length = prefixed && !has_length ? -1 : (int)length;
    ret->more = (unsigned)more;
    return !r->failed;
}

static bool read_key(struct reading *r, const char *key, bool characteristics, struct object *ret)
{
    int64_t id = -1;
    bool good = characteristics ? uuid_parse(key, &ret->uuid) == 0
                                : reading_key(key, &id) && id >= 0 && id <= (int64_t)UINT32_MAX;

    ret->id = (uint32_t)id;
    return good || reading_complain(r, NULL,
                                    characteristics ? "the key is no UUID, such as \"2a6e\""
                                                    : "the key is no tag, such as \"0x02\"");
}

static bool is_twice(const struct object *objects, size_t n, bool characteristics)
{
    for (size_t i = 0; i < n; i++)
        if (characteristics ? uuid_equal(&objects[i].uuid, &objects[n].uuid) : objects[i].id == objects[n].id)
            return true;
    return false;
}

bool objects_read(struct reading *r, json_object *o, const char *key, bool characteristics, bool has_length,
                  struct object **ret, size_t *ret_n)
{
    json_object *table;

    if (!reading_get(r, o, key, json_type_object, &table))
        return !r->failed;
    size_t n = (size_t)json_object_object_length(table), i = 0, outer = reading_enter(r, key);
    if (n < 1 || n > OBJECTS_MAX) {
        reading_complain(r, NULL, "expected 1 to %d members", OBJECTS_MAX);
        reading_leave(r, outer);
        return false;
    }
    *ret = calloc(n, sizeof **ret);
    *ret_n = *ret ? n : 0;
    if (!*ret)
        reading_complain(r, NULL, "out of memory");
    json_object_object_foreach (table, id, object) {
        size_t before = reading_enter(r, id);
        if (i < *ret_n && !json_object_is_type(object, json_type_object))
            reading_complain(r, NULL, "expected an object");
        else if (i < *ret_n && read_key(r, id, characteristics, &(*ret)[i]))
            (void)(is_twice(*ret, i, characteristics) ? reading_complain(r, NULL, "is there already")
                                                      : read_object(r, object, has_length, &(*ret)[i]));
        reading_leave(r, before);
        i++;
    }
    reading_leave(r, outer);
    return !r->failed;
}
