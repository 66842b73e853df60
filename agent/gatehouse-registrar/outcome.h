/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The outcome of a request: the answer with the room for its texts. Embedded; begins zeroed. */

#include "registrar/answer.h"

#include <stdbool.h>

/* A part of a secret as long as this is hidden. */
#define OUTCOME_HIDDEN_PART 8

struct outcome {
    struct registrar_answer answer;
    struct answer_texts texts;
};

/* Each is the last word, and returns 0 so that it can be returned. Reasons never hold a key. */
int outcome_ok(struct outcome *o, enum registrar_result result, const char *cloud_id);
int outcome_set(struct outcome *o, enum registrar_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Nothing is concluded; maybe_sent: something may have been carried out, or still be. */
int outcome_retry(struct outcome *o, bool maybe_sent, uint64_t retry_after, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Clouds and programs like to quote what they do not like: what the reason has of the secret becomes asterisks. */
void outcome_hide(struct outcome *o, const char *secret);
