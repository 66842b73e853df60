/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "downlink.h"

#include <errno.h>
#include <string.h>
#include <sys/queue.h>

#define WAITING_MAX 1024

struct waiting {
    STAILQ_ENTRY(waiting) entry;
    int64_t id;
    bool raw;
    char *text;
};

struct downlink {
    STAILQ_HEAD(, waiting) queue;
    size_t n;
    int64_t last_id;
};

static struct waiting *waiting_free(struct waiting *w)
{
    free(w->text);
    free(w);
    return NULL;
}

struct downlink *downlink_free(struct downlink *l)
{
    if (!l)
        return NULL;
    while (!STAILQ_EMPTY(&l->queue)) {
        struct waiting *w = STAILQ_FIRST(&l->queue);

        STAILQ_REMOVE_HEAD(&l->queue, entry);
        waiting_free(w);
    }
    free(l);
    return NULL;
}

const char *downlink_state(const struct device *d)
{
    const struct waiting *first = d->downlink ? STAILQ_FIRST(&d->downlink->queue) : NULL;

    return first ? first->text : "";
}

static char *command_text(int64_t id, const char *point, json_object *value)
{
    _cleanup_json_ json_object *o = json_object_new_object();

    json_object_object_add(o, "id", json_object_new_int64(id));
    json_object_object_add(o, "point", json_object_new_string(point));
    json_object_object_add(o, "value", json_object_get(value));
    return strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static struct downlink *downlink_of(struct device *d)
{
    if (!d->downlink) {
        d->downlink = calloc(1, sizeof(*d->downlink));
        if (d->downlink)
            STAILQ_INIT(&d->downlink->queue);
    }
    return d->downlink;
}

int downlink_add(struct device *d, const char *point, json_object *value, const char *body, int64_t *ret_id,
                 struct error *e)
{
    struct downlink *l = downlink_of(d);
    struct waiting *w;

    if (l && l->n >= WAITING_MAX)
        return error_set(e, -ENOSPC, "%d commands wait for %s already", WAITING_MAX, d->id);
    w = calloc(1, sizeof(*w));
    if (!l || !w) {
        free(w);
        return -ENOMEM;
    }
    w->id = ++l->last_id;
    w->raw = body;
    w->text = body ? strdup(body) : command_text(w->id, point, value);
    if (!w->text) {
        waiting_free(w);
        return -ENOMEM;
    }
    STAILQ_INSERT_TAIL(&l->queue, w, entry);
    l->n++;
    *ret_id = w->id;
    return STAILQ_FIRST(&l->queue) == w;
}

static struct waiting *find(struct downlink *l, json_object *outcome)
{
    struct waiting *w;
    json_object *id;

    if (!json_object_object_get_ex(outcome, "id", &id))
        id = NULL;
    STAILQ_FOREACH(w, &l->queue, entry)
    if (w->raw || (json_object_is_type(id, json_type_int) && json_object_get_int64(id) == w->id))
        return w;
    return NULL;
}

int downlink_outcome(struct device *d, json_object *outcome, struct error *e)
{
    struct downlink *l = d->downlink;
    struct waiting *w = l ? find(l, outcome) : NULL;
    json_object *ok;
    bool first;

    if (!json_object_is_type(outcome, json_type_object) || !json_object_object_get_ex(outcome, "ok", &ok) ||
        !json_object_is_type(ok, json_type_boolean))
        return error_set(e, -EINVAL, "expected {\"id\":...,\"ok\":true} or {\"id\":...,\"ok\":false,\"error\":string}");
    if (!w)
        return 0; /* told before */
    first = STAILQ_FIRST(&l->queue) == w;
    STAILQ_REMOVE(&l->queue, w, waiting, entry);
    l->n--;
    waiting_free(w);
    return first;
}
