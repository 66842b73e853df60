/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation/schedule.h"

#include "base/limits.h"
#include "base/ratelimit.h"

#include <errno.h>
#include <stdlib.h>

#define NEVER UINT64_MAX
#define SPREAD_PART 10 /* of max_age: over so much is spread what would come at once */

/* A binary heap of entries by their due times; an entry knows its place, so that it can be dropped. Those whose time is
 * not known or never comes are not in it. */
struct schedule {
    struct schedule_policy policy;
    struct schedule_entry **heap;
    size_t n, allocated;
    unsigned running;
    struct ratelimit rate;
};

/* A tenth of a second's worth at once. */
static void set_rate(struct schedule *s, unsigned rate)
{
    uint64_t burst = rate / 10 + (rate % 10 > 0);

    ratelimit_init(&s->rate, rate > 0 ? burst * USEC_PER_SEC / rate : 0, burst);
}

int schedule_new(const struct schedule_policy *policy, struct schedule **ret)
{
    struct schedule *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->policy = *policy;
    set_rate(s, policy->rate);
    *ret = s;
    return 0;
}

struct schedule *schedule_free(struct schedule *s)
{
    if (!s)
        return NULL;
    free(s->heap);
    free(s);
    return NULL;
}

void schedule_set_policy(struct schedule *s, const struct schedule_policy *policy)
{
    if (s->policy.rate != policy->rate)
        set_rate(s, policy->rate);
    s->policy = *policy;
}

static void place(struct schedule *s, size_t i, struct schedule_entry *entry)
{
    s->heap[i] = entry;
    entry->index = i + 1;
}

static void rise(struct schedule *s, size_t i, struct schedule_entry *entry)
{
    for (; i > 0 && s->heap[(i - 1) / 2]->due > entry->due; i = (i - 1) / 2)
        place(s, i, s->heap[(i - 1) / 2]);
    place(s, i, entry);
}

static void sink(struct schedule *s, size_t i, struct schedule_entry *entry)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < s->n && s->heap[child + 1]->due < s->heap[child]->due)
            child++;
        if (child >= s->n || s->heap[child]->due >= entry->due)
            break;
        place(s, i, s->heap[child]);
        i = child;
    }
    place(s, i, entry);
}

static int insert(struct schedule *s, struct schedule_entry *entry)
{
    if (s->n == s->allocated) {
        size_t allocated = s->allocated ? s->allocated * 2 : 64;
        struct schedule_entry **p = reallocarray(s->heap, allocated, sizeof(*p));

        if (!p)
            return -ENOMEM;
        s->heap = p;
        s->allocated = allocated;
    }
    rise(s, s->n++, entry);
    return 0;
}

static void take_out(struct schedule *s, struct schedule_entry *entry)
{
    size_t i = entry->index - 1;
    struct schedule_entry *last;

    if (entry->index == 0)
        return;
    entry->index = 0;
    last = s->heap[--s->n];
    if (last == entry)
        return;
    if (i > 0 && s->heap[(i - 1) / 2]->due > last->due)
        rise(s, i, last);
    else
        sink(s, i, last);
}

void schedule_drop(struct schedule *s, struct schedule_entry *entry)
{
    take_out(s, entry);
    entry->due = NEVER;
}

/* `spread` of 2^32 parts of `span`. */
static uint64_t part_of(uint64_t span, uint32_t spread)
{
    return (uint64_t)((double)span * spread / 4294967296.0);
}

/* As good as independent of both, for each seed another permutation. */
static uint32_t mix(uint32_t spread, uint32_t seed)
{
    uint32_t h = spread ^ seed;

    if (seed == 0)
        return spread;
    h = (h ^ h >> 16) * 0x7feb352dU;
    h = (h ^ h >> 15) * 0x846ca68bU;
    return h ^ h >> 16;
}

static uint64_t due_at(const struct schedule *s, const struct stamp *main_since, const struct stamp *now,
                       uint32_t spread)
{
    uint64_t age = stamp_is_set(main_since) ? stamp_age(main_since, now) : AGE_UNKNOWN, allowed, span;

    if (s->policy.max_age == NEVER || age == AGE_UNKNOWN)
        return NEVER;
    span = s->policy.max_age / SPREAD_PART;
    allowed = s->policy.max_age - part_of(span, spread);
    if (age < allowed)
        return now->boottime + (allowed - age);
    /* It came of age while nobody could know: with it perhaps the whole fleet. */
    return now->boottime + part_of(span, mix(spread, s->policy.seed));
}

int schedule_put(struct schedule *s, struct schedule_entry *entry, const struct stamp *main_since,
                 const struct stamp *now, uint32_t spread, bool fresh)
{
    uint64_t known = entry->due;

    take_out(s, entry);
    /* An age once known is not computed again from a clock that may have jumped. 0: never put. */
    if (fresh || known == NEVER || known == 0 || entry->max_age != s->policy.max_age)
        entry->due = due_at(s, main_since, now, spread);
    entry->max_age = s->policy.max_age;
    return entry->due == NEVER ? 0 : insert(s, entry);
}

struct schedule_entry *schedule_take(struct schedule *s, uint64_t now)
{
    struct schedule_entry *entry;

    while (s->n > 0 && s->heap[0]->due <= now) {
        entry = s->heap[0];
        if (!entry->manual && !schedule_begin(s, now, false))
            return NULL;
        take_out(s, entry); /* `due` stays, and is shown */
        if (!entry->manual) /* otherwise a person's to do */
            return entry;
    }
    return NULL;
}

bool schedule_begin(struct schedule *s, uint64_t now, bool under_way)
{
    if (!under_way && (s->running >= s->policy.concurrent || !ratelimit_take(&s->rate, now, 1)))
        return false;
    s->running++;
    return true;
}

void schedule_finished(struct schedule *s)
{
    if (s->running > 0)
        s->running--;
}

uint64_t schedule_room(struct schedule *s, uint64_t now)
{
    return s->running >= s->policy.concurrent ? NEVER : ratelimit_next(&s->rate, now, 1);
}

uint64_t schedule_wake(struct schedule *s, uint64_t now)
{
    uint64_t room = schedule_room(s, now);

    if (s->n == 0 || room == NEVER)
        return NEVER;
    return s->heap[0]->due > room ? s->heap[0]->due : room;
}
