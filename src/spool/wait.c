/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers that wait until samples are safe, and for how long. An answer covers the samples of several devices, so none
 * of them may keep it back for long: one that waits in vain becomes a refusal. The samples stay, since part of them may
 * be in a commit, or with the cloud; their marks tell them apart from new ones when they are handed over again. */
#include "spool/wait.h"

#include "base/clock.h"
#include "spool/internal.h"

#include <string.h>

/* The point and its time, as they were handed over, name a sample. */
static uint64_t mark(const struct sample *said)
{
    return map_hash_combine(map_hash_text(said->point), said->time);
}

static void waiter_end(struct waiter *w, int r)
{
    TAILQ_REMOVE(&w->device->spool->waiters, w, by_age);
    w->done(r, w->userdata);
    free(w);
}

void waits_passed(struct waits *all, uint64_t n)
{
    struct waiter *w;

    all->passed += n;
    while ((w = all->first) && w->until <= all->passed) {
        all->first = w->next;
        if (!w->next)
            all->last = NULL;
        waiter_end(w, 0);
    }
}

bool waits_for_all(const struct waits *all, uint64_t n)
{
    return all->last && all->last->until >= all->passed + n;
}

void end_waiters(struct waits *all, int r)
{
    struct waiter *w;

    while ((w = all->first)) {
        all->first = w->next;
        waiter_end(w, r);
    }
    all->last = NULL;
}

struct waiter *waiter_new(struct spool_device *d, uint64_t now, const struct sample *said, size_t n)
{
    struct waiter *w = stored_get(d) ? malloc(sizeof(*w) + n * sizeof(w->marks[0])) : NULL;

    if (!w)
        return NULL;
    *w = (struct waiter){.device = d, .since = now, .n = n};
    for (size_t i = 0; i < n; i++)
        w->marks[i] = mark(&said[i]);
    return w;
}

void wait_until_safe(struct waiter *w, void (*done)(int r, void *userdata), void *userdata)
{
    struct spool_device *d = w->device;
    struct stored *t = d->stored;

    w->until = t->waits.passed + t->rows.writing + segments_unwritten(&d->segments);
    w->done = done;
    w->userdata = userdata;
    if (t->waits.last)
        t->waits.last->next = w;
    else
        t->waits.first = w;
    t->waits.last = w;
    TAILQ_INSERT_TAIL(&d->spool->waiters, w, by_age);
    spool_arm(d->spool, d->spool->due.wait_timer, w->since + SPOOL_WAIT_MAX);
}

/* ---- In vain ---- */

void give_up(struct spool_device *d, uint64_t now)
{
    struct stored *t = d->stored;
    size_t n = 0;
    uint64_t *again;

    if (!t || !t->waits.first)
        return;
    for (const struct waiter *w = t->waits.first; w; w = w->next)
        n += w->n;
    again = reallocarray(t->waits.again, t->waits.n_again + n, sizeof(*again));
    if (!again)
        return; /* they would come twice: tried again */
    t->waits.again = again;
    for (const struct waiter *w = t->waits.first; w; w = w->next) {
        memcpy(again + t->waits.n_again, w->marks, w->n * sizeof(*again));
        t->waits.n_again += w->n;
    }
    t->waits.again_until = t->waits.last->until;
    t->waits.again_since = now;
    end_waiters(&t->waits, -EBUSY);
}

void give_up_offline(struct spool *s)
{
    for (struct waiter *w = TAILQ_FIRST(&s->waiters), *next; w; w = next) {
        struct spool_device *d = w->device;

        next = TAILQ_NEXT(w, by_age);
        while (next && next->device == d)
            next = TAILQ_NEXT(next, by_age); /* goes with this one */
        if (!d->up)
            give_up(d, clock_boottime());
    }
}

void waits_over(struct spool *s, uint64_t now)
{
    const struct waiter *w;

    while ((w = TAILQ_FIRST(&s->waiters)) && w->since + SPOOL_WAIT_MAX <= now) {
        give_up(w->device, now);
        if (TAILQ_FIRST(&s->waiters) == w)
            break; /* out of memory */
    }
    if (w)
        spool_arm(s, s->due.wait_timer, MAX_OF(w->since + SPOOL_WAIT_MAX, now + SPOOL_WAIT_MAX / 10));
}

/* ---- A second time ---- */

bool again_unsafe(const struct waits *w)
{
    return w->n_again > 0 && w->again_until > w->passed;
}

/* The disk failed, and somebody's samples try it again. */
static bool is_tried(const struct spool *s)
{
    return s->trouble.failing && (s->commit || !TAILQ_EMPTY(&s->due.dirty) || spool_armed(s->due.retry_timer));
}

static bool in_vain(const struct spool_device *d)
{
    return (d->stored && again_unsafe(&d->stored->waits)) || (!d->up && is_tried(d->spool));
}

bool is_refused(struct spool_device *d)
{
    if (!in_vain(d))
        return false;
    commit_soon(d->spool, 0);
    return in_vain(d);
}

void again_forget(struct waits *w)
{
    free(w->again);
    w->again = NULL;
    w->n_again = 0;
}

bool is_again(struct spool_device *d, uint64_t now, const struct sample *said)
{
    struct waits *w = d->stored ? &d->stored->waits : NULL;
    uint64_t wanted;
    size_t i = 0;

    if (!w || w->n_again == 0)
        return false;
    if (now > w->again_since + SPOOL_AGAIN_MAX) {
        again_forget(w);
        return false;
    }
    wanted = mark(said);
    while (i < w->n_again && w->again[i] != wanted)
        i++;
    if (i == w->n_again)
        return false;
    w->again_since = now;
    w->n_again--;
    memmove(w->again + i, w->again + i + 1, (w->n_again - i) * sizeof(*w->again));
    if (w->n_again == 0)
        again_forget(w);
    return true;
}
