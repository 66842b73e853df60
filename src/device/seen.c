/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/seen.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum point_kind kind_of(const struct sample_value *v)
{
    switch (v->type) {
    case SAMPLE_BOOL:
        return POINT_BOOLEAN;
    case SAMPLE_INT:
    case SAMPLE_UINT:
    case SAMPLE_DOUBLE:
        return POINT_NUMBER;
    case SAMPLE_STRING:
        return POINT_TEXT;
    }
    return POINT_UNKNOWN;
}

static int equal(const struct map_node *node, const void *name)
{
    return strcmp(MAP_ENTRY(node, struct seen_point, node)->name, name) == 0;
}

static struct seen_point *find(const struct seen_points *s, const char *name)
{
    struct map_node *node = map_find(&s->by_name, map_hash_text(name), equal, name);

    return node ? MAP_ENTRY(node, struct seen_point, node) : NULL;
}

const struct seen_point *seen_find(const struct seen_points *s, const char *name)
{
    return s->n > 0 ? find(s, name) : NULL;
}

static bool add(struct seen_points *s, const struct sample *sample)
{
    struct seen_point **list, *p;
    size_t n = strlen(sample->point) + 1;

    if (s->n >= POINTS_PER_DEVICE_MAX)
        return false;
    list = reallocarray(s->list, s->n + 1, sizeof(struct seen_point *));
    if (!list)
        return false;
    s->list = list;
    p = calloc(1, sizeof(*p) + n);
    if (!p)
        return false;
    memcpy(p->name, sample->point, n);
    snprintf(p->unit, sizeof(p->unit), "%s", sample->unit);
    p->kind = kind_of(&sample->value);
    p->patience = 1;
    if (map_insert(&s->by_name, &p->node, map_hash_text(p->name)) < 0) {
        free(p);
        return false;
    }
    s->list[s->n++] = p;
    return true;
}

static bool shows(enum point_kind kind, const char *unit, const struct sample *sample)
{
    return kind == kind_of(&sample->value) && strcmp(unit, sample->unit) == 0;
}

/* It is of another kind or unit than its point was until now. True: it is believed. */
static bool change(struct seen_point *p, const struct sample *sample)
{
    if (p->others == 0 || !shows(p->other_kind, p->other_unit, sample)) {
        p->others = 0;
        p->other_kind = kind_of(&sample->value);
        snprintf(p->other_unit, sizeof(p->other_unit), "%s", sample->unit);
    }
    if (++p->others < p->patience)
        return false;
    p->kind = p->other_kind;
    memcpy(p->unit, p->other_unit, sizeof(p->unit));
    p->others = 0;
    p->patience = (uint16_t)MIN_OF(p->patience * 2, SEEN_PATIENCE_MAX);
    return true;
}

bool seen_note(struct seen_points *s, const struct sample *samples, size_t n)
{
    bool news = false;

    for (size_t i = 0; i < n; i++) {
        struct seen_point *p = find(s, samples[i].point);

        if (!p) {
            news |= add(s, &samples[i]);
        } else if (shows(p->kind, p->unit, &samples[i])) {
            p->others = 0;
        } else {
            news |= change(p, &samples[i]);
        }
    }
    return news;
}

void seen_done(struct seen_points *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->list[i]);
    free(s->list);
    map_done(&s->by_name);
    *s = (struct seen_points){0};
}
