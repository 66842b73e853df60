/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spool/record.h"

#include "base/cleanup.h"
#include "base/id.h"
#include "base/limits.h"

#include <string.h>

#define VERSION 1
#define POINTS_MAX ELEMENTSOF(((struct record_points *)0)->known)
#define VARINT_MAX 10
/* The longest sample: numbers, and texts with their lengths. */
#define SAMPLE_SIZE_MAX (5 * VARINT_MAX + DEVICE_ID_MAX + UNIT_MAX + SAMPLE_TEXT_MAX)

static const char types[] = {SAMPLE_BOOL, SAMPLE_INT, SAMPLE_UINT, SAMPLE_DOUBLE, SAMPLE_STRING};

/* ---- Writing ---- */

void record_buffer_done(struct record_buffer *b)
{
    free(b->data);
    *b = (struct record_buffer){0};
}

int record_reserve(struct record_buffer *b, size_t more)
{
    size_t room = MAX_OF(b->room * 2, b->size + more);
    uint8_t *data;

    if (b->room - b->size >= more)
        return 0;
    data = realloc(b->data, room);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->room = room;
    return 0;
}

static void put_byte(struct record_buffer *b, uint8_t byte)
{
    b->data[b->size++] = byte;
}

static void put_number(struct record_buffer *b, uint64_t x)
{
    for (; x >= 0x80; x >>= 7)
        put_byte(b, (uint8_t)(x | 0x80));
    put_byte(b, (uint8_t)x);
}

/* Small numbers of either sign stay short. */
static uint64_t folded(int64_t x)
{
    return (uint64_t)x << 1 ^ (uint64_t)(x >> 63);
}

static int64_t unfolded(uint64_t x)
{
    return (int64_t)(x >> 1 ^ -(x & 1));
}

static void put_text(struct record_buffer *b, const char *text)
{
    size_t n = strlen(text);

    put_number(b, n);
    memcpy(b->data + b->size, text, n);
    b->size += n;
}

int record_begin(struct record_buffer *b, const struct record_head *head)
{
    int r = record_reserve(b, RECORD_HEAD_MAX);

    if (r < 0)
        return r;
    put_byte(b, VERSION);
    put_number(b, head->boot);
    put_number(b, head->arrived);
    put_number(b, head->last);
    return 0;
}

static uint8_t type_number(enum sample_type type)
{
    uint8_t i = 0;

    while (types[i] != (char)type)
        i++;
    return i;
}

static void put_value(struct record_buffer *b, const struct sample_value *v)
{
    uint64_t bits;

    switch (v->type) {
    case SAMPLE_BOOL:
        put_byte(b, v->b);
        break;
    case SAMPLE_INT:
        put_number(b, folded(v->x));
        break;
    case SAMPLE_UINT:
        put_number(b, v->t);
        break;
    case SAMPLE_DOUBLE:
        memcpy(&bits, &v->d, sizeof(bits));
        for (int i = 0; i < 8; i++)
            put_byte(b, (uint8_t)(bits >> 8 * i));
        break;
    case SAMPLE_STRING:
        put_text(b, v->s);
        break;
    }
}

int record_add(struct record_buffer *b, struct record_points *points, uint16_t number, const struct sample *sample,
               uint64_t *previous)
{
    unsigned i = 0;
    int r;

    while (i < points->n && points->known[i] != number)
        i++;
    if (i == POINTS_MAX)
        return 0;
    r = record_reserve(b, SAMPLE_SIZE_MAX);
    if (r < 0)
        return r;
    put_number(b, i);
    if (i == points->n) {
        points->known[points->n++] = number;
        put_text(b, sample->point);
        put_text(b, sample->unit);
    }
    put_byte(b, (uint8_t)(type_number(sample->value.type) | sample->quality << 4));
    put_number(b, folded((int64_t)(sample->time - *previous)));
    *previous = sample->time;
    put_value(b, &sample->value);
    return 1;
}

/* ---- Reading ---- */

struct input {
    const uint8_t *data;
    size_t size, at;
    bool bad;
};

static uint8_t get_byte(struct input *in)
{
    if (in->at >= in->size) {
        in->bad = true;
        return 0;
    }
    return in->data[in->at++];
}

