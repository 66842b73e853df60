/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A profile's file, except "responses" and "commands". */
#include "payload/internal.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

#define TIME_OPTION_MIN 2048 /* those below are standardised, and mean something else (RFC 7252 section 12.2) */

static const char *const body_keys[] = {"body", "text", NULL};

/* The content format of a body in this format. */
static int content_format(const struct profile *p)
{
    switch (p->format) {
    case PROFILE_SENML_JSON:
        return CONTENT_FORMAT_SENML_JSON;
    case PROFILE_SENML_CBOR:
        return CONTENT_FORMAT_SENML_CBOR;
    case PROFILE_JSON:
        break;
    }
    return CONTENT_FORMAT_JSON;
}

/* ---- Samples ---- */

static void read_telemetry(struct reader *r, struct value root, struct profile *p)
{
    static const char *const none[] = {NULL};
    struct value v;

    p->telemetry.content_format = content_format(p);
    if (reader_object(r, root, "telemetry", true, &v))
        profile_read_request(r, v, p, none, WORDS_NAMES | WORD_BIT(WORD_POINT), &p->telemetry);
    if (p->telemetry.target && template_says(p->telemetry.target, WORD_POINT))
        p->record.group_time = false; /* a message is of one point */
}

/* Keys of the one format in a profile of the other. */
static void check_format_keys(struct reader *r, struct value root, const struct profile *p)
{
    static const char *const of_json[] = {"record", "group", "batch", NULL}, *const of_senml[] = {"base_name", NULL};
    const char *const *keys = p->format == PROFILE_JSON ? of_senml : of_json;
    struct value v;

    for (; *keys; keys++)
        if (reader_member(r, root, *keys, false, &v))
            reader_mistake_key(r, v.node, "\"%s\" does not go with this profile's format, which is of %s", *keys,
                               p->format == PROFILE_JSON ? "\"json\"" : "SenML");
}

static void read_record(struct reader *r, struct value root, struct profile *p)
{
    static const char *const groups[] = {"time", "sample", NULL};
    static const char *const batches[] = {"array", "single", "when-many", NULL};
    unsigned word = 0, words = WORDS_NAMES | WORDS_TIME;
    struct value v;

    reader_word(r, root, "group", groups, &word);
    p->record.group_time = word == 0 && (!p->telemetry.target || !template_says(p->telemetry.target, WORD_POINT));
    word = PROFILE_BATCH_ARRAY;
    reader_word(r, root, "batch", batches, &word);
    p->record.batch = (enum profile_batch)word;
    if (!reader_member(r, root, "record", true, &v))
        return;
    template_check_json(r, v, p->record.group_time ? words : words | WORDS_SAMPLE,
                        p->record.group_time ? WORDS_SAMPLE : 0);
    if (!template_json_says(v.json, WORD_VALUE))
        reader_mistake(r, v.node, "\"record\" says {value} nowhere, so no sample would be in it");
    p->record.quality = template_json_says(v.json, WORD_QUALITY);
    p->record.json = json_object_get(v.json);
}

static void read_unit(struct reader *r, struct value v)
{
    static const char *const known[] = {"unit", "quantity", "statistics", NULL};
    const char *text;

    reader_known(r, v, known);
    for (size_t i = 0; known[i]; i++)
        reader_string(r, v, known[i], false, &text);
}

/* Reads the units: our name of each, and the cloud's. */
static void read_units(struct reader *r, struct value root, struct profile *p)
{
    struct value v;

    if (!reader_object(r, root, "units", false, &v))
        return;
    json_object_object_foreach (v.json, unit, other) {
        struct value one = {other, prescan_child(r->map, v.node, unit)};

        if (json_object_is_type(other, json_type_object))
            read_unit(r, one);
        else if (!json_object_is_type(other, json_type_string))
            reader_mistake(
                r, one.node,
                "expected what \"%.32s\" is called there, a text, or an object of \"unit\", \"quantity\" and "
                "\"statistics\"",
                unit);
    }
    p->units = json_object_get(v.json);
}

