/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The meaning of a cloud's answer to a call of the `coap` registrar. The answer's bytes are untrusted. Pure.
 *
 *   POST credentials         2.01 new, 2.04 the same or replaced, both {"id": "..."}; 4.09 the identity has another
 * key; 4.00 malformed DELETE credentials/<id>  2.02 gone, 4.04 was not there */

#include "base/limits.h"
#include "registrar/registrar.h"

#include <stddef.h>
#include <stdint.h>

struct answer_texts {
    char cloud_id[CLOUD_ID_MAX];
    char reason[ERROR_TEXT_MAX];
};

/* Texts of *ret point into *texts. `max_age` in seconds. Anything not understood is RETRY: nothing is concluded from
 * it. */
void answer_to_offer(uint8_t code, const uint8_t *body, size_t n, uint32_t max_age, struct answer_texts *texts,
                     struct registrar_answer *ret);
void answer_to_delete(uint8_t code, uint32_t max_age, struct answer_texts *texts, struct registrar_answer *ret);

/* An id of the cloud's that can stand in a path: 1..CLOUD_ID_MAX-1 characters of A-Z a-z 0-9 . _ ~ - but not "." or
 * "..". */
bool answer_id_valid(const char *id);
