/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "payload/senml.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A JSON string in its quotes. */
static void put_text(struct strbuf *b, const char *text)
{
    strbuf_puts(b, "\"");
    while (*text) {
        size_t plain = 0;

        while ((unsigned char)text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\')
            plain++;
        strbuf_add(b, text, plain);
        text += plain;
        if (!*text)
            break;
        if (*text == '"' || *text == '\\')
            strbuf_printf(b, "\\%c", *text);
        else if (*text == '\n')
            strbuf_puts(b, "\\n");
        else
            strbuf_printf(b, "\\u%04x", (unsigned)(unsigned char)*text);
        text++;
    }
    strbuf_puts(b, "\"");
}

/* Microseconds as seconds, exact, without needless zeros. */
static void put_seconds(struct strbuf *b, bool negative, uint64_t usec)
{
    char fraction[8];
    size_t n;

    strbuf_printf(b, "%s%" PRIu64, negative ? "-" : "", usec / 1000000);
    n = (size_t)snprintf(fraction, sizeof(fraction), "%06u", (unsigned)(usec % 1000000));
    while (n > 0 && fraction[n - 1] == '0')
        n--;
    if (n > 0)
        strbuf_printf(b, ".%.*s", (int)n, fraction);
}

static void put_value(struct strbuf *b, const struct sample_value *v)
{
    char number[DOUBLE_TEXT_MAX];

    switch (v->type) {
    case SAMPLE_BOOL:
        strbuf_puts(b, v->b ? ",\"vb\":true" : ",\"vb\":false");
        break;
    case SAMPLE_INT:
        strbuf_printf(b, ",\"v\":%" PRId64, v->x);
        break;
    case SAMPLE_UINT:
        strbuf_printf(b, ",\"v\":%" PRIu64, v->t);
        break;
    case SAMPLE_DOUBLE:
        strbuf_puts(b, ",\"v\":");
        strbuf_puts(b, double_format(v->d, number));
        break;
    case SAMPLE_STRING:
        strbuf_puts(b, ",\"vs\":");
        put_text(b, v->s);
        break;
    }
}

static const char *quality_suffix(uint32_t quality)
{
    if (quality & SAMPLE_BAD)
        return "/bad";
    if (quality & SAMPLE_OUT_OF_RANGE)
        return "/out-of-range";
    return quality & SAMPLE_STALE ? "/stale" : "";
}

static bool can_be_said(const struct sample *s)
{
    return !(s->quality & SAMPLE_BOOTTIME) && (s->value.type != SAMPLE_DOUBLE || isfinite(s->value.d));
}

/* One record, the first with the base fields. */
static void put_record(struct strbuf *b, const char *base_name, const struct sample *first, const struct sample *s,
                       bool base_unit)
{
    bool negative = s->time < first->time;

    if (s == first) {
        strbuf_puts(b, "{\"bn\":");
        put_text(b, base_name);
        strbuf_puts(b, ",\"bt\":");
        put_seconds(b, false, s->time);
        if (base_unit) {
            strbuf_puts(b, ",\"bu\":");
            put_text(b, s->unit);
        }
        strbuf_puts(b, ",");
    } else
        strbuf_puts(b, "{");
    /* Points are named in characters that need no escape. */
    strbuf_printf(b, "\"n\":\"%s%s\"", s->point, quality_suffix(s->quality));
    if (s->time != first->time) {
        strbuf_puts(b, ",\"t\":");
        put_seconds(b, negative, negative ? first->time - s->time : s->time - first->time);
    }
    if (!base_unit && s->unit[0]) {
        strbuf_puts(b, ",\"u\":");
        put_text(b, s->unit);
    }
    put_value(b, &s->value);
    strbuf_puts(b, "}");
}

/* As many as fit; with `base_unit` also only as many as have the first one's unit. Returns how many. */
static size_t build(const char *base_name, const struct sample *samples, size_t n, size_t max, bool base_unit,
                    struct strbuf *b)
{
    size_t taken = 0;

    for (; taken < n && can_be_said(&samples[taken]); taken++) {
        size_t before = b->length;

        if (base_unit && strcmp(samples[taken].unit, samples[0].unit) != 0)
            break;
        strbuf_puts(b, taken == 0 ? "[" : ",");
        put_record(b, base_name, samples, &samples[taken], base_unit);
        if (b->failed)
            break;
        if (b->length + strlen("]") > max) {
            b->length = before;
            break;
        }
    }
    strbuf_puts(b, "]");
    return taken;
}

int senml_pack(const char *base_name, const struct sample *samples, size_t n, size_t max, char **ret_body,
               size_t *ret_size)
{
    struct strbuf common = {0}, each = {0}, *chosen = &common;
    size_t taken = 0, taken_each;
    int r;

    if (n == 0 || !can_be_said(&samples[0]))
        return -EINVAL;
    if (n > 1 && samples[0].unit[0])
        taken = build(base_name, samples, n, max, true, &common);
    /* A unit in common shortens each record, so nothing can beat it once it took all, or more than without. */
    if (taken < n) {
        taken_each = build(base_name, samples, n, max, false, &each);
        if (taken < 2 || taken_each > taken) {
            taken = taken_each;
            chosen = &each;
        }
    }
    r = common.failed ?: each.failed ?: taken == 0 ? -EMSGSIZE : 0;
    if (r >= 0) {
        *ret_size = chosen->length;
        r = strbuf_take(chosen, ret_body);
    }
    strbuf_done(&common);
    strbuf_done(&each);
    return r < 0 ? r : (int)taken;
}
