/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/sample.h"

#include "base/limits.h"
#include "base/text.h"
#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_valid(const char *text, size_t size, bool controls)
{
    size_t n = 0, sequence;

    for (; n < size && text[n]; n += sequence) {
        if (!controls && ((unsigned char)text[n] < 0x20 || text[n] == 0x7f))
            return false;
        sequence = utf8_length(text + n, size - n);
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

char *sample_value_text(const struct sample_value *v)
{
    char *text = NULL, number[DOUBLE_TEXT_MAX];
    int n = 0;

    switch (v->type) {
    case SAMPLE_BOOL:
        n = asprintf(&text, "%s", v->b ? "true" : "false");
        break;
    case SAMPLE_INT:
        n = asprintf(&text, "%lld", (long long)v->x);
        break;
    case SAMPLE_UINT:
        n = asprintf(&text, "%llu", (unsigned long long)v->t);
        break;
    case SAMPLE_DOUBLE:
        n = asprintf(&text, "%s", double_format(v->d, number));
        break;
    case SAMPLE_STRING:
        n = asprintf(&text, "\"%s\"", v->s);
        break;
    }
    return n < 0 ? NULL : text;
}