static void read_senml(struct reader *r, struct value root, struct profile *p)
{
    const char *base_name = "{device}:";
    struct value v;

    if (reader_string(r, root, "base_name", false, &base_name)) {
        reader_member(r, root, "base_name", true, &v);
        if (strlen(base_name) > SAMPLE_TEXT_MAX)
            reader_mistake(r, v.node, "\"base_name\" has over %d bytes", SAMPLE_TEXT_MAX);
        template_check_target(r, v.node, base_name, WORDS_NAMES);
    }
    profile_copy(r, base_name, &p->record.base_name);
}

/* ---- Other messages ---- */

static void read_probe(struct reader *r, struct value root, struct profile *p)
{
    static const char *const coap_more[] = {"body", "text", NULL}, *const mqtt_more[] = {"body", "text", "read_back",
                                                                                         NULL};
    bool mqtt = p->transport == PROFILE_MQTT;
    struct value v, at;

    p->probe.request.content_format = -1;
    if (!reader_member(r, root, "probe", true, &v))
        return;
    if (json_object_is_type(v.json, json_type_string) && strcmp(json_object_get_string(v.json), "none") == 0) {
        p->probe.none = true;
        if (!mqtt)
            reader_mistake(r, v.node,
                           "\"none\" is for transport \"mqtt\" only; expected a request {...} that the server answers");
        return;
    }
    if (!reader_object(r, root, "probe", true, &v))
        return;
    p->probe.reads_back = mqtt;
    if (mqtt)
        reader_bool(r, v, "read_back", &p->probe.reads_back);
    if (!profile_read_request(r, v, p, mqtt ? mqtt_more : coap_more, WORDS_NAMES, &p->probe.request))
        return;
    if (p->probe.request.retain) {
        reader_member(r, v, "retain", true, &at);
        reader_mistake(r, at.node,
                       "the broker would give a probe that it keeps to a later key too, which may not publish, so it "
                       "would prove nothing; expected false");
    }
    if (!mqtt && p->probe.request.content_format < 0 && json_object_object_get_ex(v.json, "body", NULL))
        p->probe.request.content_format = content_format(p);
    if (!json_object_object_get_ex(v.json, "body", NULL) && !json_object_object_get_ex(v.json, "text", NULL))
        reader_mistake(r, v.node, "\"body\" is missing here, or \"text\"");
    profile_read_body(r, v, p, WORDS_NAMES, &p->probe.request);
}

/* A message with a target and a body, and nothing else. */
static void read_message(struct reader *r, struct value root, const char *key, unsigned words, const struct profile *p,
                         struct profile_request *ret)
{
    struct value v;

    ret->content_format = -1;
    if (reader_object(r, root, key, false, &v) && profile_read_request(r, v, p, body_keys, words, ret))
        profile_read_body(r, v, p, words, ret);
}

void profile_read_words(struct reader *r, struct value v, const char *key, const char *const names[],
                        struct json_object **ret)
{
    struct value status, one;

    for (size_t i = 0; names[i]; i++)
        ret[i] = json_object_new_string(names[i]);
    if (!reader_object(r, v, key, false, &status))
        return;
    reader_known(r, status, names);
    for (size_t i = 0; names[i]; i++) {
        if (!reader_member(r, status, names[i], false, &one))
            continue;
        if (json_object_is_type(one.json, json_type_object) || json_object_is_type(one.json, json_type_array))
            reader_mistake(r, one.node, "expected a number, a text, or null for none");
        json_object_put(ret[i]);
        ret[i] = json_object_get(one.json);
    }
}

static void read_availability(struct reader *r, struct value root, struct profile *p)
{
    static const char *const more[] = {"body", "text", "status", NULL};
    const char *names[SENSOR_STATES + 1] = {0};
    unsigned words = WORDS_NAMES | WORDS_AVAILABILITY;
    struct value v;

    p->availability.request.content_format = -1;
    if (!reader_object(r, root, "availability", false, &v))
        return;
    for (int i = 0; i < SENSOR_STATES; i++)
        names[i] = sensor_state_name((enum sensor_state)i);
    profile_read_words(r, v, "status", names, p->availability.status);
    if (profile_read_request(r, v, p, more, words, &p->availability.request))
        profile_read_body(r, v, p, words, &p->availability.request);
}

