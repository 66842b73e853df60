/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "payload/template.h"

#include "base/limits.h"
#include "payload/senml.h"

#include <stdio.h>
#include <string.h>

static const char *const word_names[WORDS] = {
    [WORD_DEVICE] = "device",     [WORD_HARDWARE_ID] = "hardware_id",
    [WORD_OPAQUE] = "opaque",     [WORD_GATEWAY] = "gateway",
    [WORD_HOLD] = "hold",         [WORD_POINT] = "point",
    [WORD_UNIT] = "unit",         [WORD_VALUE] = "value",
    [WORD_QUALITY] = "quality",   [WORD_TIME] = "time",
    [WORD_TIME_MS] = "time_ms",   [WORD_TIME_US] = "time_us",
    [WORD_TIME_ISO] = "time_iso", [WORD_MIN] = "min",
    [WORD_STEP] = "step",         [WORD_EXPIRE_AFTER] = "expire_after",
    [WORD_QUANTITY] = "quantity", [WORD_STATISTICS] = "statistics",
    [WORD_MAX] = "max",           [WORD_ID] = "id",
    [WORD_STATUS] = "status",     [WORD_OK] = "ok",
    [WORD_ERROR] = "error",       [WORD_LEVEL] = "level",
    [WORD_MODULE] = "module",     [WORD_TEXT] = "text",
    [WORD_ERRORS] = "errors",
};

/* ---- Meanings ---- */

void meanings_text(struct meanings *m, enum word word, const char *text)
{
    m->of[word] = (struct meaning){.kind = MEANS_VALUE, .value = {.type = SAMPLE_STRING, .s = text}};
}

void meanings_names(struct meanings *m, const struct profile_names *names)
{
    meanings_text(m, WORD_DEVICE, names->device);
    meanings_text(m, WORD_HARDWARE_ID, names->hardware_id);
    meanings_text(m, WORD_OPAQUE, names->opaque);
    meanings_text(m, WORD_GATEWAY, names->gateway);
    m->of[WORD_HOLD] = (struct meaning){.kind = MEANS_VALUE, .value = {.type = SAMPLE_UINT, .t = names->hold}};
}

/* NULL or "": it means nothing. */
static void maybe_text(struct meanings *m, enum word word, const char *text)
{
    if (text && text[0])
        meanings_text(m, word, text);
    else
        m->of[word] = (struct meaning){.kind = MEANS_NOTHING};
}

void meanings_unit(struct meanings *m, const char *unit)
{
    struct json_object *o = NULL;
    bool known = m->units && json_object_object_get_ex(m->units, unit, &o) && o;

    if (known && json_object_is_type(o, json_type_object)) {
        unit = json_get_string(o, "unit") ?: unit;
        maybe_text(m, WORD_QUANTITY, json_get_string(o, "quantity"));
        maybe_text(m, WORD_STATISTICS, json_get_string(o, "statistics"));
    } else {
        unit = known ? json_object_get_string(o) : unit;
        maybe_text(m, WORD_QUANTITY, NULL);
        maybe_text(m, WORD_STATISTICS, NULL);
    }
    maybe_text(m, WORD_UNIT, unit);
}

void meanings_sample(struct meanings *m, const struct sample *s, char *name)
{
    const char *suffix = quality_suffix(s->quality);

    snprintf(name, SAMPLE_NAME_MAX, "%s%s", s->point, m->plain_names ? "" : suffix);
    meanings_text(m, WORD_POINT, name);
    meanings_text(m, WORD_QUALITY, suffix[0] ? suffix + 1 : "good");
    meanings_unit(m, s->unit);
    m->of[WORD_VALUE] = (struct meaning){.kind = MEANS_VALUE, .value = s->value};
}

void meanings_time(struct meanings *m, uint64_t usec)
{
    m->of[WORD_TIME] = (struct meaning){.kind = MEANS_SECONDS, .usec = usec};
    m->of[WORD_TIME_ISO] = (struct meaning){.kind = MEANS_ISO, .usec = usec};
    m->of[WORD_TIME_MS] =
        (struct meaning){.kind = MEANS_VALUE, .value = {.type = SAMPLE_UINT, .t = usec / USEC_PER_MSEC}};
    m->of[WORD_TIME_US] = (struct meaning){.kind = MEANS_VALUE, .value = {.type = SAMPLE_UINT, .t = usec}};
}

/* ---- Words in a text ---- */

#define WORD_CHARACTERS "abcdefghijklmnopqrstuvwxyz_"

