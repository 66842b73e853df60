/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From where commands come, and what is answered: "commands" of a profile. */
#include "payload/internal.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

#define CAPTURES (WORD_BIT(WORD_ID) | WORD_BIT(WORD_POINT))

static struct value element(struct reader *r, struct value list, size_t i)
{
    char index[24];

    snprintf(index, sizeof(index), "%zu", i);
    return (struct value){json_object_array_get_idx(list.json, i), prescan_child(r->map, list.node, index)};
}

static bool pointer_good(const char *text)
{
    return !text[0] || text[0] == '/';
}

static void read_pointer(struct reader *r, struct value v, const char *key, char **ret)
{
    const char *text;
    struct value at;

    if (!reader_string(r, v, key, false, &text))
        return;
    reader_member(r, v, key, true, &at);
    if (!pointer_good(text))
        reader_mistake(r, at.node,
                       "\"%.64s\" is not a JSON pointer; expected one such as \"/params/0\", or \"\" for all", text);
    profile_copy(r, text, ret);
}

/* One pointer, or a list of them. */
static void read_values(struct reader *r, struct value v, struct profile_source *s)
{
    struct value list;
    size_t n = 1;

    if (!reader_member(r, v, "value", false, &list))
        return;
    if (json_object_is_type(list.json, json_type_array))
        n = json_object_array_length(list.json);
    s->values = calloc(n + 2, sizeof(*s->values));
    if (!s->values) {
        r->mistakes->failed = -ENOMEM;
        return;
    }
    if (!json_object_is_type(list.json, json_type_array)) {
        read_pointer(r, v, "value", &s->values[0]);
        return;
    }
    if (n == 0)
        reader_mistake(r, list.node, "expected a JSON pointer such as \"/params/0\", or a list of such");
    for (size_t i = 0; i < n; i++) {
        struct value one = element(r, list, i);
        const char *text = json_object_is_type(one.json, json_type_string) ? json_object_get_string(one.json) : " ";

        if (!pointer_good(text))
            reader_mistake(r, one.node, "expected a JSON pointer such as \"/params/0\", or \"\" for all");
        profile_copy(r, text, &s->values[i]);
    }
}

static void read_when(struct reader *r, struct value v, struct profile_source *s)
{
    struct value when;

    if (!reader_object(r, v, "when", false, &when))
        return;
    s->when = calloc((size_t)json_object_object_length(when.json) + 1, sizeof(*s->when));
    if (!s->when) {
        r->mistakes->failed = -ENOMEM;
        return;
    }
    json_object_object_foreach (when.json, pointer, value) {
        if (!pointer_good(pointer))
            reader_mistake_key(r, prescan_child(r->map, when.node, pointer),
                               "\"%.64s\" is not a JSON pointer; expected one such as \"/method\"", pointer);
        profile_copy(r, pointer, &s->when[s->n_when].pointer);
        s->when[s->n_when++].value = json_object_get(value);
    }
}

static void read_ignore(struct reader *r, struct value v, struct profile_source *s)
{
    struct value list;

    if (!reader_member(r, v, "ignore", false, &list))
        return;
    if (!json_object_is_type(list.json, json_type_array))
        reader_mistake(r, list.node, "\"ignore\" is not a list of messages such as [null, \"OK\"]");
    else
        s->ignore = json_object_get(list.json);
}

static void read_locations(struct reader *r, struct value v, struct profile_source *s, unsigned *captured)
{
    struct value list;
    size_t n;

    if (!reader_member(r, v, "location", false, &list))
        return;
    n = json_object_is_type(list.json, json_type_array) ? json_object_array_length(list.json) : 0;
    if (n == 0)
        reader_mistake(r, list.node, "expected a list of locations such as [\"c/{id}\"]");
    s->locations = calloc(n + 1, sizeof(*s->locations));
    if (!s->locations) {
        r->mistakes->failed = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct value one = element(r, list, i);
        const char *text = json_object_is_type(one.json, json_type_string) ? json_object_get_string(one.json) : "";

        if (!text[0] || text[0] == '/')
            reader_mistake(r, one.node, "expected a location such as \"c/{id}\", without a leading /");
        template_check_target(r, one.node, text, WORDS_NAMES | CAPTURES);
        *captured |= template_says(text, WORD_ID) ? WORD_BIT(WORD_ID) : 0;
        *captured |= template_says(text, WORD_POINT) ? WORD_BIT(WORD_POINT) : 0;
        profile_copy(r, text, &s->locations[i]);
    }
}

/* A word takes the whole of its level. */
static void check_levels(struct reader *r, uint32_t node, const char *topic)
{
    const char *rest = topic, *at, *end;
    enum word word;

    for (; template_next(rest, &word, &at, &end); rest = end)
        if ((word == WORD_ID || word == WORD_POINT) && ((at > topic && at[-1] != '/') || (*end && *end != '/')))
            reader_mistake(r, node, "%.*s shares its level of the topic with other text; it stands for a whole one",
                           (int)(end - at), at);
}

