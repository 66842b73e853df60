/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times that were not known when samples came. */
#include "spool/stamp.h"

#include "spool/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SAME_CLOCK ((int64_t)USEC_PER_SEC) /* two measures that differ by no more are of one clock */

uint64_t shifted(uint64_t time, int64_t offset)
{
    return time + (uint64_t)offset;
}

/* ---- In memory ---- */

/* The first sample of the queue that waits for its time, or how many there are. */
static size_t first_unstamped(const struct spool_queue *q)
{
    struct spool_queue_cursor c = spool_queue_from(q, 0);
    const struct entry *e;
    size_t i = 0;

    while ((e = spool_queue_step(&c)) && !(e->quality & SAMPLE_BOOTTIME))
        i++;
    return i;
}

static void stamp_queue(struct spool_device *d, struct spool_queue *q, size_t first, int64_t offset)
{
    struct spool_queue_cursor c = spool_queue_from(q, 0);
    struct entry *e;

    for (size_t i = 0; (e = spool_queue_step(&c)); i++) {
        struct spool_point *p = &d->segments.points.points[e->point];

        if (e->quality & SAMPLE_BOOTTIME)
            e->time = shifted(e->time, offset);
        e->quality &= (uint8_t)~SAMPLE_BOOTTIME;
        if (i >= first && p->last != 0)
            e->time = queue_next_time(p->last, e->time);
        p->last = e->time;
        p->newest = MAX_OF(p->newest, e->time);
    }
}

/* Stamps what waits for it. What stands behind that has not been sent either, and gets into order with it. */
static void stamp_device(struct spool_device *d, int64_t offset)
{
    struct spool_queue *tail = d->stored ? &d->stored->rows.tail : NULL;
    size_t first = first_unstamped(&d->segments.queue), tail_first = tail ? first_unstamped(tail) : 0;
    bool some = first < d->segments.queue.n || (tail && tail_first < tail->n);

    for (size_t k = 0; k < d->segments.points.n; k++) {
        struct spool_point *p = &d->segments.points.points[k];

        if (p->last_boottime || (p->queued > 0 && some))
            p->last = 0;
        p->last_boottime = false;
    }
    if (!some)
        return;
    stamp_queue(d, &d->segments.queue, first, offset);
    if (tail)
        stamp_queue(d, tail, first < d->segments.queue.n ? 0 : tail_first, offset);
}

void spool_stamp(struct spool *s, int64_t offset, bool sure)
{
    bool again = s->clock.stamped;

    s->clock.offset = offset;
    if (again)
        return;
    s->clock.sure = sure;
    s->clock.waiting = s->state == SPOOL_OPENING;
    if (s->clock.waiting)
        return;
    s->clock.stamped = true;
    /* Of what waits, something may have been sent before a restart; and what comes goes on from there. */
    if (s->state == SPOOL_OPEN && s->boots.list[s->boots.present].stored.known) {
        offset = s->boots.list[s->boots.present].stored.offset;
        if (llabs(s->clock.offset - offset) <= SAME_CLOCK)
            s->clock.offset = offset;
    }
    for (struct map_node *node = map_next(&s->devices, NULL); node; node = map_next(&s->devices, node))
        stamp_device(MAP_ENTRY(node, struct spool_device, node), offset);
    if (s->state == SPOOL_OPEN)
        stamp_boots(s);
}

void stamp_waiting(struct spool *s)
{
    if (s->clock.waiting)
        spool_stamp(s, s->clock.offset, s->clock.sure);
}

bool spool_stamped(const struct spool *s)
{
    return s->clock.stamped || s->clock.waiting;
}

/* ---- On disk ---- */

struct boot *boot_of(const struct spool *s, uint64_t seq)
{
    struct boot *best = NULL;

    for (size_t i = 0; i < s->boots.n; i++)
        if (s->boots.list[i].used && s->boots.list[i].first <= seq && (!best || s->boots.list[i].first > best->first))
            best = &s->boots.list[i];
    return best;
}

bool boots_compare(const struct boot *a, const struct boot *b)
{
    return a->stored.known && a->stored.sure && b->stored.known && b->stored.sure;
}

int boot_add(struct spool *s, const struct stored_boot *boot, struct boot **ret)
{
    struct boot *boots = reallocarray(s->boots.list, s->boots.n + 1, sizeof(*boots));

    if (!boots)
        return -ENOMEM;
    s->boots.list = boots;
    boots[s->boots.n] = (struct boot){.stored = *boot, .first = UINT64_MAX};
    if (ret)
        *ret = &boots[s->boots.n];
    s->boots.n++;
    return 0;
}

void stamp_boots(struct spool *s)
{
    struct boot *present = &s->boots.list[s->boots.present];
    int64_t began;
    unsigned unset = 0;

    if (!s->clock.stamped)
        return;
    if (!present->stored.known) {
        present->stored.known = true;
        present->stored.offset = s->clock.offset;
        present->stored.sure = s->clock.sure;
        present->changed = true;
    }
    /* Boots are in the order of their numbers, the present one last: each ended before the next began. */
    began = present->stored.offset;
    for (size_t i = s->boots.present; i-- > 0;) {
        struct boot *b = &s->boots.list[i];

        if (!b->used)
            continue;
        if (!b->stored.known) {
            b->stored.known = true;
            b->stored.sure = present->stored.sure;
            b->stored.offset = began - ((int64_t)b->newest + 2) * (int64_t)USEC_PER_SEC;
            b->changed = true;
            unset++;
        }
        began = b->stored.offset;
    }
    if (unset > 0 && s->options.ops && s->options.ops->unset)
        s->options.ops->unset(unset, s->options.userdata);
    for (size_t i = 0; i < s->boots.n; i++)
        s->settling |= s->boots.list[i].used && s->boots.list[i].changed;
    if (s->settling)
        want_care(s, true);
}

int spool_newest(const struct spool *s, uint64_t *ret)
{
    int64_t newest = 0;

    if (s->state == SPOOL_OPENING)
        return -EAGAIN;
    for (size_t i = 0; i < s->boots.n; i++) {
        const struct boot *b = &s->boots.list[i];

        if (i != s->boots.present && b->used && b->stored.known && b->stored.sure)
            newest = MAX_OF(newest, b->stored.offset + (int64_t)b->newest * (int64_t)USEC_PER_SEC);
    }
    *ret = (uint64_t)newest;
    return 0;
}
