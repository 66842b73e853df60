/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spool/due.h"

#include "base/clock.h"
#include "spool/internal.h"

/* ---- Timers ---- */

void spool_arm(struct spool *s, sd_event_source *timer, uint64_t when)
{
    int enabled = SD_EVENT_OFF;

    if (!timer || s->stopping)
        return;
    sd_event_source_get_enabled(timer, &enabled);
    if (enabled != SD_EVENT_OFF)
        return;
    sd_event_source_set_time(timer, when);
    sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

bool spool_armed(sd_event_source *timer)
{
    int enabled = SD_EVENT_OFF;

    if (timer)
        sd_event_source_get_enabled(timer, &enabled);
    return enabled != SD_EVENT_OFF;
}

/* ---- What is to be written ---- */

int spool_grow(void *array, size_t *room, size_t n, size_t size)
{
    void **p = array, *larger;

    if (n < *room)
        return 0;
    larger = reallocarray(*p, MAX_OF(n * 2, (size_t)16), size);
    if (!larger)
        return -ENOMEM;
    *p = larger;
    *room = MAX_OF(n * 2, (size_t)16);
    return 0;
}

/* Asks for a commit; without an event loop it is now. */
void commit_soon(struct spool *s, uint64_t after)
{
    if (!s->options.event && !s->stopping)
        s->due.commit(s);
    else if (!spool_armed(s->due.retry_timer))
        spool_arm(s, s->due.commit_timer, clock_boottime() + after);
}

void set_dirty(struct stored *t, uint64_t since)
{
    if (t->due.dirty)
        return;
    t->due.dirty = true;
    t->due.dirty_since = since;
    TAILQ_INSERT_TAIL(&t->device->spool->due.dirty, t, due.by_dirty);
}

void not_dirty(struct stored *t)
{
    if (t->due.dirty)
        TAILQ_REMOVE(&t->device->spool->due.dirty, t, due.by_dirty);
    t->due.dirty = false;
}

void make_dirty(struct spool_device *d)
{
    struct spool *s = d->spool;
    struct stored *t = stored_get(d);

    if (!t)
        return;
    set_dirty(t, clock_boottime());
    if (s->due.n_dirty >= SPOOL_COMMIT_SAMPLES && !spool_armed(s->due.retry_timer))
        s->due.commit(s);
    else
        commit_soon(s, SPOOL_COMMIT_INTERVAL);
}

void let_age(struct spool_device *d, uint64_t now)
{
    struct spool *s = d->spool;
    uint64_t second = now / USEC_PER_SEC;
    struct aging *turn = &s->due.ages.turns[(second + SPOOL_UNWRITTEN_AGE / USEC_PER_SEC) % AGES];

    if (d->aging || (d->stored && d->stored->due.dirty))
        return;
    if (spool_grow(&turn->devices, &turn->room, turn->n, sizeof(struct spool_device *)) < 0) {
        make_dirty(d);
        return;
    }
    if (s->due.ages.n++ == 0)
        s->due.ages.second = second;
    turn->devices[turn->n++] = d;
    d->aging = true;
    spool_arm(s, s->due.age_timer, (second + 1) * USEC_PER_SEC);
}

void forget_age(const struct spool_device *d)
{
    struct spool *s = d->spool;

    for (unsigned k = 0; d->aging && k < AGES; k++)
        for (size_t i = 0; i < s->due.ages.turns[k].n; i++)
            if (s->due.ages.turns[k].devices[i] == d) {
                s->due.ages.turns[k].devices[i] = s->due.ages.turns[k].devices[--s->due.ages.turns[k].n];
                s->due.ages.n--;
                return;
            }
}

/* Its turn has come: what has waited long enough is written, else it gets another turn. */
static void look_at_age(struct spool_device *d, uint64_t second)
{
    struct spool_queue *q = segments_last(&d->segments);
    uint32_t n = segments_unwritten(&d->segments);
    uint64_t arrived;

    d->aging = false;
    if (n == 0 || !writes(d->spool))
        return;
    arrived = spool_queue_at(q, q->n - n)->arrived;
    if (second >= arrived + SPOOL_UNWRITTEN_AGE / USEC_PER_SEC)
        make_dirty(d);
    else
        let_age(d, arrived * USEC_PER_SEC);
}

void spool_tick(struct spool *s, uint64_t now)
{
    uint64_t second = now / USEC_PER_SEC;

    for (unsigned k = 0; k < AGES && s->due.ages.second < second; k++) {
        struct aging turn = s->due.ages.turns[++s->due.ages.second % AGES];

        /* A device that is put back comes to another turn. */
        s->due.ages.turns[s->due.ages.second % AGES] = (struct aging){0};
        s->due.ages.n -= turn.n;
        for (size_t i = 0; i < turn.n; i++)
            look_at_age(turn.devices[i], second);
        free(turn.devices);
    }
    s->due.ages.second = second;
    if (s->due.ages.n > 0)
        spool_arm(s, s->due.age_timer, (second + 1) * USEC_PER_SEC);
}

int everything_dirty(struct spool *s)
{
    int r = 0;

    for (size_t i = 0; i < s->account.n_heap; i++)
        if (segments_unwritten(s->account.heap[i]) > 0) {
            struct stored *t = stored_get(device_of(s->account.heap[i]));

            if (t)
                set_dirty(t, 0);
            else
                r = -ENOMEM;
        }
    return r;
}

void write_everything(struct spool *s)
{
    if (s->commit || spool_armed(s->due.retry_timer) || s->state != SPOOL_OPEN)
        return;
    s->due.n_dirty = 0;
    (void)everything_dirty(s);
    s->due.commit(s);
}

bool is_unsettled(const struct spool *s)
{
    return s->due.settled < s->due.asked;
}

void want_care(struct spool *s, bool now)
{
    if (now)
        s->due.cared = 0;
    if (s->state != SPOOL_OPEN)
        return;
    if (now || !s->options.event)
        commit_soon(s, 0);
    else if (!spool_armed(s->due.retry_timer))
        spool_arm(s, s->due.care_timer, MAX_OF(clock_boottime(), s->due.cared + SPOOL_CARE_INTERVAL));
}

void device_care(struct spool_device *d)
{
    struct spool *s = d->spool;
    struct stored *t = d->stored;

    if (t->due.caring || s->state == SPOOL_CLOSED)
        return;
    t->due.caring = true;
    TAILQ_INSERT_TAIL(&s->due.care, t, due.by_care);
    if (s->options.event)
        want_care(s, false);
}

void delete_row(struct spool *s, uint64_t seq)
{
    struct leaving *l = &s->due.leaving;

    if (spool_grow(&l->rows, &l->rows_room, l->n_rows, sizeof(*l->rows)) < 0)
        return; /* it is found again at the next start, and its samples sent again */
    l->rows[l->n_rows++] = seq;
    if (s->options.event)
        want_care(s, false);
}

void remove_device(struct spool *s, uint32_t number)
{
    struct leaving *l = &s->due.leaving;
    uint32_t *devices = reallocarray(l->devices, l->n_devices + 1, sizeof(*devices));

    if (!devices)
        return;
    l->devices = devices;
    devices[l->n_devices++] = number;
    if (s->options.event)
        want_care(s, false);
}

void count_dropped(struct spool_device *d, uint64_t n)
{
    d->outcomes.dropped += n;
    d->spool->outcomes.dropped += n;
    if (d->stored && writes(d->spool))
        device_care(d);
}

void leaving_done(struct leaving *l)
{
    for (size_t i = 0; i < l->n_rejected; i++) {
        free((char *)l->rejected[i].sample.point);
        sample_value_done(&l->rejected[i].sample.value);
    }
    free(l->rejected);
    free(l->devices);
    free(l->rows);
    *l = (struct leaving){0};
}

void forget_lists(struct stored *t)
{
    struct spool *s = t->device->spool;

    not_dirty(t);
    if (t->due.wanting)
        TAILQ_REMOVE(&s->wanting, t, due.by_want);
    if (t->due.caring)
        TAILQ_REMOVE(&s->due.care, t, due.by_care);
    t->due.wanting = t->due.caring = false;
}

/* Whether a commit takes what has only just come, too: else a cloud may be faster. */
bool all_now(const struct spool *s)
{
    return !s->options.event || s->stopping || s->trouble.failing || is_unsettled(s) ||
           s->due.n_dirty >= SPOOL_COMMIT_SAMPLES;
}

/* How long until the next commit is due. */
uint64_t next_turn(const struct spool *s)
{
    uint64_t now = clock_boottime(), since = TAILQ_FIRST(&s->due.dirty)->due.dirty_since;

    return since + SPOOL_COMMIT_INTERVAL > now ? since + SPOOL_COMMIT_INTERVAL - now : 0;
}

bool care_wanted(const struct spool *s)
{
    return s->due.leaving.n_rows > 0 || s->due.leaving.n_devices > 0 || s->due.leaving.n_rejected > 0 || s->settling ||
           !TAILQ_EMPTY(&s->due.care);
}
