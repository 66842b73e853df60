/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands from a cloud. All of it is untrusted: it comes from anybody who may send to the device. */
#include "payload/cbor.h"
#include "payload/internal.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/prescan.h"
#include "base/text.h"

#include <errno.h>
#include <json-c/json_pointer.h>
#include <string.h>

void profile_commands_done(struct profile_commands *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->list[i].id);
        free(c->list[i].point);
        sample_value_done(&c->list[i].value);
    }
    free(c->list);
    free(c->report_id);
    *c = (struct profile_commands){0};
}

/* ---- Topics and locations ---- */

int source_filter(const struct profile_source *s, const struct profile_names *names, char **ret)
{
    const char *rest = s->request.target, *at, *end;
    struct meanings m = {0};
    struct strbuf b = {0};
    enum word word;

    meanings_names(&m, names);
    for (; template_next(rest, &word, &at, &end); rest = end) {
        strbuf_add(&b, rest, (size_t)(at - rest));
        if (word == WORD_ID || word == WORD_POINT)
            strbuf_puts(&b, "+");
        else {
            _cleanup_free_ char *one = strndup(at, (size_t)(end - at));

            if (!one)
                b.failed = -ENOMEM;
            else
                template_text(&b, one, &m, ESCAPE_TOPIC);
        }
    }
    strbuf_puts(&b, rest);
    return strbuf_take(&b, ret);
}

/* Captures from a topic or location; each NULL if absent. */
struct captured {
    char *id, *point;
};

static void captured_done(struct captured *c)
{
    free(c->id);
    free(c->point);
    *c = (struct captured){0};
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *p = c ? strchr(digits, c | 0x20) : NULL;

    return p ? (int)(p - digits) : -1;
}

/* "%2F" and the like undone. -EBADMSG: not percent-encoded, or a NUL. */
static int undo_percent(char *text)
{
    char *to = text;

    for (; *text; text++) {
        int high, low;

        if (*text != '%') {
            *to++ = *text;
            continue;
        }
        high = hex_digit(text[1]);
        low = high < 0 ? -1 : hex_digit(text[2]);
        if (low < 0 || (high == 0 && low == 0))
            return -EBADMSG;
        *to++ = (char)(high << 4 | low);
        text += 2;
    }
    *to = 0;
    return 0;
}

/* 1 it is like the template, with what its {id} and {point} stand for; 0 it is not. -ENOMEM. */
static int match(const char *template, const char *text, const struct meanings *names, bool percent, struct captured *c)
{
    const char *at, *end;
    enum word word;

    for (; template_next(template, &word, &at, &end); template = end) {
        size_t n = (size_t)(at - template), level;
        char **into = word == WORD_ID ? &c->id : &c->point;
        _cleanup_(strbuf_done) struct strbuf b = {0};

        if (strncmp(template, text, n) != 0)
            return 0;
        text += n;
        if (word == WORD_ID || word == WORD_POINT) {
            level = strcspn(text, percent ? "/?&" : "/");
            if (level == 0 || level > COMMAND_ID_MAX)
                return 0;
            free(*into);
            *into = strndup(text, level);
            if (!*into)
                return -ENOMEM;
            if ((percent && undo_percent(*into) < 0) || !text_printable(*into, strlen(*into)))
                return 0;
        } else {
            _cleanup_free_ char *one = strndup(at, (size_t)(end - at));

            if (!one)
                return -ENOMEM;
            template_text(&b, one, names, percent ? ESCAPE_PATH : ESCAPE_TOPIC);
            if (b.failed)
                return b.failed;
            level = b.length;
            if (strncmp(text, b.text ?: "", level) != 0)
                return 0;
        }
        text += level;
    }
    return strcmp(template, text) == 0;
}

/* One query of the template against all that the location has: their order means nothing. */
static int match_query(const char *template, const char *queries, const struct meanings *names, struct captured *c)
{
    while (*queries) {
        size_t n = strcspn(queries, "&");
        _cleanup_free_ char *one = strndup(queries, n);
        int r = one ? match(template, one, names, true, c) : -ENOMEM;

        if (r != 0)
            return r;
        queries += n + (queries[n] == '&');
    }
    return 0;
}

/* The path as a whole, and each query that the template names; the location may have more of them. */
static int match_location(const char *template, const char *location, const struct meanings *names, struct captured *c)
{
    size_t n_template = strcspn(template, "?"), n = strcspn(location, "?");
    _cleanup_free_ char *path_template = strndup(template, n_template), *path = strndup(location, n);
    const char *queries = location[n] ? location + n + 1 : "";
    int r = path_template && path ? match(path_template, path, names, true, c) : -ENOMEM;

    template += n_template + (template[n_template] == '?');
    while (r > 0 && *template) {
        size_t k = strcspn(template, "&");
        _cleanup_free_ char *one = strndup(template, k);

        r = one ? match_query(one, queries, names, c) : -ENOMEM;
        template += k + (template[k] == '&');
    }
    return r;
}

