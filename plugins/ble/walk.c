/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From bytes to values: fields at fixed places, and objects behind one another, each with its tag. */

#include "decoder-internal.h"

#include <stdio.h>
#include <string.h>

/* Of an object that has no value now: it takes part in the numbering until all objects are read. */
#define ABSENT ((enum gatehouse_type)0)

static unsigned count_of(const struct decoded *d, const char *name)
{
    unsigned n = 0;

    for (size_t i = 0; i < d->n_values; i++)
        n += strcmp(d->values[i].field, name) == 0;
    return n;
}

/* A text is kept with the values. Without room there is no value. */
static bool keep_text(struct decoded *d, struct gatehouse_value *value)
{
    size_t size;

    if (value->type != GATEHOUSE_STRING)
        return true;
    size = strlen(value->s) + 1;
    if (size > sizeof d->text - d->n_text)
        return false;
    value->s = memcpy(d->text + d->n_text, value->s, size);
    d->n_text += size;
    return true;
}

static void add_value(struct decoded *d, const struct field *f, struct gatehouse_value value, unsigned which)
{
    struct decoded_value *v = &d->values[d->n_values];

    if (d->n_values == DECODED_VALUES_MAX || !keep_text(d, &value))
        return;
    if (which == 1)
        (void)snprintf(v->name, sizeof v->name, "%s", f->name);
    else
        (void)snprintf(v->name, sizeof v->name, "%s_%u", f->name, which);
    v->field = f->name;
    v->value = value;
    v->unit = f->unit[0] ? f->unit : NULL;
    v->event = f->event;
    d->n_values++;
}

static enum field_result take_sequence(const struct field *f, const uint8_t *bytes, size_t n, struct decoded *d)
{
    int64_t raw;
    enum field_result r = field_raw(f, bytes, n, &raw);

    if (r == FIELD_VALUE) {
        d->has_sequence = true;
        d->sequence = (uint32_t)raw;
    }
    return r;
}

enum decoder_result object_values(const struct object *o, const uint8_t *bytes, size_t n, struct decoded *ret)
{
    enum decoder_result result = DECODED;

    for (size_t i = 0; i < o->n_fields; i++) {
        const struct field *f = &o->fields[i];
        char text[FIELD_TEXT_MAX + 1];
        struct gatehouse_value value;
        enum field_result r = f->sequence ? take_sequence(f, bytes, n, ret) : field_decode(f, bytes, n, text, &value);

        if (r == FIELD_VALUE && !f->sequence)
            add_value(ret, f, value, count_of(ret, f->name) + 1);
        if (r == FIELD_TRUNCATED)
            result = DECODER_TRUNCATED;
    }
    return result;
}

/* --- tagged objects --- */

/* Of two buttons the second one keeps its number when only it was pressed. */
static void add_absent(const struct object *o, size_t before, struct decoded *d)
{
    for (size_t i = 0; i < o->n_fields; i++) {
        bool there = o->fields[i].sequence;
        for (size_t k = before; k < d->n_values && !there; k++)
            there = strcmp(d->values[k].field, o->fields[i].name) == 0;
        if (!there)
            add_value(d, &o->fields[i], (struct gatehouse_value){.type = ABSENT}, 1);
    }
}

static void drop_absent(struct decoded *d)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->n_values; i++)
        if (d->values[i].value.type != ABSENT)
            d->values[kept++] = d->values[i];
    d->n_values = kept;
}

static enum decoder_result tagged_values(const struct object *o, const uint8_t *bytes, size_t n, struct decoded *ret)
{
    size_t before = ret->n_values;
    enum decoder_result r = object_values(o, bytes, n, ret);

    add_absent(o, before, ret);
    return r;
}

static uint32_t tag_at(const struct walk *w, const uint8_t *p)
{
    uint32_t tag = 0;

    for (unsigned i = 0; i < w->tag_size; i++)
        tag = tag << 8 | p[w->tag_big ? i : w->tag_size - 1 - i];
    return tag;
}

static const struct object *object_of(const struct decoder *d, uint32_t tag)
{
    for (size_t i = 0; i < d->n_objects; i++)
        if (d->objects[i].id == tag)
            return &d->objects[i];
    return NULL;
}

static enum decoder_result stop(struct decoded *d, uint32_t tag)
{
    d->unknown = tag;
    return DECODER_STOPPED;
}

/* Unknown objects are passed over where their length is known, and end the walk where it is not. */
static enum decoder_result walk_objects(const struct decoder *d, const uint8_t *body, size_t n, struct decoded *ret)
{
    const struct walk *w = &d->walk;
    enum decoder_result result = DECODED;

    for (size_t at = w->from; at < n;) {
        if (n - at < w->tag_size)
            return DECODER_TRUNCATED;
        uint32_t tag = tag_at(w, body + at);
        const struct object *o = object_of(d, tag);
        at += w->tag_size;
        if (!o && !w->has_length)
            return stop(ret, tag);
        bool prefixed = w->has_length || o->length < 0;
        if (prefixed && at == n)
            return DECODER_TRUNCATED;
        size_t length = (prefixed ? body[at++] : (size_t)o->length) + (o ? o->more : 0);
        if (length > n - at)
            return DECODER_TRUNCATED;
        enum decoder_result one = o ? tagged_values(o, body + at, length, ret) : DECODED;
        if (result == DECODED || one == DECODER_TRUNCATED)
            result = one;
        at += length;
    }
    return n < w->from ? DECODER_TRUNCATED : result;
}

enum decoder_result decoder_values(const struct decoder *d, const uint8_t *body, size_t n, struct decoded *ret)
{
    enum decoder_result fixed = object_values(&d->plain, body, n, ret);

    /* Shorter bytes are another format's. */
    if (fixed == DECODER_TRUNCATED)
        ret->n_values = 0;
    if (fixed != DECODED || !d->walk.used)
        return fixed;
    fixed = walk_objects(d, body, n, ret);
    drop_absent(ret);
    return fixed;
}

/* --- what can be expected --- */

static bool object_gives(const struct object *o, const char *name, size_t length)
{
    for (size_t i = 0; i < o->n_fields; i++)
        if (!o->fields[i].sequence && strlen(o->fields[i].name) == length &&
            strncmp(o->fields[i].name, name, length) == 0)
            return true;
    return false;
}

/* The length of the name without a number from 2 on behind it. */
static size_t base_length(const char *name)
{
    const char *number = strrchr(name, '_');

    if (!number || !number[1] || strspn(number + 1, "0123456789") != strlen(number + 1) || number[1] == '0' ||
        strcmp(number, "_1") == 0)
        return strlen(name);
    return (size_t)(number - name);
}

bool decoder_gives_value(const struct decoder *d, const char *name)
{
    size_t length = strlen(name), base = base_length(name);

    if (object_gives(&d->plain, name, length))
        return true;
    for (size_t i = 0; i < d->n_objects; i++)
        if (object_gives(&d->objects[i], name, length) || object_gives(&d->objects[i], name, base))
            return true;
    return false;
}
