/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes over a registrar's socket, either way: first byte the action, the rest a request and an answer. */
#include "registrar/wire.h"
#include "request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer_texts texts;
    struct registrar_answer answer, back;
    struct request q;
    char *text;

    if (size == 0)
        return 0;
    wire_read_answer((enum wire_action)(data[0] % 3), (const char *)data + 1, size - 1, &texts, &answer);
    if ((answer.cloud_id[0] && !answer_id_valid(answer.cloud_id)) || answer.retry_after > REGISTRAR_RETRY_AFTER_MAX)
        abort();
    if (wire_write_answer(&answer, &text) >= 0) {
        struct answer_texts more;

        wire_read_answer((enum wire_action)(data[0] % 3), text, strlen(text), &more, &back);
        if (back.result != answer.result)
            abort();
        free(text);
    }
    if (request_parse((const char *)data + 1, size - 1, &q, NULL) >= 0)
        request_done(&q);
    return 0;
}
