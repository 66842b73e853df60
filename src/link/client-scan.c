/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The findings of a scan, in as many answers as it needs: each but the last ends with a mark, and the agent asks on
 * with that mark as the option `resume`, as it does with the marks of plugins. */
#include "base/json.h"
#include "base/names.h"
#include "link/client-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MARK_SIZE 256 /* with its map */

/* Findings not sent yet. */
struct rest {
    TAILQ_ENTRY(rest) link; /* in line->rests */
    json_object *found;
    size_t at;
    char mark[32];
};

static void rest_free(struct line *l, struct rest *rest)
{
    TAILQ_REMOVE(&l->rests, rest, link);
    l->n_rests--;
    json_object_put(rest->found);
    free(rest);
}

void line_rests_done(struct line *l)
{
    struct rest *rest;

    while ((rest = TAILQ_FIRST(&l->rests)))
        rest_free(l, rest);
}

static struct rest *rest_keep(struct line *l, json_object *found, size_t at)
{
    struct rest *rest = calloc(1, sizeof(*rest));

    if (!rest)
        return NULL;
    if (l->n_rests == LINK_RESTS_MAX)
        rest_free(l, TAILQ_FIRST(&l->rests)); /* whoever asks for it is told */
    rest->found = json_object_get(found);
    rest->at = at;
    snprintf(rest->mark, sizeof(rest->mark), LINK_REST_MARK "%llu", (unsigned long long)++l->last_rest);
    TAILQ_INSERT_TAIL(&l->rests, rest, link);
    l->n_rests++;
    return rest;
}

/* Also how far the scan is, if the plugin's own mark, behind all, says so. */
static void put_mark(struct cbor_writer *w, json_object *found, const char *mark)
{
    json_object *last = json_object_array_get_idx(found, json_object_array_length(found) - 1), *value;
    _cleanup_json_ json_object *map = json_object_new_object();

    for (size_t i = 0; map && json_object_object_get_ex(last, SCAN_RESUME, NULL) && i < 2; i++)
        if (json_object_object_get_ex(last, i == 0 ? "done" : "total", &value))
            json_object_object_add(map, i == 0 ? "done" : "total", json_object_get(value));
    if (map)
        json_object_object_add(map, SCAN_RESUME, json_object_new_string(mark));
    packet_put_map(w, map);
}

/* How many, from the at-th on, `w` has room for. */
static size_t put_some(struct cbor_writer *w, json_object *found, size_t at, size_t *ret_length)
{
    size_t n = json_object_array_length(found), count = 0;

    *ret_length = 0;
    for (; at + count < n && count < LINK_ANSWERS_MAX - 1; count++) {
        packet_put_map(w, json_object_array_get_idx(found, at + count));
        if (w->full)
            break;
        *ret_length = cbor_written(w);
    }
    return count;
}

static void answer_some(struct link_call *call, json_object *found, size_t at)
{
    _cleanup_free_ uint8_t *items = malloc(LINK_PACKET_MAX);
    struct cbor_writer w;
    size_t length = 0, count = 0, n = json_object_array_length(found);
    const struct rest *rest = NULL;

    if (items) {
        cbor_writer_init(&w, items, LINK_TEXTS_MAX);
        count = put_some(&w, found, at, &length);
    }
    if (items && count == 0 && n > at) {
        link_call_fail(call, -E2BIG, "one of what was found is larger than a packet");
        return;
    }
    if (at + count < n)
        rest = rest_keep(link_call_line(call), found, at + count);
    if (!items || (at + count < n && !rest)) {
        link_call_fail(call, -ENOMEM, "out of memory");
        return;
    }
    if (rest) {
        cbor_writer_init(&w, items + length, MARK_SIZE);
        put_mark(&w, found, rest->mark);
        length += cbor_written(&w);
    }
    link_call_items(call, count + (rest ? 1 : 0), items, length);
}

void link_call_found(struct link_call *call, json_object *found)
{
    answer_some(call, found, 0);
}

bool client_scan_rest(struct link_client *c, struct link_call *call, json_object *options)
{
    const char *mark = json_get_string(options, SCAN_RESUME);
    _cleanup_json_ json_object *found = NULL;
    struct rest *rest;
    size_t at;

    if (!mark || strncmp(mark, LINK_REST_MARK, strlen(LINK_REST_MARK)) != 0)
        return false;
    TAILQ_FOREACH (rest, &c->line->rests, link)
        if (strcmp(rest->mark, mark) == 0)
            break;
    if (!rest) {
        link_call_fail(call, -ESTALE, "what more was found is gone, since too many scans came between: scan again");
        return true;
    }
    found = json_object_get(rest->found);
    at = rest->at;
    rest_free(c->line, rest);
    answer_some(call, found, at);
    return true;
}
