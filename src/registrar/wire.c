/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registrar/wire.h"

#include "base/prescan.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const actions[] = {[WIRE_PUT] = "put", [WIRE_FIND] = "find", [WIRE_DELETE] = "delete"};

/* The answers that each action may have. */
static const bool possible[][REGISTRAR_RETRY + 1] = {
    [WIRE_PUT] = {[REGISTRAR_OK] = true,
                  [REGISTRAR_EXISTS_OURS] = true,
                  [REGISTRAR_CONFLICT] = true,
                  [REGISTRAR_INVALID] = true,
                  [REGISTRAR_RETRY] = true},
    [WIRE_FIND] =
        {[REGISTRAR_OK] = true, [REGISTRAR_CONFLICT] = true, [REGISTRAR_ABSENT] = true, [REGISTRAR_RETRY] = true},
    [WIRE_DELETE] = {[REGISTRAR_OK] = true, [REGISTRAR_ABSENT] = true, [REGISTRAR_RETRY] = true},
};

const char *wire_action_to_string(enum wire_action action)
{
    return actions[action];
}

int wire_action_from_string(const char *text)
{
    for (size_t i = 0; i < ELEMENTSOF(actions); i++)
        if (strcmp(actions[i], text) == 0)
            return (int)i;
    return -EINVAL;
}

int wire_parse(const char *text, size_t n, json_object **ret, struct error *e)
{
    _cleanup_json_ json_object *o = NULL;
    _cleanup_(prescan_freep) struct prescan *map = NULL;
    _cleanup_free_ char *copy = calloc(1, n + 1);
    struct position at;
    struct error why;
    int r;

    if (!copy)
        return -ENOMEM;
    /* First strictly, which knows no comments; then for keys that stand there twice. */
    r = json_parse(text, n, &o, e);
    if (r < 0)
        return r;
    memcpy(copy, text, n);
    r = prescan_new(copy, n, &map, &at, &why);
    explicit_bzero(copy, n);
    if (r == -EBADMSG)
        return error_set(e, -EINVAL, "%s", why.text);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(o);
    return 0;
}

/* ── Requests ── */

static int add(json_object *o, const char *key, json_object *value)
{
    if (value && json_object_object_add(o, key, value) == 0)
        return 0;
    json_object_put(value);
    return -ENOMEM;
}

int wire_write_request(const struct wire_request *request, char **ret)
{
    _cleanup_json_ json_object *o = json_object_new_object(), *settings = NULL;
    const char *text;
    size_t n;
    int r;

    if (json_parse(request->settings, strlen(request->settings), &settings, NULL) < 0)
        return -EINVAL;
    if (!o)
        return -ENOMEM;
    r = add(o, "action", json_object_new_string(actions[request->action]));
    if (r >= 0)
        r = add(o, "device", json_object_new_string(request->device));
    if (r >= 0 && request->hardware_id && strcmp(request->hardware_id, request->device) != 0)
        r = add(o, "hardware_id", json_object_new_string(request->hardware_id));
    if (r >= 0)
        r = add(o, "identity", json_object_new_string(request->identity));
    if (r >= 0)
        r = add(o, "cloud_id", json_object_new_string(request->cloud_id));
    if (r >= 0)
        r = add(o, "other_id", json_object_new_string(request->other_id));
    if (r >= 0)
        r = add(o, "offered", json_object_new_boolean(request->offered));
    if (r >= 0)
        r = add(o, "create", json_object_new_boolean(request->create));
    if (r >= 0)
        r = add(o, "mode", json_object_new_string(request->replaces ? "replaces" : "adds"));
    if (r >= 0)
        r = add(o, "clock", json_object_new_boolean(request->clock));
    if (r >= 0)
        r = add(o, "registrar", TAKE_PTR(settings));
    text = r >= 0 ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
    n = text ? strlen(text) : 0;
    if (n == 0)
        return -ENOMEM;
    *ret = strndup(text, n - 1);
    return *ret ? 0 : -ENOMEM;
}

/* ── Answers ── */

static int wrong(struct answer_texts *texts, const char *what)
{
    snprintf(texts->reason, sizeof(texts->reason), "the registrar's answer is none: %.*s", REGISTRAR_REASON_MAX, what);
    return -EINVAL;
}

static int result_from_string(const char *text)
{
    for (int i = REGISTRAR_OK; i <= REGISTRAR_RETRY; i++)
        if (text && strcmp(registrar_result_text((enum registrar_result)i), text) == 0)
            return i;
    return -EINVAL;
}

