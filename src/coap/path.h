/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How large a datagram may be on a path that loses large ones without a word, from which were answered: in the spirit
 * of RFC 8899, except that requests are the probes. Embedded and zeroed at the beginning; pure, any thread. `now` is
 * CLOCK_BOOTTIME. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct coap_path {
    uint16_t bound;  /* 0: none is known */
    uint16_t before; /* the bound before it was raised, until more than that was answered; 0: it was not */
    uint8_t failures;
    uint64_t raise_at;
};

/* The bytes that a datagram may hold, at most `ceiling`. Raises a bound whose time has come. */
size_t coap_path_max(struct coap_path *p, size_t ceiling, uint64_t now);
/* One of that size was lost several times while smaller ones were answered. False: it was as small as one may be, and
 * its size is not the reason. */
bool coap_path_lost(struct coap_path *p, size_t size, uint64_t now);
void coap_path_passed(struct coap_path *p, size_t size);
