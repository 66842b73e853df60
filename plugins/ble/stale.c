/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stale.h"

#include "ble-limits.h"

#include <stddef.h>
#include <string.h>

bool stale_error(const char *text)
{
    /* ATT: invalid handle, attribute not found; what stands at the handle now may not be read, written or notified of;
     * BlueZ has dropped the object. */
    static const char *const words[] = {
        "ATT error: 0x01", "ATT error: 0x0a", "Read not permitted", "Write not permitted",
        "NotSupported",    "UnknownObject",   "UnknownMethod",      "UnknownInterface",
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

bool stale_answer(struct stale *s, uint64_t now)
{
    if (++s->odd < STALE_TRIES || now < s->not_before)
        return false;
    s->odd = 0;
    s->not_before = now + STALE_PAUSE;
    return true;
}

void stale_over(struct stale *s)
{
    s->odd = 0;
}
