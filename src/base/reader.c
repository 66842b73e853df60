/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/reader.h"

#include "base/strbuf.h"
#include "base/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

int reader_open(struct reader *r, const char *file, char *text, size_t n, struct mistakes *mistakes)
{
    struct position at = {0};
    struct error e;
    int k;

    *r = (struct reader){.file = file, .mistakes = mistakes, .mistakes_before = mistakes->n_all};
    k = prescan_new(text, n, &r->map, &at, &e);
    if (k == -EBADMSG)
        mistakes_add(mistakes, file, at.line, at.column, NULL, "%s", e.text);
    if (k < 0)
        return k;
    k = json_parse(text, n, &r->root, &e);
    if (k == -ENOMEM)
        return k;
    if (k < 0) {
        mistakes_add(mistakes, file, 1, 1, NULL, "%s", e.text);
        return -EBADMSG;
    }
    return 0;
}

void reader_done(struct reader *r)
{
    prescan_free(r->map);
    json_object_put(r->root);
    *r = (struct reader){0};
}

bool reader_good(const struct reader *r)
{
    return r->mistakes->n_all == r->mistakes_before && r->mistakes->failed == 0;
}

struct value reader_root(const struct reader *r)
{
    return (struct value){r->root, PRESCAN_ROOT};
}

void reader_mistake(struct reader *r, uint32_t node, const char *format, ...)
{
    struct position at = prescan_value_at(r->map, node);
    va_list ap;

    va_start(ap, format);
    mistakes_addv(r->mistakes, r->file, at.line, at.column, r->device, format, ap);
    va_end(ap);
}

void reader_mistake_key(struct reader *r, uint32_t node, const char *format, ...)
{
    struct position at = prescan_key_at(r->map, node);
    va_list ap;

    va_start(ap, format);
    mistakes_addv(r->mistakes, r->file, at.line, at.column, r->device, format, ap);
    va_end(ap);
}

/* ---- Words ---- */

#define WORD_MAX 32

/* Edits (insert, delete, replace, swap of neighbours) from one word to the other, without regard to case; '-' is '_'.
 */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1] = {0};
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    size_t n_a = strlen(a), n_b = strlen(b);

    if (n_a > WORD_MAX || n_b > WORD_MAX)
        return UINT32_MAX;
    for (unsigned k = 0; k <= n_b; k++)
        above[k] = k;
    for (size_t i = 1; i <= n_a; i++) {
        unsigned *spare = before;

        row[0] = (unsigned)i;
        for (size_t k = 1; k <= n_b; k++) {
            unsigned char x = (unsigned char)a[i - 1], y = (unsigned char)b[k - 1];
            bool same = tolower(x == '-' ? '_' : x) == tolower(y == '-' ? '_' : y);
            unsigned best = above[k - 1] + (same ? 0 : 1);

            best = MIN_OF(best, above[k] + 1);
            best = MIN_OF(best, row[k - 1] + 1);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                best = MIN_OF(best, before[k - 2] + 1);
            row[k] = best;
        }
        before = above;
        above = row;
        row = spare;
    }
    return above[n_b];
}

const char *nearest_word(const char *text, const char *const words[])
{
    const char *nearest = NULL;
    unsigned least = UINT32_MAX;

    for (; *words; words++) {
        unsigned d = distance(text, *words);

        if (d < least) {
            least = d;
            nearest = *words;
        }
    }
    /* A third of the word may be wrong, and one letter always, unless that is all there is. */
    if (!nearest || least > MAX_OF((size_t)1, strlen(nearest) / 3) || least >= strlen(text))
        return NULL;
    return nearest;
}

/* "a, b, c" */
static char *word_list(const char *const words[], const char *quote)
{
    struct strbuf b = {0};
    char *text;

    for (size_t i = 0; words[i]; i++)
        strbuf_printf(&b, "%s%s%s%s", i > 0 ? ", " : "", quote, words[i], quote);
    return strbuf_take(&b, &text) < 0 ? NULL : text;
}

void reader_known(struct reader *r, struct value object, const char *const known[])
{
    json_object_object_foreach (object.json, key, unused) {
        _cleanup_free_ char *list = NULL;
        const char *near;
        size_t i = 0;

        (void)unused;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (known[i])
            continue;
        near = nearest_word(key, known);
        list = near ? NULL : word_list(known, "");
        if (near)
            reader_mistake_key(r, prescan_child(r->map, object.node, key),
                               "unknown key \"%.64s\"; did you mean \"%s\"?", key, near);
        else
            reader_mistake_key(r, prescan_child(r->map, object.node, key), "unknown key \"%.64s\"; known here: %s", key,
                               list ?: "");
    }
}

/* ---- Members ---- */

static const char *type_text(json_object *o)
{
    switch (json_object_get_type(o)) {
    case json_type_null:
        return "null";
    case json_type_boolean:
        return json_object_get_boolean(o) ? "true" : "false";
    case json_type_double:
    case json_type_int:
        return json_object_get_string(o);
    case json_type_object:
        return "an object {...}";
    case json_type_array:
        return "a list [...]";
    case json_type_string:
        return "a text";
    }
    return "something else";
}

