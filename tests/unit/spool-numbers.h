/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Samples whose values are consecutive numbers, put into a scratch spool and taken out of it. Included by the spool's
 * tests. */

#include "spool-scratch.h"

static inline int put(struct scratch *x, const char *id, int64_t value)
{
    const struct sample s = number("p", REAL + (uint64_t)value, value);
    static int answer;

    answer = 0;
    spool_append(spool_device(x->spool, id), NOW, &s, 1, on_answer, &answer);
    return answer;
}

/* Takes the next ones, which have to come in order. */
static inline void expect(struct scratch *x, const char *id, int64_t from, int64_t to)
{
    struct spool_device *d = spool_device(x->spool, id);
    struct sample out[256];

    while (from < to) {
        size_t most = MIN_OF((size_t)(to - from), ELEMENTSOF(out)), n = spool_peek(d, NOW, 0, out, most);

        if (n == 0)
            n = spool_peek(d, NOW, 0, out, most); /* read back meanwhile */
        if (n == 0)
            fail_msg("%lld does not come", (long long)from);
        for (size_t i = 0; i < n; i++, from++)
            assert_int_equal(out[i].value.x, from);
        spool_accept(d, n);
    }
    assert_int_equal(from, to);
}
