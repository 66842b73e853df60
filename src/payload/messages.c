/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages other than samples: what the file says of them, with its words put in. */
#include "payload/internal.h"
#include "payload/senml.h"

#include <errno.h>
#include <math.h>
#include <string.h>

void profile_message_done(struct profile_message *m)
{
    free(m->target);
    free(m->body);
    *m = (struct profile_message){.content_format = -1, .accept = -1};
}

int request_target(const struct profile *p, const struct profile_request *q, const struct meanings *m, char **ret)
{
    struct strbuf b = {0};

    template_text(&b, q->target, m, p->transport == PROFILE_MQTT ? ESCAPE_TOPIC : ESCAPE_PATH);
    return strbuf_take(&b, ret);
}

static int request_body(const struct profile_request *q, struct meanings *m, char **ret, size_t *ret_size)
{
    struct writer w = {.cbor = content_format_cbor(q->content_format),
                       .labels = q->content_format == CONTENT_FORMAT_SENML_CBOR};

    if (q->text)
        template_text(&w.out, q->text, m, ESCAPE_NONE);
    else if (q->body)
        template_json(&w, q->body, m);
    *ret_size = w.out.length;
    return strbuf_take(&w.out, ret);
}

static struct profile_message message_head(const struct profile *p, const struct profile_request *q)
{
    return (struct profile_message){.method = q->method,
                                    .content_format = p->transport == PROFILE_MQTT ? -1 : q->content_format,
                                    .accept = -1,
                                    .retain = q->retain};
}

int request_message(const struct profile *p, const struct profile_request *q, struct meanings *m,
                    struct profile_message *ret)
{
    struct profile_message message = message_head(p, q);
    int r = request_target(p, q, m, &message.target);

    if (r >= 0)
        r = request_body(q, m, &message.body, &message.size);
    if (r < 0) {
        profile_message_done(&message);
        return r;
    }
    *ret = message;
    return 0;
}

/* 1 a message, 0 there is none. */
static int maybe(const struct profile *p, const struct profile_request *q, struct meanings *m,
                 struct profile_message *ret)
{
    int r = q->target ? request_message(p, q, m, ret) : 0;

    return r < 0 ? r : q->target ? 1 : 0;
}

ssize_t profile_pack(const struct profile *p, const struct profile_names *names, const struct sample *samples, size_t n,
                     size_t max, struct profile_message *ret)
{
    struct profile_message message = message_head(p, &p->telemetry);
    struct meanings m = {.plain_names = p->record.quality, .units = p->units};
    char name[SAMPLE_NAME_MAX];
    struct strbuf base_name = {0};
    ssize_t taken = -EINVAL;
    int r;

    meanings_names(&m, names);
    if (n > 0 && template_says(p->telemetry.target, WORD_POINT))
        n = record_run(samples, n);
    max = max == 0 ? p->max_payload : MIN_OF(max, p->max_payload);
    switch (p->format) {
    case PROFILE_SENML_JSON:
    case PROFILE_SENML_CBOR:
        template_text(&base_name, p->record.base_name, &m, ESCAPE_NONE);
        taken = base_name.failed
                    ?: senml_pack(p->format == PROFILE_SENML_CBOR, base_name.text ?: "", samples, n, max, &message.body,
                                  &message.size);
        strbuf_done(&base_name);
        break;
    case PROFILE_JSON:
        taken = record_pack(p, &m, samples, n, max, &message.body, &message.size);
        break;
    }
    if (taken < 0)
        return taken;
    meanings_sample(&m, &samples[0], name);
    r = request_target(p, &p->telemetry, &m, &message.target);
    if (r < 0) {
        profile_message_done(&message);
        return r;
    }
    *ret = message;
    return taken;
}

int profile_telemetry_target(const struct profile *p, const struct profile_names *names, char **ret)
{
    struct meanings m = {.plain_names = p->record.quality, .units = p->units};

    meanings_names(&m, names);
    meanings_text(&m, WORD_POINT, "{point}");
    return request_target(p, &p->telemetry, &m, ret);
}

int profile_probe(const struct profile *p, const struct profile_names *names, struct profile_message *ret)
{
    struct meanings m = {0};

    meanings_names(&m, names);
    return p->probe.none ? -ENOENT : request_message(p, &p->probe.request, &m, ret);
}

int profile_server_time(const struct profile *p, const uint8_t *value, size_t n, uint64_t *ret)
{
    uint64_t time = 0;

    if (n > sizeof(time) || p->time.option == 0)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        time = time << 8 | value[i];
    if (time > UINT64_MAX / p->time.unit)
        return -EBADMSG;
    *ret = time * p->time.unit;
    return 0;
}