static const char *const source_keys[] = {"observe", "topic", "poll",   "every", "accept", "location",
                                          "ignore",  "when",  "id",     "point", "format", "value",
                                          "members", "reply", "status", "ask",   "report", NULL};

/* Which of the ways it is; notes what does not belong together. */
static void read_kind(struct reader *r, struct value v, struct profile *p, struct profile_source *s, unsigned *captured)
{
    const char *key = p->transport == PROFILE_MQTT ? "topic" : "observe", *text;
    bool poll = p->transport == PROFILE_COAP && json_object_object_get_ex(v.json, "poll", NULL);
    static const char *const formats[] = {"json", "cbor", NULL};
    unsigned accept, format = 0;
    struct value at;

    s->accept = poll || p->transport == PROFILE_MQTT ? -1 : CONTENT_FORMAT_JSON;
    if (poll) {
        s->kind = PROFILE_POLL;
        if (reader_object(r, v, "poll", true, &at))
            profile_read_poll(r, at, p, &s->request);
        reader_duration(r, v, "every", 0, USEC_PER_DAY, &s->interval);
        read_locations(r, v, s, captured);
    } else if (reader_string(r, v, key, true, &text)) {
        s->kind = PROFILE_SUBSCRIBE;
        s->request.method = PROFILE_GET;
        reader_member(r, v, key, true, &at);
        template_check_target(r, at.node, text, WORDS_NAMES | (p->transport == PROFILE_MQTT ? CAPTURES : 0));
        if (strpbrk(text, "+#") || !text[0] || (p->transport == PROFILE_COAP && text[0] == '/'))
            reader_mistake(r, at.node, "expected %s",
                           p->transport == PROFILE_MQTT
                               ? "a topic; a level that may be anything is written {id} or {point}, not + or #"
                               : "a path such as \"commands\", without a leading /");
        if (p->transport == PROFILE_MQTT) {
            check_levels(r, at.node, text);
            *captured |= template_says(text, WORD_ID) ? WORD_BIT(WORD_ID) : 0;
            *captured |= template_says(text, WORD_POINT) ? WORD_BIT(WORD_POINT) : 0;
        }
        profile_copy(r, text, &s->request.target);
    }
    if (p->transport == PROFILE_COAP && reader_unsigned(r, v, "accept", 0, UINT16_MAX, &accept))
        s->accept = (int)accept;
    s->cbor = content_format_cbor(s->accept);
    if (p->transport == PROFILE_MQTT && reader_word(r, v, "format", formats, &format))
        s->cbor = format == 1;
}

/* Keys that another way of listening has, or none. */
static void check_kind_keys(struct reader *r, struct value v, const struct profile *p, const struct profile_source *s)
{
    static const struct {
        const char *key;
        bool observe, topic, poll;
    } table[] = {{"observe", true, false, false}, {"topic", false, true, false},    {"poll", false, false, true},
                 {"every", false, false, true},   {"location", false, false, true}, {"accept", true, false, true},
                 {"format", false, true, false},  {"ask", false, true, false}};
    bool mqtt = p->transport == PROFILE_MQTT, poll = s->kind == PROFILE_POLL;
    struct value at;

    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        if (!(mqtt   ? table[i].topic
              : poll ? table[i].poll
                     : table[i].observe) &&
            reader_member(r, v, table[i].key, false, &at))
            reader_mistake_key(r, at.node, "\"%s\" does not go with %s", table[i].key,
                               mqtt   ? "transport \"mqtt\", where commands come by \"topic\""
                               : poll ? "\"poll\""
                                      : "\"observe\"");
}

static void read_status(struct reader *r, struct value v, struct profile_source *s)
{
    static const char *const names[] = {[PROFILE_DONE] = "done",       [PROFILE_INVALID] = "invalid",
                                        [PROFILE_DENIED] = "denied",   [PROFILE_UNAVAILABLE] = "unavailable",
                                        [PROFILE_BUSY] = "busy",       [PROFILE_FAILED] = "failed",
                                        [PROFILE_UNKNOWN] = "unknown", [PROFILE_RANGE] = "range",
                                        [PROFILE_KIND] = "kind",       [PROFILE_OUTCOMES] = NULL};
    static const struct {
        enum profile_outcome finer, coarser;
    } pairs[] = {{PROFILE_UNKNOWN, PROFILE_INVALID}, {PROFILE_RANGE, PROFILE_DENIED}, {PROFILE_KIND, PROFILE_DENIED}};
    json_object *status = NULL;

    profile_read_words(r, v, "status", names, s->status);
    (void)json_object_object_get_ex(v.json, "status", &status);
    for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
        if (json_object_object_get_ex(status, names[pairs[i].finer], NULL))
            continue;
        json_object_put(s->status[pairs[i].finer]);
        s->status[pairs[i].finer] = json_object_get(s->status[pairs[i].coarser]);
    }
}

