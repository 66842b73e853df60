/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether what BlueZ remembers of a sensor's services is older than its firmware: a characteristic that was known is
 * answered with an error that only one in another place gives, or with bytes of another type. Pure; the caller owns it.
 */

#include <stdbool.h>
#include <stdint.h>

struct stale {
    unsigned odd; /* answers in a row */
    uint64_t not_before;
};

/* Whether the error, as bluez_error() words it, is one that a characteristic in another place gives. */
bool stale_error(const char *text);
/* Such an answer, or bytes of another type. True: BlueZ is to forget the services; not again for STALE_PAUSE, since
 * a device file may name the wrong type. */
bool stale_answer(struct stale *s, uint64_t now);
/* A value. */
void stale_over(struct stale *s);