static int read_member(const char *key, json_object *v, struct answer_texts *texts, struct registrar_answer *a)
{
    const char *text = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
    int64_t seconds;

    if (strcmp(key, "result") == 0)
        return 0;
    if (strcmp(key, "cloud_id") == 0) {
        if (!text || (text[0] && !answer_id_valid(text)))
            return wrong(texts, "\"cloud_id\" is no id that can stand in a path");
        snprintf(texts->cloud_id, sizeof(texts->cloud_id), "%s", text);
    } else if (strcmp(key, "reason") == 0) {
        if (!text || strlen(text) > REGISTRAR_REASON_MAX || !text_printable(text, strlen(text)))
            return wrong(texts, "\"reason\" is no printable text of at most 400 bytes");
        snprintf(texts->reason, sizeof(texts->reason), "%s", text);
    } else if (strcmp(key, "maybe_sent") == 0) {
        if (!json_object_is_type(v, json_type_boolean))
            return wrong(texts, "\"maybe_sent\" is neither true nor false");
        a->maybe_sent = json_object_get_boolean(v);
    } else if (strcmp(key, "retry_after") == 0) {
        seconds = json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : -1;
        if (seconds < 0)
            return wrong(texts, "\"retry_after\" is no whole number of seconds");
        a->retry_after = MIN_OF((uint64_t)seconds, REGISTRAR_RETRY_AFTER_MAX / USEC_PER_SEC) * USEC_PER_SEC;
    } else {
        return wrong(texts, "it has a key other than result, cloud_id, reason, maybe_sent and retry_after");
    }
    return 0;
}

static int read_answer(enum wire_action action, json_object *o, struct answer_texts *texts, struct registrar_answer *a)
{
    int result;

    if (!json_object_is_type(o, json_type_object))
        return wrong(texts, "expected an object");
    result = result_from_string(json_get_string(o, "result"));
    if (result < 0)
        return wrong(texts, "\"result\" is none of ok, exists-ours, conflict, invalid, absent and retry");
    if (!possible[action][result])
        return wrong(texts, "its result does not belong to what was asked");
    json_object_object_foreach (o, key, v)
        if (read_member(key, v, texts, a) < 0)
            return -EINVAL;
    a->result = (enum registrar_result)result;
    return 0;
}

void wire_read_answer(enum wire_action action, const char *text, size_t n, struct answer_texts *texts,
                      struct registrar_answer *ret)
{
    _cleanup_json_ json_object *o = NULL;
    struct registrar_answer a = {.maybe_sent = true, .cloud_id = texts->cloud_id, .reason = texts->reason};
    struct error e = {0};
    int r;

    texts->cloud_id[0] = texts->reason[0] = 0;
    r = wire_parse(text, n, &o, &e);
    if (r < 0)
        wrong(texts, n == 0 ? "it is empty" : e.text);
    else
        r = read_answer(action, o, texts, &a);
    if (r < 0) {
        texts->cloud_id[0] = 0;
        a = (struct registrar_answer){
            .result = REGISTRAR_RETRY, .maybe_sent = true, .cloud_id = texts->cloud_id, .reason = texts->reason};
    } else if (!texts->reason[0] && a.result != REGISTRAR_OK && a.result != REGISTRAR_EXISTS_OURS) {
        snprintf(texts->reason, sizeof(texts->reason), "%s, without a reason", registrar_result_text(a.result));
    }
    *ret = a;
}

int wire_write_answer(const struct registrar_answer *answer, char **ret)
{
    _cleanup_json_ json_object *o = json_object_new_object();
    char reason[REGISTRAR_REASON_MAX + 1];
    const char *text;
    int r;

    if (!o)
        return -ENOMEM;
    snprintf(reason, sizeof(reason), "%s", answer->reason);
    text_trim(reason);
    for (char *p = reason; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    if (!text_printable(reason, strlen(reason)))
        snprintf(reason, sizeof(reason), "a reason that is no text");
    r = add(o, "result", json_object_new_string(registrar_result_text(answer->result)));
    if (r >= 0 && answer->cloud_id[0])
        r = add(o, "cloud_id", json_object_new_string(answer->cloud_id));
    if (r >= 0 && reason[0])
        r = add(o, "reason", json_object_new_string(reason));
    if (r >= 0 && answer->result == REGISTRAR_RETRY)
        r = add(o, "maybe_sent", json_object_new_boolean(answer->maybe_sent));
    if (r >= 0 && answer->retry_after > 0)
        r = add(o, "retry_after",
                json_object_new_int64((int64_t)((answer->retry_after + USEC_PER_SEC - 1) / USEC_PER_SEC)));
    text = r >= 0 ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
    if (!text)
        return -ENOMEM;
    *ret = strdup(text);
    return *ret ? 0 : -ENOMEM;
}
