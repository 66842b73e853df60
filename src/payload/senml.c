/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "payload/senml.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "payload/writer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    uint32_t flag;
    const char *suffix;
} suffixes[] = {{SAMPLE_BAD, "/bad"}, {SAMPLE_OUT_OF_RANGE, "/out-of-range"}, {SAMPLE_STALE, "/stale"}};

const char *quality_suffix(uint32_t quality)
{
    for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
        if (quality & suffixes[i].flag)
            return suffixes[i].suffix;
    return "";
}

bool quality_suffix_is(const char *text)
{
    for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
        if (strcmp(text, suffixes[i].suffix) == 0)
            return true;
    return false;
}

bool sample_sayable(const struct sample *s)
{
    return !(s->quality & SAMPLE_BOOTTIME) && (s->value.type != SAMPLE_DOUBLE || isfinite(s->value.d));
}

static void put_name(struct writer *w, const struct sample *s)
{
    char name[SAMPLE_NAME_MAX];

    snprintf(name, sizeof(name), "%s%s", s->point, quality_suffix(s->quality));
    writer_key(w, "n");
    writer_text(w, name);
}

static void put_value(struct writer *w, const struct sample_value *v)
{
    if (v->type == SAMPLE_BOOL)
        writer_key(w, "vb");
    else if (v->type == SAMPLE_STRING)
        writer_key(w, "vs");
    else
        writer_key(w, "v");
    writer_value(w, v);
}

/* One record, the first with the base fields. */
static void put_record(struct writer *w, const char *base_name, const struct sample *first, const struct sample *s,
                       bool base_unit)
{
    bool negative = s->time < first->time, time = s->time != first->time, unit = !base_unit && s->unit[0];

    writer_object(w, (s == first ? 2u + base_unit : 0u) + 2u + time + unit);
    if (s == first) {
        writer_key(w, "bn");
        writer_text(w, base_name);
        writer_key(w, "bt");
        writer_seconds(w, false, s->time);
        if (base_unit) {
            writer_key(w, "bu");
            writer_text(w, s->unit);
        }
    }
    put_name(w, s);
    if (time) {
        writer_key(w, "t");
        writer_seconds(w, negative, negative ? first->time - s->time : s->time - first->time);
    }
    if (unit) {
        writer_key(w, "u");
        writer_text(w, s->unit);
    }
    put_value(w, &s->value);
    writer_object_end(w);
}

/* As many as fit; with `base_unit` also only as many as have the first one's unit. Returns how many. */
static size_t build(struct writer *w, const char *base_name, const struct sample *samples, size_t n, size_t max,
                    bool base_unit)
{
    size_t taken = 0;

    for (; taken < n && sample_sayable(&samples[taken]); taken++) {
        size_t before = w->out.length;

        if (base_unit && strcmp(samples[taken].unit, samples[0].unit) != 0)
            break;
        put_record(w, base_name, samples, &samples[taken], base_unit);
        if (w->out.failed)
            break;
        if (w->out.length + writer_array_size(w, taken + 1) > max) {
            w->out.length = before;
            break;
        }
    }
    return taken;
}

int senml_pack(bool cbor, const char *base_name, const struct sample *samples, size_t n, size_t max, char **ret_body,
               size_t *ret_size)
{
    struct writer common = {.cbor = cbor, .labels = cbor}, each = common, *chosen = &common;
    size_t taken = 0, taken_each;
    int r;

    if (n == 0 || !sample_sayable(&samples[0]))
        return -EINVAL;
    if (n > 1 && samples[0].unit[0])
        taken = build(&common, base_name, samples, n, max, true);
    /* A unit in common shortens each record, so nothing can beat it once it took all, or more than without. */
    if (taken < n) {
        taken_each = build(&each, base_name, samples, n, max, false);
        if (taken < 2 || taken_each > taken) {
            taken = taken_each;
            chosen = &each;
        }
    }
    r = common.out.failed ?: each.out.failed ?: taken == 0 ? -EMSGSIZE : 0;
    if (r >= 0) {
        writer_prepend_array(chosen, taken);
        *ret_size = chosen->out.length;
        r = strbuf_take(&chosen->out, ret_body);
    }
    strbuf_done(&common.out);
    strbuf_done(&each.out);
    return r < 0 ? r : (int)taken;
}