int profile_will(const struct profile *p, const struct profile_names *names, struct profile_message *ret)
{
    struct meanings m = {0};

    meanings_names(&m, names);
    return maybe(p, &p->will, &m, ret);
}

int profile_log(const struct profile *p, const struct profile_names *names, enum profile_level level,
                const char *module, const char *text, struct profile_message *ret)
{
    struct meanings m = {0};

    meanings_names(&m, names);
    if (p->log.levels[level])
        m.of[WORD_LEVEL] = (struct meaning){.kind = MEANS_JSON, .json = p->log.levels[level]};
    meanings_text(&m, WORD_MODULE, module);
    meanings_text(&m, WORD_TEXT, text);
    return maybe(p, &p->log.request, &m, ret);
}

int profile_availability(const struct profile *p, const struct profile_names *names, enum sensor_state state,
                         const char *reason, struct profile_message *ret)
{
    struct meanings m = {0};

    meanings_names(&m, names);
    m.of[WORD_OK] =
        (struct meaning){.kind = MEANS_VALUE, .value = {.type = SAMPLE_BOOL, .b = sensor_state_available(state)}};
    if (reason[0])
        meanings_text(&m, WORD_ERROR, reason);
    if (p->availability.status[state])
        m.of[WORD_STATUS] = (struct meaning){.kind = MEANS_JSON, .json = p->availability.status[state]};
    return maybe(p, &p->availability.request, &m, ret);
}

/* ---- Announcements ---- */

static void bound(struct meanings *m, enum word word, double value)
{
    if (isfinite(value))
        m->of[word] = (struct meaning){.kind = MEANS_VALUE, .value = {.type = SAMPLE_DOUBLE, .d = value}};
}

int profile_announce(const struct profile *p, size_t i, const struct profile_names *names,
                     const struct profile_point *point, struct profile_message *ret)
{
    const struct profile_announcement *a = &p->announcements[i];
    struct meanings m = {0};

    if ((a->each == PROFILE_EACH_DEVICE) != !point)
        return 0;
    if (point && ((a->each == PROFILE_EACH_WRITABLE && !point->writable) || !(a->kinds & 1U << point->kind)))
        return 0;
    meanings_names(&m, names);
    if (point) {
        meanings_text(&m, WORD_POINT, point->name);
        m.units = p->units;
        meanings_unit(&m, point->unit);
        bound(&m, WORD_MIN, point->min);
        bound(&m, WORD_MAX, point->max);
        if (point->step > 0)
            bound(&m, WORD_STEP, point->step);
        if (point->expire_after > 0)
            m.of[WORD_EXPIRE_AFTER] =
                (struct meaning){.kind = MEANS_VALUE, .value = {.type = SAMPLE_UINT, .t = point->expire_after}};
    }
    return maybe(p, &a->request, &m, ret);
}

bool profile_wants_kinds(const struct profile *p)
{
    for (size_t i = 0; i < p->n_announcements; i++)
        if (p->announcements[i].each != PROFILE_EACH_DEVICE)
            return true;
    return false;
}

const char *profile_bad_character(const struct profile *p, const char *id)
{
    return p->without ? strpbrk(id, p->without) : NULL;
}

int profile_kept(const struct profile *p, size_t i, const struct profile_names *names, const char *point, char **ret)
{
    const struct profile_request *const of_device[] = {&p->will, &p->availability.request, &p->telemetry};
    bool of_point = p->telemetry.target && template_says(p->telemetry.target, WORD_POINT);
    struct meanings m = {0};

    meanings_names(&m, names);
    if (point)
        meanings_text(&m, WORD_POINT, point);
    for (size_t k = 0; k < ELEMENTSOF(of_device); k++) {
        const struct profile_request *q = of_device[k];

        if (!q->target || !q->retain || (point != NULL) != (q == &p->telemetry && of_point))
            continue;
        if (i-- == 0)
            return request_target(p, q, &m, ret) < 0 ? -ENOMEM : 1;
    }
    return 0;
}

/* ---- Commands: listening, and what is answered ---- */