/* 1 the message is one of this source; 0 it is not. */
static int of_source(const struct profile *p, const struct profile_source *s, const struct profile_names *names,
                     const char *topic, struct captured *c)
{
    struct meanings m = {0};
    int r = 0;

    meanings_names(&m, names);
    if (p->transport == PROFILE_MQTT)
        return topic ? match(s->request.target, topic, &m, false, c) : 0;
    if (!s->locations)
        return 1;
    for (char **location = s->locations; *location && topic && r == 0; location++) {
        captured_done(c);
        r = match_location(*location, topic[0] == '/' ? topic + 1 : topic, &m, c);
    }
    return r;
}

/* ---- JSON and CBOR ---- */

/* Strict: no comments, no keys twice, no NUL, bounded. */
static int parse_json(const void *payload, size_t n, json_object **ret, struct error *e)
{
    _cleanup_(prescan_freep) struct prescan *map = NULL;
    _cleanup_free_ char *text = NULL;
    struct position at = {0};
    int r;

    text = malloc(n + 1);
    if (!text)
        return -ENOMEM;
    memcpy(text, payload, n);
    text[n] = 0;
    r = prescan_new(text, n, &map, &at, e);
    if (r == -EBADMSG)
        return error_prefix(e, r, "the command is not JSON, line %u, column %u", at.line, at.column);
    if (r < 0)
        return r;
    if (memcmp(text, payload, n) != 0)
        return error_set(e, -EBADMSG, "the command is not JSON: it has comments");
    r = json_parse(text, n, ret, e);
    return r == -EINVAL ? -EBADMSG : r;
}

static int parse(bool cbor, const void *payload, size_t n, json_object **ret, struct error *e)
{
    int r;

    if (n > COMMAND_PAYLOAD_MAX)
        return error_set(e, -EBADMSG, "the command has %zu bytes, more than %d", n, COMMAND_PAYLOAD_MAX);
    if (!cbor)
        return parse_json(payload, n, ret, e);
    r = cbor_parse(payload, n, ret, e);
    return r == -EBADMSG ? error_prefix(e, r, "the command is not CBOR") : r;
}

/* False: there is nothing at the pointer. */
static bool at(json_object *o, const char *pointer, json_object **ret)
{
    /* json-c looks for an array or object in whatever it is given */
    if (pointer[0] && !json_object_is_type(o, json_type_object) && !json_object_is_type(o, json_type_array))
        return false;
    return json_pointer_get(o, pointer, ret) == 0;
}

static const char *where(const char *pointer)
{
    return pointer[0] ? pointer : "its root";
}

/* A value of the file that somebody writes to a point. */
static int value_of(json_object *o, struct sample_value *ret)
{
    switch (json_object_get_type(o)) {
    case json_type_boolean:
        *ret = (struct sample_value){SAMPLE_BOOL, .b = json_object_get_boolean(o)};
        break;
    case json_type_int:
        *ret = (struct sample_value){SAMPLE_INT, .x = json_object_get_int64(o)};
        if (ret->x == INT64_MAX)
            *ret = (struct sample_value){SAMPLE_UINT, .t = json_object_get_uint64(o)};
        break;
    case json_type_double:
        *ret = (struct sample_value){SAMPLE_DOUBLE, .d = json_object_get_double(o)};
        break;
    case json_type_string:
        *ret = (struct sample_value){SAMPLE_STRING, .s = json_object_get_string(o)};
        break;
    case json_type_null:
    case json_type_object:
    case json_type_array:
        return -EBADMSG;
    }
    return sample_value_valid(ret) ? 0 : -EBADMSG;
}

/* ---- Commands ---- */

struct reading {
    const struct profile *p;
    const struct profile_source *s;
    size_t source;
    bool cbor;
    json_object *root;
    char *id;
    struct profile_commands *ret;
    struct error *e;
};

/* One more, which takes the point; without one it stands for a message that could not be read. */
static int add(struct reading *g, char *point, const struct sample_value *value)
{
    struct profile_command command = {.source = g->source, .cbor = g->cbor, .id = strdup(g->id), .point = point};
    struct profile_command *list = reallocarray(g->ret->list, g->ret->n + 1, sizeof(*list));

    if (list)
        g->ret->list = list;
    if (!list || !command.id || (value && sample_value_copy(value, &command.value) < 0)) {
        free(command.id);
        free(point);
        return -ENOMEM;
    }
    if (!value)
        command.value.type = SAMPLE_BOOL;
    list[g->ret->n++] = command;
    return 0;
}

