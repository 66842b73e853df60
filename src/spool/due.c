/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Schedules writes: samples that are to be safe and, less often, the fate of those that are. */
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

static int on_commit(sd_event_source *source, uint64_t usec, void *userdata)
{
    commit_now(userdata);
    return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct spool *s = userdata;

    s->cared = 0;
    if (s->state == SPOOL_FAILED)
        open_begin(s);
    else
        commit_now(s);
    return 0;
}

static int on_age(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct spool *s = userdata;

    spool_tick(s, clock_boottime());
    return 0;
}

static int on_wait(sd_event_source *source, uint64_t usec, void *userdata)
{
    waits_over(userdata, clock_boottime());
    return 0;
}

int spool_commit_init(struct spool *s)
{
    struct {
        sd_event_source **timer;
        uint64_t accuracy;
        sd_event_time_handler_t handler;
    } timers[] = {
        {&s->commit_timer, 5 * USEC_PER_MSEC, on_commit}, {&s->age_timer, 100 * USEC_PER_MSEC, on_age},
        {&s->care_timer, 500 * USEC_PER_MSEC, on_commit}, {&s->retry_timer, 100 * USEC_PER_MSEC, on_retry},
        {&s->wait_timer, 100 * USEC_PER_MSEC, on_wait},
    };

    for (size_t i = 0; i < ELEMENTSOF(timers) && s->options.event; i++) {
        int r = sd_event_add_time(s->options.event, timers[i].timer, CLOCK_BOOTTIME, 0, timers[i].accuracy,
                                  timers[i].handler, s);

        if (r >= 0)
            r = sd_event_source_set_enabled(*timers[i].timer, SD_EVENT_OFF);
        if (r < 0)
            return r;
    }
    return 0;
}

void spool_commit_done(struct spool *s)
{
    sd_event_source_disable_unref(s->commit_timer);
    sd_event_source_disable_unref(s->age_timer);
    sd_event_source_disable_unref(s->care_timer);
    sd_event_source_disable_unref(s->retry_timer);
    sd_event_source_disable_unref(s->wait_timer);
    s->commit_timer = s->age_timer = s->care_timer = s->retry_timer = s->wait_timer = NULL;
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
        commit_now(s);
    else if (!spool_armed(s->retry_timer))
        spool_arm(s, s->commit_timer, clock_boottime() + after);
}

void set_dirty(struct stored *t, uint64_t since)
{
    if (t->dirty)
        return;
    t->dirty = true;
    t->dirty_since = since;
    TAILQ_INSERT_TAIL(&t->device->spool->dirty, t, by_dirty);
}

void not_dirty(struct stored *t)
{
    if (t->dirty)
        TAILQ_REMOVE(&t->device->spool->dirty, t, by_dirty);
    t->dirty = false;
}

void make_dirty(struct spool_device *d)
{
    struct spool *s = d->spool;
    struct stored *t = stored_get(d);

    if (!t)
        return;
    set_dirty(t, clock_boottime());
    if (s->n_dirty >= SPOOL_COMMIT_SAMPLES && !spool_armed(s->retry_timer))
        commit_now(s);
    else
        commit_soon(s, SPOOL_COMMIT_INTERVAL);
}

void let_age(struct spool_device *d, uint64_t now)
{
    struct spool *s = d->spool;
    uint64_t second = now / USEC_PER_SEC;
    struct aging *turn = &s->ages[(second + SPOOL_UNWRITTEN_AGE / USEC_PER_SEC) % AGES];

    if (d->aging || (d->stored && d->stored->dirty))
        return;
    if (spool_grow(&turn->devices, &turn->room, turn->n, sizeof(struct spool_device *)) < 0) {
        make_dirty(d);
        return;
    }
    if (s->n_aging++ == 0)
        s->age_second = second;
    turn->devices[turn->n++] = d;
    d->aging = true;
    spool_arm(s, s->age_timer, (second + 1) * USEC_PER_SEC);
}

void forget_age(const struct spool_device *d)
{
    struct spool *s = d->spool;

    for (unsigned k = 0; d->aging && k < AGES; k++)
        for (size_t i = 0; i < s->ages[k].n; i++)
            if (s->ages[k].devices[i] == d) {
                s->ages[k].devices[i] = s->ages[k].devices[--s->ages[k].n];
                s->n_aging--;
                return;
            }
}