static uint64_t get_number(struct input *in)
{
    uint64_t x = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = get_byte(in);

        if (shift == 63 && byte > 1)
            break;
        x |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return x;
    }
    in->bad = true;
    return 0;
}

/* A text of fewer than `max` bytes, none of them NUL. */
static void get_text(struct input *in, char *ret, size_t max)
{
    uint64_t n = get_number(in);

    ret[0] = 0;
    if (in->bad || n >= max || n > in->size - in->at || memchr(in->data + in->at, 0, (size_t)n)) {
        in->bad = true;
        return;
    }
    memcpy(ret, in->data + in->at, (size_t)n);
    ret[n] = 0;
    in->at += (size_t)n;
}

static void get_head(struct input *in, struct record_head *ret)
{
    uint64_t boot, arrived;

    in->bad |= get_byte(in) != VERSION;
    boot = get_number(in);
    arrived = get_number(in);
    ret->last = get_number(in);
    in->bad |= boot > UINT32_MAX || arrived > UINT32_MAX;
    ret->boot = (uint32_t)boot;
    ret->arrived = (uint32_t)arrived;
}

int record_head(const uint8_t *data, size_t size, struct record_head *ret)
{
    struct input in = {.data = data, .size = size};

    get_head(&in, ret);
    return in.bad ? -EBADMSG : 0;
}

static void get_value(struct input *in, char type, char *text, struct sample_value *ret)
{
    uint64_t bits = 0;

    *ret = (struct sample_value){.type = (enum sample_type)type};
    switch (ret->type) {
    case SAMPLE_BOOL:
        bits = get_byte(in);
        in->bad |= bits > 1;
        ret->b = bits == 1;
        break;
    case SAMPLE_INT:
        ret->x = unfolded(get_number(in));
        break;
    case SAMPLE_UINT:
        ret->t = get_number(in);
        break;
    case SAMPLE_DOUBLE:
        for (int i = 0; i < 8; i++)
            bits |= (uint64_t)get_byte(in) << 8 * i;
        memcpy(&ret->d, &bits, sizeof(bits));
        break;
    case SAMPLE_STRING:
        get_text(in, text, SAMPLE_TEXT_MAX);
        ret->s = text;
        break;
    }
    in->bad |= !sample_value_valid(ret);
}

struct named {
    char name[DEVICE_ID_MAX + 1], unit[UNIT_MAX];
};

/* The point of the next sample: one that was named before, or one that is. */
static struct named *get_point(struct input *in, struct named *named, unsigned *n)
{
    uint64_t i = get_number(in);

    if (in->bad || i > *n || i >= POINTS_MAX) {
        in->bad = true;
        return NULL;
    }
    if (i == *n) {
        get_text(in, named[i].name, sizeof(named[i].name));
        get_text(in, named[i].unit, sizeof(named[i].unit));
        in->bad |= !id_valid(named[i].name) || !sample_unit_valid(named[i].unit);
        ++*n;
    }
    return &named[i];
}

int record_decode(const uint8_t *data, size_t size, size_t n,
                  int (*sample)(const struct sample *sample, void *userdata), void *userdata)
{
    _cleanup_free_ struct named *named = calloc(POINTS_MAX, sizeof(*named));
    struct input in = {.data = data, .size = size};
    char text[SAMPLE_TEXT_MAX];
    struct record_head head;
    unsigned n_named = 0;
    uint64_t time;

    if (!named)
        return -ENOMEM;
    get_head(&in, &head);
    time = head.last;
    for (size_t i = 0; i < n && !in.bad; i++) {
        const struct named *point = get_point(&in, named, &n_named);
        struct sample s = {0};
        uint8_t kind;
        int r;

        if (!point)
            break;
        kind = get_byte(&in);
        time += (uint64_t)unfolded(get_number(&in));
        s = (struct sample){.point = point->name, .unit = point->unit, .time = time, .quality = kind >> 4};
        if ((kind & 15) >= ELEMENTSOF(types))
            return -EBADMSG;
        get_value(&in, types[kind & 15], text, &s.value);
        if (in.bad)
            break;
        r = sample(&s, userdata);
        if (r < 0)
            return r;
    }
    return in.bad || in.at != in.size || (n > 0 && time != head.last) ? -EBADMSG : 0;
}
