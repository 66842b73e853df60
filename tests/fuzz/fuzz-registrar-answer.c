/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cloud's answer to an offer: first byte the code, the rest the body. */
#include "registrar/answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer_texts texts;
    struct registrar_answer answer;

    if (size == 0)
        return 0;
    answer_to_offer(data[0], data + 1, size - 1, 60, &texts, &answer);
    if (answer.cloud_id[0] && !answer_id_valid(answer.cloud_id))
        abort();
    answer_to_delete(data[0], 60, &texts, &answer);
    return 0;
}
