/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "coap/path.h"

#include "base/cleanup.h"
#include "base/limits.h"

#define FAILURES_MAX 8

size_t coap_path_max(struct coap_path *p, size_t ceiling, uint64_t now)
{
    if (p->bound >= ceiling && p->before == 0)
        p->bound = 0;
    if (p->bound == 0)
        return ceiling;
    if (now >= p->raise_at && p->before == 0) {
        p->before = p->bound;
        p->bound = (uint16_t)MIN_OF((size_t)p->bound * 8 / 5, (size_t)COAP_DATAGRAM_LIMIT);
    }
    return MIN_OF((size_t)p->bound, ceiling);
}

bool coap_path_lost(struct coap_path *p, size_t size, uint64_t now)
{
    uint64_t wait;

    if (size <= COAP_DATAGRAM_MIN)
        return false;
    p->failures = (uint8_t)MIN_OF(p->before > 0 ? p->failures + 1 : 0, FAILURES_MAX);
    wait = COAP_PATH_RAISE << p->failures;
    p->bound =
        p->before > 0 && size > p->before ? p->before : (uint16_t)MAX_OF(size * 5 / 8, (size_t)COAP_DATAGRAM_MIN);
    p->before = 0;
    p->raise_at = now + MIN_OF(wait, COAP_PATH_RAISE_MAX);
    return true;
}

void coap_path_passed(struct coap_path *p, size_t size)
{
    if (p->before > 0 && size > p->before)
        p->before = 0;
}
