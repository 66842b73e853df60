/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "outcome.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void begin(struct outcome *o, enum registrar_result result, const char *cloud_id)
{
    o->texts = (struct answer_texts){0};
    snprintf(o->texts.cloud_id, sizeof(o->texts.cloud_id), "%s", cloud_id);
    o->answer = (struct registrar_answer){.result = result, .cloud_id = o->texts.cloud_id, .reason = o->texts.reason};
}

int outcome_ok(struct outcome *o, enum registrar_result result, const char *cloud_id)
{
    begin(o, result, cloud_id);
    return 0;
}

int outcome_set(struct outcome *o, enum registrar_result result, const char *format, ...)
{
    va_list ap;

    begin(o, result, "");
    va_start(ap, format);
    vsnprintf(o->texts.reason, sizeof(o->texts.reason), format, ap);
    va_end(ap);
    return 0;
}

int outcome_retry(struct outcome *o, bool maybe_sent, uint64_t retry_after, const char *format, ...)
{
    va_list ap;

    begin(o, REGISTRAR_RETRY, "");
    o->answer.maybe_sent = maybe_sent;
    o->answer.retry_after = retry_after;
    va_start(ap, format);
    vsnprintf(o->texts.reason, sizeof(o->texts.reason), format, ap);
    va_end(ap);
    return 0;
}

void outcome_hide(struct outcome *o, const char *secret)
{
    char *text = o->texts.reason, part[OUTCOME_HIDDEN_PART + 1] = "";
    bool hidden[sizeof(o->texts.reason)] = {0};
    size_t n = strlen(text);

    for (size_t i = 0; i + OUTCOME_HIDDEN_PART <= n; i++) {
        memcpy(part, text + i, OUTCOME_HIDDEN_PART);
        if (strstr(secret, part))
            memset(hidden + i, true, OUTCOME_HIDDEN_PART);
    }
    explicit_bzero(part, sizeof(part));
    for (size_t i = 0; i < n; i++)
        if (hidden[i])
            text[i] = '*';
}
