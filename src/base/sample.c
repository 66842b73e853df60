/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/sample.h"

#include "base/limits.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* How many bytes the UTF-8 sequence at s has, 0 if it is none (overlong, surrogate, beyond U+10FFFF, cut short). */
static size_t utf8_sequence(const unsigned char *s)
{
    uint32_t code;
    size_t n;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    code = s[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000) || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return n;
}

static bool text_valid(const char *text, size_t size, bool controls)
{
    size_t n = 0, sequence;

    for (; n < size && text[n]; n += sequence) {
        if (!controls && ((unsigned char)text[n] < 0x20 || text[n] == 0x7f))
            return false;
        sequence = utf8_sequence((const unsigned char *)text + n);
        if (sequence == 0)
            return false;
    }
    return n < size;
}

bool sample_value_valid(const struct sample_value *v)
{
    switch (v->type) {
    case SAMPLE_BOOL:
    case SAMPLE_INT:
    case SAMPLE_UINT:
        return true;
    case SAMPLE_DOUBLE:
        return isfinite(v->d);
    case SAMPLE_STRING:
        return v->s && text_valid(v->s, SAMPLE_TEXT_MAX, true);
    }
    return false;
}

bool sample_unit_valid(const char *unit)
{
    return unit && text_valid(unit, UNIT_MAX, false);
}

bool sample_value_equal(const struct sample_value *a, const struct sample_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case SAMPLE_BOOL:
        return a->b == b->b;
    case SAMPLE_INT:
        return a->x == b->x;
    case SAMPLE_UINT:
        return a->t == b->t;
    case SAMPLE_DOUBLE:
        return a->d == b->d;
    case SAMPLE_STRING:
        return strcmp(a->s, b->s) == 0;
    }
    return false;
}

int sample_value_copy(const struct sample_value *v, struct sample_value *ret)
{
    struct sample_value copy = *v;

    if (v->type == SAMPLE_STRING) {
        copy.s = strdup(v->s);
        if (!copy.s)
            return -ENOMEM;
    }
    *ret = copy;
    return 0;
}

void sample_value_done(struct sample_value *v)
{
    if (v->type == SAMPLE_STRING)
        free((char *)v->s);
    *v = (struct sample_value){.type = SAMPLE_BOOL};
}
