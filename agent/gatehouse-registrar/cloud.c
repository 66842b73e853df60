/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cloud.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

int cloud_open(struct cloud *c, const struct request *q, const char *authorization, struct outcome *out)
{
    struct error e;
    size_t n;

    *c = (struct cloud){.q = q, .out = out};
    /* Without the time of day an expired certificate, or one not valid yet, could not be told from a good one. The
     * agent may know more than we may ask. */
    if (!q->clock && !clock_synchronized()) {
        outcome_retry(out, false, REGISTRAR_CLOCK_RETRY,
                      "the clock is not synchronised yet, so the cloud's certificate cannot be judged");
        return CLOUD_ENDED;
    }
    snprintf(c->base, sizeof(c->base), "%s", q->url);
    n = strlen(c->base);
    while (n > 0 && c->base[n - 1] == '/')
        c->base[--n] = 0;
    if (https_new(q, authorization, &c->https, &e) < 0) {
        outcome_retry(out, false, 0, "%s", e.text);
        return CLOUD_ENDED;
    }
    return CLOUD_GO_ON;
}

void cloud_done(struct cloud *c)
{
    c->https = https_free(c->https);
}

int cloud_retry(struct cloud *c, uint64_t retry_after, const char *reason)
{
    outcome_retry(c->out, c->lost, retry_after, "%s", reason);
    return CLOUD_ENDED;
}

/* The message that most clouds send with an error, as far as it is one. */
static void message_of(struct cloud *c, const struct https_answer *a, char text[160])
{
    _cleanup_json_ json_object *o = NULL;
    const char *message = NULL;

    c->coded = false;
    if (a->n > 0 && wire_parse(a->body, a->n, &o, NULL) >= 0 && json_object_is_type(o, json_type_object)) {
        message = json_get_string(o, "message") ?: json_get_string(o, "error");
        c->coded = json_object_object_get_ex(o, "code", NULL);
    }
    snprintf(text, 160, "%s%.150s", message ? ": " : "", message ?: "");
}

/* Refusals that mean the same for look-ups and writes. */
static int refused(struct cloud *c, const char *method, const struct https_answer *a)
{
    char message[160];

    message_of(c, a, message);
    if (a->status == 401 || a->status == 403)
        outcome_retry(c->out, c->lost, a->retry_after, "the cloud does not accept the API key for %s (%ld)%s", method,
                      a->status, message);
    else if (a->status == 429)
        outcome_retry(c->out, c->lost, a->retry_after, "the cloud asks to come again later (429)%s", message);
    else if (a->status >= 300 && a->status < 400)
        outcome_retry(c->out, c->lost, 0, "the cloud sends %s elsewhere (%ld), where no key is told", method,
                      a->status);
    else
        outcome_retry(c->out, c->lost, a->retry_after, "the cloud answered %ld to %s%s", a->status, method, message);
    return CLOUD_ENDED;
}

int cloud_get(struct cloud *c, const char *url, char etag[256], json_object **ret)
{
    __attribute__((cleanup(https_answer_done))) struct https_answer a = {0};
    struct error e = {0};
    int r = https_call(c->https, "GET", url, NULL, NULL, &a, &e);

    if (r < 0)
        return cloud_retry(c, 0, e.text);
    if (a.status == 404)
        return CLOUD_ABSENT;
    if (a.status != 200)
        return refused(c, "GET", &a);
    if (wire_parse(a.body ?: "", a.n, ret, &e) < 0) {
        outcome_retry(c->out, c->lost, 0, "the cloud's answer to GET is none: %s", e.text);
        return CLOUD_ENDED;
    }
    if (etag)
        snprintf(etag, 256, "%s", a.etag);
    return CLOUD_GO_ON;
}

int cloud_write(struct cloud *c, const char *method, const char *url, const char *body, const char *if_match,
                json_object **ret)
{
    __attribute__((cleanup(https_answer_done))) struct https_answer a = {0};
    char message[160];
    struct error e = {0};
    int r = https_call(c->https, method, url, body, if_match, &a, &e);

    if (r == -ECONNRESET) {
        c->lost = true;
        return CLOUD_LOST;
    }
    if (r < 0)
        return cloud_retry(c, 0, e.text);
    if (a.status >= 500) {
        c->lost = true;
        refused(c, method, &a); /* the outcome, should looking not tell more */
        return CLOUD_FAILED;
    }
    message_of(c, &a, message);
    if (a.status == 404 || a.status == 409 || a.status == 412)
        return a.status == 404 ? CLOUD_ABSENT : a.status == 409 ? CLOUD_EXISTS : CLOUD_STALE;
    if (a.status == 400 || a.status == 422) {
        outcome_set(c->out, REGISTRAR_INVALID, "the cloud does not take this credential (%ld)%s", a.status, message);
        return CLOUD_ENDED;
    }
    if (a.status < 200 || a.status >= 300)
        return refused(c, method, &a);
    /* It was taken, but what came of it does not stand there whole. */
    if (ret && wire_parse(a.body ?: "", a.n, ret, &e) < 0) {
        c->lost = true;
        return CLOUD_LOST;
    }
    return CLOUD_GO_ON;
}
