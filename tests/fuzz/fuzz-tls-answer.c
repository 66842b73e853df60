/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a server answers to a question: decided once, by its first bytes, and more of them change nothing. */
#include "uplink/tls-hello.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int before = -EAGAIN;

    for (size_t i = 0; i <= n && i <= TLS_ANSWER_SIZE + 2; i++) {
        int answer = tls_hello_answer(data, i);

        if (before != -EAGAIN && answer != before)
            abort();
        if (answer > UINT8_MAX || (i >= TLS_ANSWER_SIZE && answer == -EAGAIN))
            abort();
        before = answer;
        for (enum tls_question q = TLS_ASK_IDENTITY; answer != -EAGAIN && q < TLS_QUESTIONS; q++)
            if (q != TLS_ASK_HASH && tls_hello_verdict(q, answer).verdict == HANDSHAKE_REFUSED)
                abort();
    }
    return 0;
}