bool template_next(const char *text, enum word *ret_word, const char **ret_at, const char **ret_end)
{
    const char *p = text;

    while ((p = strchr(p, '{'))) {
        size_t n;

        if (p[1] == '{') {
            const char *end = strstr(p, "}}");

            if (!end)
                return false;
            p = end + 2;
            continue;
        }
        n = strspn(p + 1, WORD_CHARACTERS);
        if (n == 0 || p[1 + n] != '}') {
            p++;
            continue;
        }
        *ret_word = WORDS;
        for (unsigned word = 0; word < WORDS; word++)
            if (strlen(word_names[word]) == n && memcmp(p + 1, word_names[word], n) == 0)
                *ret_word = (enum word)word;
        *ret_at = p;
        *ret_end = p + n + 2;
        return true;
    }
    return false;
}

bool template_says(const char *text, enum word word)
{
    const char *at, *end;
    enum word found;

    for (; template_next(text, &found, &at, &end); text = end)
        if (found == word)
            return true;
    return false;
}

/* The one word that is all of the text, or WORDS. */
static enum word whole_word(const char *text)
{
    const char *at, *end;
    enum word word;

    return template_next(text, &word, &at, &end) && at == text && !*end ? word : WORDS;
}

static bool plain_in(unsigned char c, enum escape escape)
{
    if (escape == ESCAPE_TOPIC)
        return !strchr("/+#", c) && c >= 0x20 && c != 0x7f;
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("-._~", c));
}

static void put_escaped(struct strbuf *b, const char *text, enum escape escape)
{
    for (; *text; text++)
        if (escape == ESCAPE_NONE || plain_in((unsigned char)*text, escape))
            strbuf_add(b, text, 1);
        else
            strbuf_printf(b, "%%%02X", (unsigned)(unsigned char)*text);
}

/* A point's name ends in "/bad" and the like where the value is not good: a level or segment of its own. */
static void put_point(struct strbuf *b, const char *name, enum escape escape)
{
    const char *slash = escape == ESCAPE_NONE ? NULL : strrchr(name, '/');
    _cleanup_free_ char *point = NULL;

    if (!slash || !quality_suffix_is(slash)) {
        put_escaped(b, name, escape);
        return;
    }
    point = strndup(name, (size_t)(slash - name));
    if (!point)
        b->failed = -ENOMEM;
    else
        put_escaped(b, point, escape);
    strbuf_puts(b, slash);
}