/* One answer to a message with many writes. */
static void read_report(struct reader *r, struct value v, struct profile *p, struct profile_source *s)
{
    static const char *const keys[] = {"body", "text", "error", NULL};
    unsigned words = WORDS_NAMES | WORDS_REPORT;
    struct value report, error, at;

    s->report.content_format = -1;
    if (!reader_object(r, v, "report", false, &report))
        return;
    if (!s->members)
        reader_mistake(r, report.node, "\"report\" is for \"members\"; expected \"reply\"");
    if (reader_member(r, v, "reply", false, &at))
        reader_mistake(r, at.node, "\"reply\" beside \"report\"; a message is answered by one of them");
    if (!s->id)
        words &= ~WORD_BIT(WORD_ID);
    if (profile_read_request(r, report, p, keys, words, &s->report))
        profile_read_body(r, report, p, words, &s->report);
    if (!reader_object(r, report, "error", true, &error))
        return;
    template_check_json(r, error, WORDS_NAMES | WORD_BIT(WORD_POINT) | WORD_BIT(WORD_STATUS) | WORD_BIT(WORD_ERROR), 0);
    s->report_error = json_object_get(error.json);
}

/* Checks the sources of the point's name and of the value to write. */
static void check_content(struct reader *r, struct value v, const struct profile_source *s, unsigned captured)
{
    bool point = s->point || (captured & WORD_BIT(WORD_POINT));

    if (s->members && (point || s->values))
        reader_mistake(r, v.node,
                       "\"members\" names points and values; \"point\", {point} and \"value\" do not go with it");
    if (!s->members && !point)
        reader_mistake(r, v.node,
                       "nothing says which point; expected \"point\", {point} in what is captured, or \"members\"");
    if (!s->members && !s->values)
        reader_mistake(r, v.node, "nothing says which value; expected \"value\" or \"members\"");
    if (s->point && (captured & WORD_BIT(WORD_POINT)))
        reader_mistake(r, v.node, "\"point\" beside a {point} that is captured; a command has one of them");
    if (s->id && (captured & WORD_BIT(WORD_ID)))
        reader_mistake(r, v.node, "\"id\" beside an {id} that is captured; a command has one of them");
}

/* Asked when it is listened to: what a broker does not tell by itself. */
static void read_ask(struct reader *r, struct value v, struct profile *p, struct profile_source *s)
{
    static const char *const body_keys[] = {"body", "text", NULL};
    struct value ask;

    s->ask.content_format = -1;
    if (p->transport != PROFILE_MQTT || !reader_object(r, v, "ask", false, &ask))
        return;
    if (profile_read_request(r, ask, p, body_keys, WORDS_NAMES, &s->ask))
        profile_read_body(r, ask, p, WORDS_NAMES, &s->ask);
}

static void read_source(struct reader *r, struct value v, struct profile *p, struct profile_source *s)
{
    static const char *const reply_keys[] = {"body", "text", NULL};
    unsigned captured = 0, words = WORDS_NAMES | WORDS_OUTCOME;
    struct value reply;

    if (!json_object_is_type(v.json, json_type_object)) {
        reader_mistake(r, v.node, "expected an object {...} with \"observe\", \"topic\" or \"poll\"");
        return;
    }
    reader_known(r, v, source_keys);
    read_kind(r, v, p, s, &captured);
    check_kind_keys(r, v, p, s);
    read_ask(r, v, p, s);
    read_ignore(r, v, s);
    read_when(r, v, s);
    read_pointer(r, v, "id", &s->id);
    read_pointer(r, v, "point", &s->point);
    read_values(r, v, s);
    read_pointer(r, v, "members", &s->members);
    check_content(r, v, s, captured);
    read_status(r, v, s);
    read_report(r, v, p, s);
    s->reply.content_format = -1;
    if (!s->id && !(captured & WORD_BIT(WORD_ID)))
        words &= ~WORD_BIT(WORD_ID);
    if (!reader_object(r, v, "reply", false, &reply) ||
        !profile_read_request(r, reply, p, reply_keys, words, &s->reply))
        return;
    s->reply_follows = s->reply.content_format < 0;
    profile_read_body(r, reply, p, words, &s->reply);
    s->reply_follows &= s->reply.body != NULL;
}

void profile_read_sources(struct reader *r, struct value root, struct profile *p)
{
    struct value list;
    size_t n;

    if (!reader_member(r, root, "commands", false, &list))
        return;
    if (!json_object_is_type(list.json, json_type_array)) {
        reader_mistake(r, list.node, "\"commands\" is not a list [{...}] of where commands come from");
        return;
    }
    n = json_object_array_length(list.json);
    if (n > PROFILE_SOURCES_MAX) {
        reader_mistake(r, list.node, "over %d sources of commands", PROFILE_SOURCES_MAX);
        return;
    }
    p->sources = calloc(n + 1, sizeof(*p->sources));
    if (!p->sources) {
        r->mistakes->failed = -ENOMEM;
        return;
    }
    for (; p->n_sources < n; p->n_sources++) {
        struct profile_source *s = &p->sources[p->n_sources];

        s->request.content_format = -1;
        read_source(r, element(r, list, p->n_sources), p, s);
    }
}
