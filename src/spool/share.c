/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bounds in bytes and in age: what is dropped beyond them. */
#include "spool/share.h"

#include "spool/due.h"
#include "spool/stamp.h"

bool make_room(struct spool *s, uint64_t more)
{
    uint64_t most = writes(s) ? SPOOL_MEMORY_MAX : MIN_OF(s->settings.max_bytes, (uint64_t)SPOOL_MEMORY_MAX);

    if (writes(s))
        return s->account.unwritten_bytes + more <= most;
    return account_bound_memory(&s->account, most, more);
}

void enforce(struct spool *s)
{
    account_bound_disk(&s->account, s->settings.max_bytes);
}

/* Seconds of CLOCK_BOOTTIME at which the row arrived, had its boot been this one; false if that is not known. */
static bool row_arrived(const struct spool *s, const struct spool_row *row, int64_t *ret)
{
    const struct boot *b = boot_of(s, row->seq), *present = &s->boots.list[s->boots.present];

    if (!b)
        return false;
    *ret = row->arrived;
    if (b == present)
        return true;
    if (!boots_compare(b, present))
        return false;
    *ret += (b->stored.offset - present->stored.offset) / (int64_t)USEC_PER_SEC;
    return true;
}

/* Whether the next to be evicted arrived before that. */
static bool next_is_old(const struct spool_device *d, int64_t oldest)
{
    struct spool_row row;
    uint32_t seconds;
    int64_t arrived;

    switch (segments_next_out(&d->segments, &row, &seconds)) {
    case SEGMENTS_ROW:
        return row_arrived(d->spool, &row, &arrived) && arrived < oldest;
    case SEGMENTS_SAMPLE:
        return (int64_t)(int32_t)seconds < oldest;
    case SEGMENTS_NOTHING:
        break;
    }
    return false;
}

void drop_old(struct spool_device *d, uint64_t now)
{
    int64_t oldest = ((int64_t)now - (int64_t)d->spool->settings.max_age) / (int64_t)USEC_PER_SEC;
    struct segments *g = &d->segments;
    uint32_t n = 0;

    for (; g->held == 0 && g->queue.n > 0 && (int64_t)(int32_t)spool_queue_at(&g->queue, 0)->arrived < oldest; n++)
        segments_release(g);
    if (n > 0)
        count_dropped(d, n);
    while (next_is_old(d, oldest) && segments_evict(g, false))
        ;
}

void spool_age(struct spool_device *d, uint64_t now)
{
    drop_old(d, now);
}