static void read_log(struct reader *r, struct value root, struct profile *p)
{
    static const char *const more[] = {"body", "text", "levels", NULL};
    static const char *const levels[] = {[PROFILE_ERROR] = "error",
                                         [PROFILE_WARNING] = "warning",
                                         [PROFILE_INFO] = "info",
                                         [PROFILE_DEBUG] = "debug",
                                         [PROFILE_LEVELS] = NULL};
    unsigned words = WORDS_NAMES | WORDS_LOG;
    struct value v;

    p->log.request.content_format = -1;
    if (!reader_object(r, root, "log", false, &v))
        return;
    profile_read_words(r, v, "levels", levels, p->log.levels);
    if (profile_read_request(r, v, p, more, words, &p->log.request))
        profile_read_body(r, v, p, words, &p->log.request);
}

static void read_will(struct reader *r, struct value root, struct profile *p)
{
    struct value v;

    if (p->transport != PROFILE_MQTT && reader_member(r, root, "will", false, &v))
        reader_mistake_key(r, v.node, "\"will\" is of MQTT, and this profile's transport is \"coap\"");
    else
        read_message(r, root, "will", WORDS_NAMES, p, &p->will);
}

/* The option is sent to servers that may not know it, so it has to be one that they may leave aside: an even number. */
static void read_server_time(struct reader *r, struct value root, struct profile *p)
{
    static const char *const keys[] = {"option", "unit", NULL}, *const units[] = {"s", "ms", "us", NULL};
    static const uint64_t lengths[] = {USEC_PER_SEC, USEC_PER_MSEC, 1};
    unsigned option = 0, unit = 1;
    struct value v, at;

    if (!reader_member(r, root, "server_time", false, &v))
        return;
    if (p->transport == PROFILE_MQTT) {
        reader_mistake_key(r, v.node, "\"server_time\" is of CoAP, and this profile's transport is \"mqtt\"");
        return;
    }
    if (!reader_object(r, root, "server_time", true, &v))
        return;
    reader_known(r, v, keys);
    reader_word(r, v, "unit", units, &unit);
    p->time.unit = lengths[unit];
    if (!reader_member(r, v, "option", true, &at) ||
        !reader_unsigned(r, v, "option", TIME_OPTION_MIN, UINT16_MAX, &option))
        return;
    if (option & 1)
        reader_mistake(r, at.node,
                       "%u is critical: a server that does not know it refuses the request; expected an even number",
                       option);
    p->time.option = (uint16_t)option;
}

/* Of which points; without it, of all of them, as soon as they are configured. */
static void read_kinds(struct reader *r, struct value v, struct profile_announcement *a)
{
    static const char *const kinds[POINT_KINDS] = {
        [POINT_BOOLEAN] = "boolean", [POINT_NUMBER] = "number", [POINT_TEXT] = "text"};
    struct value list;

    a->kinds = ~0U;
    if (!reader_member(r, v, "kinds", false, &list))
        return;
    a->kinds = 0;
    if (a->each == PROFILE_EACH_DEVICE)
        reader_mistake_key(r, list.node, "\"kinds\" are those of points; expected \"each\": \"point\" or \"writable\"");
    for (size_t i = 0; json_object_is_type(list.json, json_type_array) && i < json_object_array_length(list.json);
         i++) {
        json_object *one = json_object_array_get_idx(list.json, i);

        for (unsigned kind = POINT_BOOLEAN; kind < POINT_KINDS; kind++)
            if (json_object_is_type(one, json_type_string) && strcmp(json_object_get_string(one), kinds[kind]) == 0)
                a->kinds |= 1U << kind;
    }
    if (!json_object_is_type(list.json, json_type_array) || json_object_array_length(list.json) == 0 ||
        json_object_array_length(list.json) != (size_t)__builtin_popcount(a->kinds))
        reader_mistake(r, list.node, "expected a list of some of \"boolean\", \"number\", \"text\", each once");
}

static void read_announcement(struct reader *r, struct value v, const struct profile *p, struct profile_announcement *a)
{
    static const char *const more[] = {"each", "kinds", "body", "text", NULL};
    static const char *const each[] = {"device", "point", "writable", NULL};
    unsigned word = PROFILE_EACH_DEVICE, words;

    a->request.content_format = -1;
    if (!json_object_is_type(v.json, json_type_object)) {
        reader_mistake(r, v.node, "expected an announcement {...}");
        return;
    }
    reader_word(r, v, "each", each, &word);
    a->each = (enum profile_each)word;
    read_kinds(r, v, a);
    words = a->each == PROFILE_EACH_DEVICE ? WORDS_NAMES : WORDS_NAMES | WORDS_POINT;
    if (profile_read_request(r, v, p, more, words, &a->request))
        profile_read_body(r, v, p, words, &a->request);
}