int profile_source(const struct profile *p, size_t i, const struct profile_names *names, struct profile_message *ret)
{
    const struct profile_source *s = &p->sources[i];
    struct meanings m = {0};
    int r;

    meanings_names(&m, names);
    r = request_message(p, &s->request, &m, ret);
    if (r < 0)
        return r;
    ret->accept = s->accept;
    /* A capture in a topic is any one level of it. */
    if (p->transport == PROFILE_MQTT && s->kind == PROFILE_SUBSCRIBE) {
        free(ret->target);
        ret->target = NULL;
        r = source_filter(s, names, &ret->target);
    }
    if (r < 0)
        profile_message_done(ret);
    return r;
}

int profile_ask(const struct profile *p, size_t i, const struct profile_names *names, struct profile_message *ret)
{
    struct meanings m = {0};

    meanings_names(&m, names);
    return maybe(p, &p->sources[i].ask, &m, ret);
}

int profile_outcome(const struct profile *p, const struct profile_names *names, const struct profile_command *c,
                    enum profile_outcome outcome, const char *text, const struct sample_value *set,
                    struct profile_message *ret)
{
    const struct profile_source *s = &p->sources[c->source];
    _cleanup_json_ json_object *id = NULL;
    struct profile_request reply = s->reply; /* a view */
    struct meanings m = {0};
    int r = json_parse(c->id, strlen(c->id), &id, NULL);

    if (r < 0)
        return r;
    /* There is nobody to answer to. */
    if (!s->reply.target || (!id && template_says(s->reply.target, WORD_ID)) ||
        (!c->point && template_says(s->reply.target, WORD_POINT)))
        return 0;
    meanings_names(&m, names);
    m.of[WORD_ID] = (struct meaning){.kind = MEANS_JSON, .json = id};
    m.of[WORD_OK] = (struct meaning){.kind = MEANS_VALUE, .value = {.type = SAMPLE_BOOL, .b = outcome == PROFILE_DONE}};
    if (c->point)
        meanings_text(&m, WORD_POINT, c->point);
    if (set)
        m.of[WORD_VALUE] = (struct meaning){.kind = MEANS_VALUE, .value = *set};
    if (text[0])
        meanings_text(&m, WORD_ERROR, text);
    if (s->status[outcome])
        m.of[WORD_STATUS] = (struct meaning){.kind = MEANS_JSON, .json = s->status[outcome]};
    if (s->reply_follows && c->cbor)
        reply.content_format = CONTENT_FORMAT_CBOR;
    return maybe(p, &reply, &m, ret);
}

/* An expanded template. NULL: out of memory, or it has a number that JSON does not. */
static json_object *expand(json_object *template, struct meanings *m)
{
    struct writer w = {0};
    _cleanup_free_ char *text = NULL;
    json_object *o = NULL;

    template_json(&w, template, m);
    return strbuf_take(&w.out, &text) >= 0 && json_parse(text, strlen(text), &o, NULL) >= 0 ? o : NULL;
}

static int add_error(json_object *errors, const struct profile_source *s, const struct profile_names *names,
                     const struct profile_result *result)
{
    struct meanings m = {0};
    json_object *one;

    meanings_names(&m, names);
    meanings_text(&m, WORD_POINT, result->point);
    if (result->text && result->text[0])
        meanings_text(&m, WORD_ERROR, result->text);
    if (s->status[result->outcome])
        m.of[WORD_STATUS] = (struct meaning){.kind = MEANS_JSON, .json = s->status[result->outcome]};
    one = expand(s->report_error, &m);
    if (!one)
        return -ENOMEM;
    return json_object_array_add(errors, one) < 0 ? -ENOMEM : 0;
}

int profile_report(const struct profile *p, size_t i, const struct profile_names *names, const char *id,
                   const struct profile_result *results, size_t n, struct profile_message *ret)
{
    const struct profile_source *s = &p->sources[i];
    _cleanup_json_ json_object *version = NULL, *errors = json_object_new_array();
    struct meanings m = {0};
    int r = errors ? json_parse(id, strlen(id), &version, NULL) : -ENOMEM;

    for (size_t k = 0; r >= 0 && k < n; k++)
        if (results[k].outcome != PROFILE_DONE)
            r = add_error(errors, s, names, &results[k]);
    if (r < 0)
        return r;
    meanings_names(&m, names);
    m.of[WORD_ID] = (struct meaning){.kind = MEANS_JSON, .json = version};
    m.of[WORD_OK] = (struct meaning){.kind = MEANS_VALUE,
                                     .value = {.type = SAMPLE_BOOL, .b = json_object_array_length(errors) == 0}};
    if (json_object_array_length(errors) > 0)
        m.of[WORD_ERRORS] = (struct meaning){.kind = MEANS_JSON, .json = errors};
    return maybe(p, &s->report, &m, ret);
}
