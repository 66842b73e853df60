/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages as a profile writes them: where to, and what is in them. */
#include "payload/internal.h"

#include "base/limits.h"

#include <string.h>

#define KEYS_MAX 24

void profile_copy(struct reader *r, const char *text, char **ret)
{
    free(*ret);
    *ret = strdup(text);
    if (!*ret)
        r->mistakes->failed = -ENOMEM;
}

static bool path_good(const char *path)
{
    size_t n = strcspn(path, "?");

    if (n == 0 || strlen(path) > PROFILE_TARGET_MAX || path[0] == '/' || path[n - 1] == '/')
        return false;
    for (const char *c = path; *c; c++)
        if (*c <= 0x20 || *c >= 0x7f || *c == '#' || (c < path + n && c[0] == '/' && c[1] == '/') ||
            (*c == '?' && c > path + n))
            return false;
    return true;
}

static bool topic_good(const char *topic)
{
    if (!topic[0] || strlen(topic) > PROFILE_TARGET_MAX || topic[0] == '$')
        return false;
    for (const char *c = topic; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '+' || *c == '#')
            return false;
    return true;
}

/* Its own keys and those that a caller adds. */
static void check_keys(struct reader *r, struct value v, bool mqtt, const char *const more[])
{
    static const char *const coap_keys[] = {"path", "method", "content_format", NULL};
    static const char *const mqtt_keys[] = {"topic", "retain", NULL};
    const char *const *of_other = mqtt ? coap_keys : mqtt_keys, *const *own = mqtt ? mqtt_keys : coap_keys;
    const char *known[KEYS_MAX] = {NULL};
    size_t n = 0;

    for (size_t i = 0; own[i]; i++)
        known[n++] = own[i];
    for (size_t i = 0; more && more[i] && n < KEYS_MAX - 4; i++)
        known[n++] = more[i];
    /* A key of the other transport is reported as such, not as unknown. */
    for (size_t i = 0; of_other[i]; i++) {
        struct value at;

        known[n] = of_other[i];
        if (!json_object_object_get_ex(v.json, of_other[i], NULL))
            continue;
        n++;
        reader_member(r, v, of_other[i], true, &at);
        reader_mistake_key(r, at.node, "\"%s\" is of %s, and this profile's transport is %s; known here: %s",
                           of_other[i], mqtt ? "CoAP" : "MQTT", mqtt ? "\"mqtt\"" : "\"coap\"",
                           mqtt ? "topic, retain" : "path, method, content_format");
    }
    known[n] = NULL;
    reader_known(r, v, known);
}

/* `asks`: its answer is what it is for. */
static void read_method(struct reader *r, struct value v, bool asks, struct profile_request *ret)
{
    static const char *const tells_words[] = {"POST", "PUT", NULL};
    static const char *const asks_words[] = {"POST", "PUT", "GET", "FETCH", NULL};
    static const enum profile_method methods[] = {PROFILE_POST, PROFILE_PUT, PROFILE_GET, PROFILE_FETCH};
    unsigned method = 0;

    reader_word(r, v, "method", asks ? asks_words : tells_words, &method);
    ret->method = methods[method];
}

static bool read_request(struct reader *r, struct value v, const struct profile *p, const char *const more[],
                         unsigned words, bool asks, struct profile_request *ret)
{
    bool mqtt = p->transport == PROFILE_MQTT;
    const char *key = mqtt ? "topic" : "path", *target;
    unsigned format;
    struct value at;

    check_keys(r, v, mqtt, more);
    ret->method = PROFILE_POST;
    if (mqtt)
        reader_bool(r, v, "retain", &ret->retain);
    else {
        read_method(r, v, asks, ret);
        if (reader_unsigned(r, v, "content_format", 0, UINT16_MAX, &format))
            ret->content_format = (int)format;
    }
    if (!reader_string(r, v, key, true, &target))
        return false;
    reader_member(r, v, key, true, &at);
    if (!(mqtt ? topic_good(target) : path_good(target)))
        reader_mistake(
            r, at.node,
            mqtt ? "\"%.64s\" is not a topic to publish to; expected one such as \"site/{device}\", without + and #"
                 : "\"%.64s\" is not a path; expected one such as \"telemetry\", without a leading /",
            target);
    template_check_target(r, at.node, target, words);
    profile_copy(r, target, &ret->target);
    return true;
}

bool profile_read_request(struct reader *r, struct value v, const struct profile *p, const char *const more[],
                          unsigned words, struct profile_request *ret)
{
    return read_request(r, v, p, more, words, false, ret);
}

bool profile_read_poll(struct reader *r, struct value v, const struct profile *p, struct profile_request *ret)
{
    static const char *const more[] = {"body", "text", NULL};

    if (!read_request(r, v, p, more, WORDS_POLL, true, ret))
        return false;
    profile_read_body(r, v, p, WORDS_POLL, ret);
    return true;
}

void profile_read_body(struct reader *r, struct value v, const struct profile *p, unsigned words,
                       struct profile_request *ret)
{
    struct value body;
    const char *text;

    if (json_object_object_get_ex(v.json, "text", NULL)) {
        if (reader_string(r, v, "text", true, &text)) {
            reader_member(r, v, "text", true, &body);
            template_check_text(r, body.node, text, words);
            profile_copy(r, text, &ret->text);
        }
        if (reader_member(r, v, "body", false, &body))
            reader_mistake_key(r, body.node, "\"body\" beside \"text\"; a message has one of them");
        if (ret->content_format < 0 && ret->text && ret->text[0])
            ret->content_format = CONTENT_FORMAT_TEXT;
        return;
    }
    if (!reader_member(r, v, "body", false, &body))
        return;
    template_check_json(r, body, words, 0);
    if (ret->content_format < 0)
        ret->content_format = CONTENT_FORMAT_JSON;
    ret->body = body.json ? json_object_get(body.json) : NULL;
    if (!body.json)
        profile_copy(r, "null", &ret->text);
}