/* Its turn has come: what has waited long enough is written, else it gets another turn. */
static void look_at_age(struct spool_device *d, uint64_t second)
{
    struct spool_queue *q = last_queue(d);
    uint32_t n = unwritten(d);
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

    for (unsigned k = 0; k < AGES && s->age_second < second; k++) {
        struct aging turn = s->ages[++s->age_second % AGES];

        /* A device that is put back comes to another turn. */
        s->ages[s->age_second % AGES] = (struct aging){0};
        s->n_aging -= turn.n;
        for (size_t i = 0; i < turn.n; i++)
            look_at_age(turn.devices[i], second);
        free(turn.devices);
    }
    s->age_second = second;
    if (s->n_aging > 0)
        spool_arm(s, s->age_timer, (second + 1) * USEC_PER_SEC);
}

void write_everything(struct spool *s)
{
    if (s->commit || spool_armed(s->retry_timer) || s->state != SPOOL_OPEN)
        return;
    s->n_dirty = 0;
    for (size_t i = 0; i < s->n_heap; i++)
        if (unwritten(s->heap[i]) > 0) {
            struct stored *t = stored_get(s->heap[i]);

            if (t)
                set_dirty(t, 0);
        }
    commit_now(s);
}

void want_care(struct spool *s, bool now)
{
    if (now)
        s->cared = 0;
    if (s->state != SPOOL_OPEN)
        return;
    if (now || !s->options.event)
        commit_soon(s, 0);
    else if (!spool_armed(s->retry_timer))
        spool_arm(s, s->care_timer, MAX_OF(clock_boottime(), s->cared + SPOOL_CARE_INTERVAL));
}

void device_care(struct spool_device *d)
{
    struct spool *s = d->spool;
    struct stored *t = d->stored;

    if (t->caring || s->state == SPOOL_CLOSED)
        return;
    t->caring = true;
    TAILQ_INSERT_TAIL(&s->care, t, by_care);
    if (s->options.event)
        want_care(s, false);
}

void delete_row(struct spool *s, uint64_t seq)
{
    if (s->n_deletes == s->deletes_room) {
        size_t room = MAX_OF(s->deletes_room * 2, (size_t)64);
        uint64_t *deletes = reallocarray(s->deletes, room, sizeof(*deletes));

        if (!deletes)
            return; /* it is found again at the next start, and its samples sent again */
        s->deletes = deletes;
        s->deletes_room = room;
    }
    s->deletes[s->n_deletes++] = seq;
    if (s->options.event)
        want_care(s, false);
}

void remove_device(struct spool *s, uint32_t number)
{
    uint32_t *removed = reallocarray(s->removed, s->n_removed + 1, sizeof(*removed));

    if (!removed)
        return;
    s->removed = removed;
    s->removed[s->n_removed++] = number;
    if (s->options.event)
        want_care(s, false);
}

void forget_lists(struct stored *t)
{
    struct spool *s = t->device->spool;

    not_dirty(t);
    if (t->wanting)
        TAILQ_REMOVE(&s->wanting, t, by_want);
    if (t->caring)
        TAILQ_REMOVE(&s->care, t, by_care);
    t->wanting = t->caring = false;
}

/* Whether a commit takes what has only just come, too: else a cloud may be faster. */
bool all_now(const struct spool *s)
{
    return !s->options.event || s->stopping || s->failing || s->n_dirty >= SPOOL_COMMIT_SAMPLES;
}

/* How long until the next commit is due. */
uint64_t next_turn(const struct spool *s)
{
    uint64_t now = clock_boottime(), since = TAILQ_FIRST(&s->dirty)->dirty_since;

    return since + SPOOL_COMMIT_INTERVAL > now ? since + SPOOL_COMMIT_INTERVAL - now : 0;
}

bool care_wanted(const struct spool *s)
{
    return s->n_deletes > 0 || s->n_removed > 0 || s->n_rejected > 0 || s->settling || !TAILQ_EMPTY(&s->care);
}