static void read_announcements(struct reader *r, struct value root, struct profile *p)
{
    struct value list;
    size_t n;

    if (!reader_member(r, root, "announcements", false, &list))
        return;
    n = json_object_is_type(list.json, json_type_array) ? json_object_array_length(list.json) : SIZE_MAX;
    if (n > PROFILE_ANNOUNCEMENTS_MAX) {
        reader_mistake(r, list.node, "expected a list [{...}] of at most %d announcements", PROFILE_ANNOUNCEMENTS_MAX);
        return;
    }
    p->announcements = calloc(n + 1, sizeof(*p->announcements));
    if (!p->announcements) {
        r->mistakes->failed = -ENOMEM;
        return;
    }
    for (; p->n_announcements < n; p->n_announcements++) {
        char index[24];

        snprintf(index, sizeof(index), "%zu", p->n_announcements);
        read_announcement(r,
                          (struct value){json_object_array_get_idx(list.json, p->n_announcements),
                                         prescan_child(r->map, list.node, index)},
                          p, &p->announcements[p->n_announcements]);
    }
}

/* Ids have letters, digits and a few others: those that this cloud does not take. */
static void read_without(struct reader *r, struct value root, struct profile *p)
{
    const char *text;
    struct value v;

    if (!reader_string(r, root, "without", false, &text))
        return;
    reader_member(r, root, "without", true, &v);
    if (!text[0] || text[strspn(text, "._-")])
        reader_mistake(r, v.node, "expected some of the characters . _ - that ids may have, such as \".\"");
    profile_copy(r, text, &p->without);
}

static void read_order(struct reader *r, struct value root, struct profile *p)
{
    static const char *const orders[] = {"oldest", "latest", NULL};
    unsigned word = 0;

    reader_word(r, root, "order", orders, &word);
    p->latest = word == 1;
}

/* ---- The whole ---- */

static const char *const root_keys[] = {
    "description", "transport",   "format",       "max_payload",   "drain_rate", "telemetry", "base_name", "record",
    "group",       "batch",       "probe",        "announcements", "will",       "log",       "units",     "commands",
    "responses",   "server_time", "availability", "without",       "order",      NULL};

int profile_read(struct reader *r, struct profile *p)
{
    static const char *const transports[] = {"coap", "mqtt", NULL};
    static const char *const formats[] = {"senml-json", "senml-cbor", "json", NULL};
    unsigned transport = PROFILE_COAP, format = PROFILE_SENML_JSON;
    uint64_t max_payload = PROFILE_PAYLOAD_DEFAULT;
    const char *description;
    struct value root = reader_root(r);

    if (!json_object_is_type(root.json, json_type_object)) {
        reader_mistake(r, root.node, "expected an object {...} with format, telemetry, probe and responses");
        return -EBADMSG;
    }
    reader_known(r, root, root_keys);
    reader_string(r, root, "description", false, &description);
    reader_word(r, root, "transport", transports, &transport);
    reader_word(r, root, "format", formats, &format);
    p->transport = (enum profile_transport)transport;
    p->format = (enum profile_format)format;
    reader_size(r, root, "max_payload", CONFIG_PAYLOAD_MIN, COAP_BODY_MAX, &max_payload);
    p->max_payload = (size_t)max_payload;
    reader_unsigned(r, root, "drain_rate", 0, PROFILE_DRAIN_RATE_MAX, &p->drain_rate);
    read_telemetry(r, root, p);
    check_format_keys(r, root, p);
    if (p->format == PROFILE_JSON)
        read_record(r, root, p);
    else
        read_senml(r, root, p);
    read_units(r, root, p);
    read_probe(r, root, p);
    read_without(r, root, p);
    read_order(r, root, p);
    read_server_time(r, root, p);
    read_announcements(r, root, p);
    read_will(r, root, p);
    read_availability(r, root, p);
    read_log(r, root, p);
    profile_read_sources(r, root, p);
    profile_read_responses(r, root, p);
    if (r->mistakes->failed < 0)
        return r->mistakes->failed;
    return reader_good(r) ? 0 : -EBADMSG;
}
