/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/pack-bound.h"

#include "base/cleanup.h"
#include "base/limits.h"

/* An accepted size is known to pass; otherwise half of the failed one. */
static size_t smaller(struct pack_bound *b, size_t bytes, size_t limit)
{
    if (limit > 0 && limit < bytes)
        return limit;
    if (b->largest >= bytes)
        b->largest = 0;
    bytes = bytes > 1 ? bytes / 2 : 1;
    return MAX_OF(bytes, b->largest);
}

static void shrink(struct pack_bound *b, enum pack_failure failure, const struct pack *pack, size_t limit)
{
    if (b->hunted == 0)
        b->wanted = b->before > 0 ? MIN_OF(b->wanted * PACK_GROW_FACTOR, (unsigned)PACK_GROW_MAX) : 1;
    b->before = 0;
    b->good = 0;
    b->bytes = smaller(b, pack->bytes, limit);
    b->hunted = MAX_OF(b->hunted, pack->samples);
    b->cause = failure;
}

enum pack_step pack_bound_failed(struct pack_bound *b, enum pack_failure failure, const struct pack *pack, size_t limit)
{
    bool single = pack->samples <= 1;

    switch (failure) {
    case PACK_BAD:
        if (single)
            break;
        b->samples = pack->samples / 2;
        return PACK_SMALLER;
    case PACK_TOO_LARGE:
        if (single)
            break;
        shrink(b, failure, pack, limit);
        return PACK_SMALLER;
    case PACK_SILENT:
        if (single)
            return PACK_AGAIN;
        shrink(b, failure, pack, 0);
        return PACK_SMALLER;
    case PACK_RESET:
        if (++b->row < pack_bound_patience(b, pack))
            return PACK_AGAIN;
        b->row = 0;
        if (single)
            return PACK_PROVE;
        shrink(b, failure, pack, 0);
        return PACK_SMALLER;
    case PACK_HUNG_UP:
        if (single)
            return PACK_PROVE;
        shrink(b, failure, pack, 0);
        return PACK_SMALLER;
    }
    b->hunted -= MIN_OF(b->hunted, (size_t)1);
    return PACK_REJECT;
}

bool pack_bound_gives_up(struct pack_bound *b, uint64_t now)
{
    unsigned over;

    if (now < b->not_before)
        return false;
    if (++b->given_up >= PACK_GIVE_UP_FREE) {
        over = MIN_OF(b->given_up - PACK_GIVE_UP_FREE, 16U);
        b->not_before = now + MIN_OF(PACK_GIVE_UP_WAIT << over, PACK_GIVE_UP_WAIT_MAX);
    }
    b->hunted -= MIN_OF(b->hunted, (size_t)1);
    return true;
}

void pack_bound_accepted(struct pack_bound *b, const struct pack *pack, size_t max)
{
    b->row = b->given_up = 0;
    b->not_before = 0;
    /* A pack without the bad sample: look for it in twice as many. */
    b->samples = b->samples >= SAMPLES_PER_PACK / 2 ? 0 : 2 * b->samples;
    b->largest = MAX_OF(b->largest, pack->bytes);
    if (pack->bytes > b->before)
        b->before = 0;
    if (b->hunted > 0) {
        b->hunted -= MIN_OF(b->hunted, pack->samples);
    } else if (b->bytes > 0 && ++b->good >= b->wanted) {
        b->good = 0;
        b->before = b->bytes;
        b->bytes = b->bytes > max / 2 ? 0 : 2 * b->bytes;
    }
}

unsigned pack_bound_patience(const struct pack_bound *b, const struct pack *pack)
{
    if (pack->samples <= 1)
        return PACK_ENDS_SINGLE;
    return b->hunted > 0 ? 1 : PACK_ENDS;
}