static const char *json_text(struct json_object *o)
{
    return json_object_is_type(o, json_type_string)
               ? json_object_get_string(o)
               : json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

static void put_meaning(struct strbuf *b, const struct meanings *m, enum word word, enum escape escape)
{
    const struct meaning *meaning = &m->of[word];
    struct writer w = {0};

    switch (meaning->kind) {
    case MEANS_NOTHING:
        return;
    case MEANS_SECONDS:
        seconds_format(b, false, meaning->usec);
        return;
    case MEANS_ISO:
        iso_format(b, meaning->usec);
        return;
    case MEANS_JSON:
        put_escaped(b, json_text(meaning->json) ?: "", escape);
        return;
    case MEANS_VALUE:
        break;
    }
    if (meaning->value.type == SAMPLE_STRING && word == WORD_POINT)
        put_point(b, meaning->value.s, escape);
    else if (meaning->value.type == SAMPLE_STRING)
        put_escaped(b, meaning->value.s, escape);
    else {
        writer_value(&w, &meaning->value);
        b->failed = b->failed ?: w.out.failed;
        put_escaped(b, w.out.text ?: "", escape);
        strbuf_done(&w.out);
    }
}

void template_text(struct strbuf *b, const char *template, const struct meanings *m, enum escape escape)
{
    const char *at, *end;
    enum word word;

    for (; template_next(template, &word, &at, &end); template = end) {
        strbuf_add(b, template, (size_t)(at - template));
        if (word < WORDS)
            put_meaning(b, m, word, escape);
    }
    strbuf_puts(b, template);
}

/* ---- JSON ---- */

static void write_meaning(struct writer *w, const struct meaning *meaning)
{
    struct strbuf b = {0};

    switch (meaning->kind) {
    case MEANS_NOTHING:
        writer_null(w);
        break;
    case MEANS_VALUE:
        writer_value(w, &meaning->value);
        break;
    case MEANS_SECONDS:
        writer_seconds(w, false, meaning->usec);
        break;
    case MEANS_ISO:
        iso_format(&b, meaning->usec);
        w->out.failed = w->out.failed ?: b.failed;
        writer_text(w, b.text ?: "");
        strbuf_done(&b);
        break;
    case MEANS_JSON:
        template_json(w, meaning->json, NULL);
        break;
    }
}

static void write_text(struct writer *w, const char *template, const struct meanings *m, bool key)
{
    struct strbuf b = {0};

    if (m)
        template_text(&b, template, m, ESCAPE_NONE);
    else
        strbuf_puts(&b, template);
    w->out.failed = w->out.failed ?: b.failed;
    if (key)
        writer_key(w, b.text ?: "");
    else
        writer_text(w, b.text ?: "");
    strbuf_done(&b);
}

/* Whether the member is left out: its value is just a word, which means nothing. */
static bool left_out(struct json_object *value, const struct meanings *m)
{
    enum word word =
        m && json_object_is_type(value, json_type_string) ? whole_word(json_object_get_string(value)) : WORDS;

    return word < WORDS && m->of[word].kind == MEANS_NOTHING;
}

static bool repeated(const char *key, const struct meanings *m)
{
    return m && m->n > 0 && template_says(key, WORD_POINT);
}

/* The meanings of a member that is repeated, for one of the samples. */
static struct meanings one_of(const struct meanings *m, size_t i, char *name)
{
    struct meanings one = *m;

    one.samples = NULL;
    one.n = 0;
    meanings_sample(&one, &m->samples[i], name);
    return one;
}

static size_t count_members(struct json_object *object, const struct meanings *m)
{
    char name[SAMPLE_NAME_MAX];
    size_t n = 0;

    json_object_object_foreach (object, key, value) {
        if (!repeated(key, m)) {
            n += !left_out(value, m);
            continue;
        }
        for (size_t i = 0; i < m->n; i++) {
            struct meanings one = one_of(m, i, name);

            n += !left_out(value, &one);
        }
    }
    return n;
}

static void write_member(struct writer *w, const char *key, struct json_object *value, struct meanings *m)
{
    if (left_out(value, m))
        return;
    write_text(w, key, m, true);
    template_json(w, value, m);
}

static void write_object(struct writer *w, struct json_object *object, struct meanings *m)
{
    char name[SAMPLE_NAME_MAX];

    writer_object(w, count_members(object, m));
    json_object_object_foreach (object, key, value) {
        if (!repeated(key, m)) {
            write_member(w, key, value, m);
            continue;
        }
        for (size_t i = 0; i < m->n; i++) {
            struct meanings one = one_of(m, i, name);

            write_member(w, key, value, &one);
        }
    }
    writer_object_end(w);
}

static void write_int(struct writer *w, struct json_object *o)
{
    if (json_object_get_int64(o) < 0)
        writer_int(w, json_object_get_int64(o));
    else
        writer_uint(w, json_object_get_uint64(o));
}

void template_json(struct writer *w, struct json_object *template, struct meanings *m)
{
    enum word word;

    switch (json_object_get_type(template)) {
    case json_type_null:
        writer_null(w);
        break;
    case json_type_boolean:
        writer_bool(w, json_object_get_boolean(template));
        break;
    case json_type_int:
        write_int(w, template);
        break;
    case json_type_double:
        writer_double(w, json_object_get_double(template));
        break;
    case json_type_string:
        word = m ? whole_word(json_object_get_string(template)) : WORDS;
        if (word < WORDS)
            write_meaning(w, &m->of[word]);
        else
            write_text(w, json_object_get_string(template), m, false);
        break;
    case json_type_object:
        write_object(w, template, m);
        break;
    case json_type_array:
        writer_array(w, json_object_array_length(template));
        for (size_t i = 0; i < json_object_array_length(template); i++)
            template_json(w, json_object_array_get_idx(template, i), m);
        writer_array_end(w);
        break;
    }
}

bool template_collides(struct json_object *template, struct meanings *m)
{
    if (json_object_is_type(template, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(template); i++)
            if (template_collides(json_object_array_get_idx(template, i), m))
                return true;
        return false;
    }
    if (!json_object_is_type(template, json_type_object))
        return false;
    json_object_object_foreach (template, key, value) {
        struct strbuf b = {0};
        bool same = false;

        if (template_says(key, WORD_POINT)) {
            template_text(&b, key, m, ESCAPE_NONE);
            same = b.text && json_object_object_get_ex(template, b.text, NULL);
            strbuf_done(&b);
        }
        if (same || template_collides(value, m))
            return true;
    }
    return false;
}

bool template_json_says(struct json_object *template, enum word word)
{
    if (json_object_is_type(template, json_type_string))
        return template_says(json_object_get_string(template), word);
    if (json_object_is_type(template, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(template); i++)
            if (template_json_says(json_object_array_get_idx(template, i), word))
                return true;
        return false;
    }
    if (!json_object_is_type(template, json_type_object))
        return false;
    json_object_object_foreach (template, key, value)
        if (template_says(key, word) || template_json_says(value, word))
            return true;
    return false;
}

/* ---- Checks ---- */

static void words_text(unsigned allowed, struct strbuf *b)
{
    for (unsigned word = 0; word < WORDS; word++)
        if (allowed & WORD_BIT(word))
            strbuf_printf(b, "%s{%s}", b->length > 0 ? ", " : "", word_names[word]);
}

/* Of a {{ that is not closed, in what is behind the last word. */
static const char *unclosed(const char *text)
{
    while ((text = strstr(text, "{{"))) {
        const char *end = strstr(text, "}}");

        if (!end)
            return text;
        text = end + 2;
    }
    return NULL;
}

static void check(struct reader *r, uint32_t node, bool key, const char *text, unsigned allowed)
{
    void (*mistake)(struct reader * r, uint32_t node, const char *format, ...) __attribute__((format(printf, 3, 4))) =
        key ? reader_mistake_key : reader_mistake;
    const char *at, *end;
    enum word word;

    for (; template_next(text, &word, &at, &end); text = end) {
        _cleanup_(strbuf_done) struct strbuf b = {0};

        if (word < WORDS && (allowed & WORD_BIT(word)))
            continue;
        words_text(allowed, &b);
        mistake(r, node, "%.*s means nothing here; known here: %s", (int)MIN_OF(end - at, 40L), at,
                b.text ?: "no word");
    }
    at = unclosed(text);
    if (at)
        mistake(r, node, "expected }} somewhere behind \"%.40s\"", at);
}

void template_check_text(struct reader *r, uint32_t node, const char *text, unsigned allowed)
{
    check(r, node, false, text, allowed);
}

/* The first brace that is neither a word's nor of a {{ }}. */
static const char *stray_brace(const char *text)
{
    const char *p = text;

    while ((p = strpbrk(p, "{}"))) {
        size_t n = *p == '{' ? strspn(p + 1, WORD_CHARACTERS) : 0;

        if (p[0] == '{' && p[1] == '{') {
            p = strstr(p, "}}");
            if (!p)
                return NULL; /* has been told */
            p += 2;
            continue;
        }
        if (n == 0 || p[1 + n] != '}')
            return p;
        p += n + 2;
    }
    return NULL;
}

void template_check_target(struct reader *r, uint32_t node, const char *text, unsigned allowed)
{
    const char *brace = stray_brace(text);
    size_t n = brace ? strspn(brace + 1, WORD_CHARACTERS) : 0;

    check(r, node, false, text, allowed);
    if (brace && *brace == '}')
        reader_mistake(r, node, "expected a word in braces, such as {device}, before \"%.40s\"", brace);
    else if (brace && n > 0)
        reader_mistake(r, node, "expected } behind \"%.*s\", as in {device}", (int)MIN_OF(n + 1, (size_t)40), brace);
    else if (brace)
        reader_mistake(r, node, "expected a word and }, as in {device}, at \"%.40s\"", brace);
}

void template_check_json(struct reader *r, struct value v, unsigned allowed, unsigned more)
{
    char index[24];

    if (json_object_is_type(v.json, json_type_string))
        check(r, v.node, false, json_object_get_string(v.json), allowed);
    else if (json_object_is_type(v.json, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(v.json); i++) {
            snprintf(index, sizeof(index), "%zu", i);
            template_check_json(
                r, (struct value){json_object_array_get_idx(v.json, i), prescan_child(r->map, v.node, index)}, allowed,
                more);
        }
    } else if (json_object_is_type(v.json, json_type_object)) {
        json_object_object_foreach (v.json, key, member) {
            unsigned here = template_says(key, WORD_POINT) ? allowed | more : allowed;
            uint32_t node = prescan_child(r->map, v.node, key);

            check(r, node, true, key, here);
            template_check_json(r, (struct value){member, node}, here, here == allowed ? more : 0);
        }
    }
}
