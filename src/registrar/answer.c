/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registrar/answer.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

#define CODE(class, detail) ((class) << 5 | (detail))

bool answer_id_valid(const char *id)
{
    size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-");

    return n > 0 && n < CLOUD_ID_MAX && !id[n] && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

/* 0, with the id or "" if the body has none. */
static int read_id(const uint8_t *body, size_t n, struct answer_texts *texts)
{
    _cleanup_json_ json_object *o = NULL;
    struct error e;
    const char *id;

    texts->cloud_id[0] = 0;
    if (n == 0)
        return 0;
    if (json_parse((const char *)body, n, &o, &e) < 0)
        return snprintf(texts->reason, sizeof(texts->reason), "its answer is %.400s", e.text), -1;
    id = json_get_string(o, "id");
    if (!id || !answer_id_valid(id))
        return snprintf(texts->reason, sizeof(texts->reason),
                        "its answer has no \"id\" of 1 to %d characters that can stand in a path", CLOUD_ID_MAX - 1),
               -1;
    snprintf(texts->cloud_id, sizeof(texts->cloud_id), "%s", id);
    return 0;
}

static void failed(uint8_t code, uint32_t max_age, struct answer_texts *texts, struct registrar_answer *ret)
{
    ret->result = REGISTRAR_RETRY;
    /* A server that fails while it answers may have done it all the same. */
    ret->maybe_sent = code >> 5 == 5;
    if (code == CODE(4, 29) || code == CODE(5, 3))
        ret->retry_after = max_age * USEC_PER_SEC;
    if (code == CODE(4, 4) || code == CODE(4, 5))
        snprintf(texts->reason, sizeof(texts->reason),
                 "the cloud has no resource `credentials` (%u.%02u): it cannot learn keys this way", code >> 5,
                 code & 31);
    else
        snprintf(texts->reason, sizeof(texts->reason), "the cloud answered %u.%02u", code >> 5, code & 31);
}

void answer_to_offer(uint8_t code, const uint8_t *body, size_t n, uint32_t max_age, struct answer_texts *texts,
                     struct registrar_answer *ret)
{
    *ret = (struct registrar_answer){.result = REGISTRAR_RETRY, .cloud_id = texts->cloud_id, .reason = texts->reason};
    texts->cloud_id[0] = texts->reason[0] = 0;
    switch (code) {
    case CODE(2, 1):
    case CODE(2, 4):
        /* Taken, but by what id we do not know: asking again tells. */
        ret->maybe_sent = true;
        if (read_id(body, n, texts) == 0)
            ret->result = code == CODE(2, 1) ? REGISTRAR_OK : REGISTRAR_EXISTS_OURS;
        break;
    case CODE(4, 9):
        ret->result = REGISTRAR_CONFLICT;
        snprintf(texts->reason, sizeof(texts->reason), "the cloud has this identity with another key (4.09)");
        break;
    case CODE(4, 0):
        ret->result = REGISTRAR_INVALID;
        snprintf(texts->reason, sizeof(texts->reason), "the cloud does not take this credential (4.00)");
        break;
    default:
        failed(code, max_age, texts, ret);
        break;
    }
}

void answer_to_delete(uint8_t code, uint32_t max_age, struct answer_texts *texts, struct registrar_answer *ret)
{
    *ret = (struct registrar_answer){.cloud_id = texts->cloud_id, .reason = texts->reason};
    texts->cloud_id[0] = texts->reason[0] = 0;
    if (code == CODE(2, 2)) {
        ret->result = REGISTRAR_OK;
    } else if (code == CODE(4, 4)) {
        ret->result = REGISTRAR_ABSENT;
        snprintf(texts->reason, sizeof(texts->reason), "the cloud does not have it (4.04)");
    } else {
        failed(code, max_age, texts, ret);
    }
}
