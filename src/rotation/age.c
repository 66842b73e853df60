/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation/age.h"

#include <string.h>

static bool same_boot(const struct stamp *a, const struct stamp *b)
{
    return memcmp(a->boot, b->boot, sizeof(a->boot)) == 0;
}

bool stamp_is_set(const struct stamp *s)
{
    return s->boottime != 0 || s->realtime != 0;
}

uint64_t stamp_age(const struct stamp *from, const struct stamp *now)
{
    if (!stamp_is_set(from))
        return AGE_UNKNOWN;
    if (same_boot(from, now))
        return now->boottime >= from->boottime ? now->boottime - from->boottime : AGE_UNKNOWN;
    if (from->realtime == 0 || now->realtime < from->realtime)
        return AGE_UNKNOWN;
    return now->realtime - from->realtime;
}

bool stamp_complete(struct stamp *s, const struct stamp *now)
{
    uint64_t age = stamp_age(s, now);

    if (s->realtime != 0 || now->realtime == 0 || age == AGE_UNKNOWN || age >= now->realtime)
        return false;
    s->realtime = now->realtime - age;
    return true;
}

struct stamp stamp_assume(const struct stamp *now)
{
    return (struct stamp){.realtime = now->realtime};
}

bool stamp_is_assumed(const struct stamp *s)
{
    static const uint8_t none[sizeof(s->boot)];

    return s->realtime != 0 && s->boottime == 0 && memcmp(s->boot, none, sizeof(none)) == 0;
}