static int add_value(struct reading *g, const char *point, json_object *value, const char *pointer)
{
    struct sample_value v;
    char *copy;

    if (strlen(point) > COMMAND_ID_MAX || !text_printable(point, strlen(point)))
        return error_set(g->e, -EBADMSG, "the command names a point that cannot be one: over %d bytes, or unprintable",
                         COMMAND_ID_MAX);
    if (value_of(value, &v) < 0)
        return error_set(
            g->e, -EBADMSG,
            "at %s the command has %.64s; expected a value: true, false, a number, or a text of at most %d bytes",
            pointer, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN), SAMPLE_TEXT_MAX - 1);
    copy = strdup(point);
    return copy ? add(g, copy, &v) : -ENOMEM;
}

/* An object whose every member is a point and its value. */
static int read_members(struct reading *g)
{
    json_object *members;

    if (!at(g->root, g->s->members, &members) || !json_object_is_type(members, json_type_object))
        return error_set(g->e, -EBADMSG, "at %s the command has no object {...} of points and their values",
                         where(g->s->members));
    if (json_object_object_length(members) > COMMANDS_MAX)
        return error_set(g->e, -EBADMSG, "the command names %d points, more than %d",
                         json_object_object_length(members), COMMANDS_MAX);
    json_object_object_foreach (members, point, value) {
        int r = value ? add_value(g, point, value, point) : 0; /* null: taken back */

        if (r < 0)
            return r;
    }
    return 0;
}

static int read_one(struct reading *g, const struct captured *c)
{
    const char *point = c->point;
    json_object *o;

    if (g->s->point) {
        if (!at(g->root, g->s->point, &o) || !json_object_is_type(o, json_type_string))
            return error_set(g->e, -EBADMSG, "at %s the command has no text that names a point", where(g->s->point));
        point = json_object_get_string(o);
    }
    for (size_t i = 0; g->s->values[i]; i++)
        if (at(g->root, g->s->values[i], &o))
            return add_value(g, point, o, where(g->s->values[i]));
    return error_set(g->e, -EBADMSG, "at %s the command has no value", where(g->s->values[0]));
}

/* The id as JSON text, "null" without one. */
static int read_id(struct reading *g, const struct captured *c)
{
    _cleanup_json_ json_object *text = c->id ? json_object_new_string(c->id) : NULL;
    json_object *o = text;

    if (!o && (!g->s->id || !at(g->root, g->s->id, &o)))
        o = NULL;
    g->id = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) ?: "");
    if (!g->id)
        return -ENOMEM;
    if (strlen(g->id) <= COMMAND_ID_MAX)
        return 0;
    memcpy(g->id, "null", sizeof("null"));
    return error_set(g->e, -EBADMSG, "the command's id has over %d bytes", COMMAND_ID_MAX);
}

/* Whether the message is a command at all. */
static bool is_command(const struct reading *g)
{
    json_object *members;

    for (size_t i = 0; g->s->ignore && i < json_object_array_length(g->s->ignore); i++)
        if (json_object_equal(g->root, json_object_array_get_idx(g->s->ignore, i)))
            return false;
    if (g->s->members && g->s->members[0] && !at(g->root, g->s->members, &members))
        return false;
    for (size_t i = 0; i < g->s->n_when; i++) {
        json_object *o;

        if (!at(g->root, g->s->when[i].pointer, &o) || !json_object_equal(o, g->s->when[i].value))
            return false;
    }
    return true;
}

static int read_message(struct reading *g, const struct captured *c, const void *payload, size_t n)
{
    int r = parse(g->cbor, payload, n, &g->root, g->e), r_id;

    if (r >= 0 && !is_command(g))
        return 0;
    r_id = r == -ENOMEM ? r : read_id(g, c);
    if (r >= 0)
        r = r_id;
    if (r >= 0)
        r = g->s->members ? read_members(g) : read_one(g, c);
    if (r >= 0 && g->s->report.target) {
        g->ret->report_id = strdup(g->id);
        r = g->ret->report_id ? 0 : -ENOMEM;
    }
    return r;
}

int profile_commands(const struct profile *p, size_t source, const struct profile_names *names, const char *topic,
                     int content_format, const void *payload, size_t n, struct profile_commands *ret, struct error *e)
{
    _cleanup_(captured_done) struct captured c = {0};
    struct profile_commands found = {0};
    struct reading g = {.p = p, .s = &p->sources[source], .source = source, .ret = &found, .e = e};
    int r = of_source(p, g.s, names, topic, &c);

    g.cbor = content_format >= 0 ? content_format_cbor(content_format) : g.s->cbor;
    /* Nothing said, as when an observation begins, or when a retained message is taken back. */
    if (r <= 0 || (n == 0 && !g.s->locations)) {
        *ret = found;
        return r < 0 ? r : 0;
    }
    r = read_message(&g, &c, payload, n);
    if (r == -EBADMSG) {
        profile_commands_done(&found);
        if (!g.id || add(&g, NULL, NULL) < 0)
            r = -ENOMEM;
    }
    if (r < 0 && r != -EBADMSG)
        profile_commands_done(&found);
    json_object_put(g.root);
    free(g.id);
    *ret = found;
    return r;
}