bool reader_member(struct reader *r, struct value object, const char *key, bool required, struct value *ret)
{
    json_object *o;

    if (!json_object_object_get_ex(object.json, key, &o)) {
        if (required)
            reader_mistake(r, object.node, "\"%s\" is missing here", key);
        return false;
    }
    *ret = (struct value){o, prescan_child(r->map, object.node, key)};
    return true;
}

/* The member if it is of the type. */
static bool typed(struct reader *r, struct value object, const char *key, bool required, json_type type,
                  const char *expected, struct value *ret)
{
    struct value v;

    if (!reader_member(r, object, key, required, &v))
        return false;
    if (!json_object_is_type(v.json, type)) {
        reader_mistake(r, v.node, "\"%s\" is %s; expected %s", key, type_text(v.json), expected);
        return false;
    }
    *ret = v;
    return true;
}

bool reader_object(struct reader *r, struct value object, const char *key, bool required, struct value *ret)
{
    return typed(r, object, key, required, json_type_object, "an object {...}", ret);
}

bool reader_string(struct reader *r, struct value object, const char *key, bool required, const char **ret)
{
    struct value v;

    if (!typed(r, object, key, required, json_type_string, "a text in \"double quotes\"", &v))
        return false;
    *ret = json_object_get_string(v.json);
    return true;
}

bool reader_bool(struct reader *r, struct value object, const char *key, bool *ret)
{
    struct value v;

    if (!typed(r, object, key, false, json_type_boolean, "true or false", &v))
        return false;
    *ret = json_object_get_boolean(v.json);
    return true;
}

bool reader_number(struct reader *r, struct value object, const char *key, double *ret)
{
    struct value v;

    if (!reader_member(r, object, key, false, &v))
        return false;
    if (!json_object_is_type(v.json, json_type_int) && !json_object_is_type(v.json, json_type_double)) {
        reader_mistake(r, v.node, "\"%s\" is %s; expected a number", key, type_text(v.json));
        return false;
    }
    *ret = json_object_get_double(v.json);
    return true;
}

bool reader_unsigned(struct reader *r, struct value object, const char *key, unsigned min, unsigned max, unsigned *ret)
{
    struct value v;
    int64_t n;

    if (!reader_member(r, object, key, false, &v))
        return false;
    n = json_object_is_type(v.json, json_type_int) ? json_object_get_int64(v.json) : -1;
    if (n < min || n > max) {
        reader_mistake(r, v.node, "\"%s\" is %s; expected a whole number from %u to %u", key, type_text(v.json), min,
                       max);
        return false;
    }
    *ret = (unsigned)n;
    return true;
}

bool reader_duration(struct reader *r, struct value object, const char *key, uint64_t min, uint64_t max, uint64_t *ret)
{
    char least[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
    struct value v;
    struct error e;
    uint64_t usec;

    if (!typed(r, object, key, false, json_type_string, "a duration as text with a unit, such as \"90d\" or \"500ms\"",
               &v))
        return false;
    if (duration_parse(json_object_get_string(v.json), &usec, &e) < 0) {
        reader_mistake(r, v.node, "\"%s\": %s", key, e.text);
        return false;
    }
    if (usec < min || usec > max) {
        reader_mistake(r, v.node, "\"%s\" is \"%s\"; expected %s to %s", key, json_object_get_string(v.json),
                       duration_format(min, least), duration_format(max, most));
        return false;
    }
    *ret = usec;
    return true;
}

bool reader_size(struct reader *r, struct value object, const char *key, uint64_t min, uint64_t max, uint64_t *ret)
{
    char least[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
    struct value v;
    struct error e;
    uint64_t bytes;

    if (!reader_member(r, object, key, false, &v))
        return false;
    if (json_object_is_type(v.json, json_type_int) && json_object_get_int64(v.json) >= 0)
        bytes = json_object_get_uint64(v.json);
    else if (!json_object_is_type(v.json, json_type_string)) {
        reader_mistake(r, v.node, "\"%s\" is %s; expected a size such as \"64M\", or a number of bytes", key,
                       type_text(v.json));
        return false;
    } else if (size_parse(json_object_get_string(v.json), &bytes, &e) < 0) {
        reader_mistake(r, v.node, "\"%s\": %s", key, e.text);
        return false;
    }
    if (bytes < min || bytes > max) {
        reader_mistake(r, v.node, "\"%s\" is %s%s%s; expected %s to %s", key,
                       json_object_is_type(v.json, json_type_string) ? "\"" : "", json_object_get_string(v.json),
                       json_object_is_type(v.json, json_type_string) ? "\"" : "", size_format(min, least),
                       size_format(max, most));
        return false;
    }
    *ret = bytes;
    return true;
}

bool reader_word(struct reader *r, struct value object, const char *key, const char *const words[], unsigned *ret)
{
    _cleanup_free_ char *list = NULL;
    const char *text, *near;
    struct value v = {0};

    if (!reader_string(r, object, key, false, &text))
        return false;
    for (unsigned i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0) {
            *ret = i;
            return true;
        }
    reader_member(r, object, key, false, &v);
    near = nearest_word(text, words);
    list = word_list(words, "\"");
    reader_mistake(r, v.node, "\"%s\" is \"%.64s\"; %s%s%sexpected one of %s", key, text, near ? "did you mean \"" : "",
                   near ?: "", near ? "\"? " : "", list ?: "");
    return false;
}
