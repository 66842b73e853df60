/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads samples that are on disk only back when they are to be sent: rows by number, for some devices at a time. Frees
 * samples that are on disk too while they are not sent. */
#include "base/clock.h"
#include "spool/file.h"
#include "spool/stamp.h"

struct asked {
    struct spool_device *device; /* NULL: forgotten */
    struct spool_row row;
    size_t at, size; /* in the data */
    int r;
};

struct load {
    struct spool *spool;
    struct asked asked[SPOOL_LOAD_ROWS];
    size_t n, samples;
    struct record_buffer data;
    struct error e;
};

static void load_free(struct load *l)
{
    if (l)
        record_buffer_done(&l->data);
    free(l);
}

void load_leave(struct spool *s)
{
    load_free(TAKE_PTR(s->load));
}

void load_forget(struct spool_device *d)
{
    struct load *l = d->spool->load;

    for (size_t i = 0; l && i < l->n; i++)
        if (l->asked[i].device == d)
            l->asked[i].device = NULL;
}

/* ---- How much ---- */

/* Bytes in memory of what is on disk too, or on its way there. */
static uint64_t loaded(const struct spool *s)
{
    return s->account.memory - s->account.unwritten_bytes;
}

/* How many samples of what is on disk a device may have in memory, to be sent next. */
static uint32_t window(const struct spool *s)
{
    size_t fair = SPOOL_MEMORY_MAX / 2 / sizeof(struct entry) / MAX_OF(s->account.n_heap, (size_t)1);

    return (uint32_t)MAX_OF(MIN_OF(fair, (size_t)SPOOL_WINDOW_MAX), (size_t)SPOOL_WINDOW_MIN);
}

bool load_due(const struct spool_device *d)
{
    return d->stored && d->stored->rows.rest.count > 0 && d->segments.queue.n < window(d->spool) / 2;
}

/* How many samples stay of what is on disk too. Those under way do in any case. */
static uint32_t kept(const struct spool_device *d)
{
    uint32_t most = loaded(d->spool) < SPOOL_MEMORY_MAX / 2 ? window(d->spool) : 0;

    return MAX_OF(most, d->segments.held);
}

void unload(struct spool_device *d)
{
    segments_unload(&d->segments, kept(d));
}

/* ---- On the worker ---- */

static int run(void *userdata)
{
    struct load *l = userdata;

    for (size_t i = 0; i < l->n; i++) {
        struct asked *a = &l->asked[i];

        a->at = l->data.size;
        a->r = spool_store_data(l->spool->store, a->row.seq, &l->data, &l->e);
        a->size = l->data.size - a->at;
        if (a->r < 0 && a->r != -ENOENT)
            return a->r;
    }
    return 0;
}

/* ---- Taking over ---- */

struct taking {
    struct spool_device *device;
    uint32_t skip, taken, arrived;
    int64_t offset;
};

static int on_sample(const struct sample *sample, void *userdata)
{
    struct taking *t = userdata;
    struct entry e = {.time = sample->time, .quality = (uint8_t)sample->quality, .arrived = t->arrived};
    int r;

    if (t->skip > 0) {
        t->skip--;
        return 0;
    }
    r = spool_points_get(&t->device->segments.points, sample->point, sample->unit);
    if (r < 0)
        return r;
    e.point = (uint16_t)r;
    spool_entry_set(&e, &sample->value);
    if ((e.quality & SAMPLE_BOOTTIME) && t->device->spool->clock.stamped) {
        e.time = shifted(e.time, t->offset);
        e.quality &= (uint8_t)~SAMPLE_BOOTTIME;
    }
    r = segments_load_push(&t->device->segments, &e);
    t->taken += r >= 0;
    if (r >= 0 && !(e.quality & SAMPLE_BOOTTIME)) {
        struct spool_point *p = &t->device->segments.points.points[e.point];

        p->newest = MAX_OF(p->newest, e.time);
    }
    return r;
}

/* When it arrived, in seconds of this boot. */
static uint32_t arrived_here(const struct spool *s, const struct spool_row *row, const struct boot *b)
{
    const struct boot *present = &s->boots.list[s->boots.present];
    int64_t moved = row->arrived;

    if (b == present || !b)
        return row->arrived;
    if (!boots_compare(b, present))
        return (uint32_t)(clock_boottime() / USEC_PER_SEC);
    moved += (b->stored.offset - present->stored.offset) / (int64_t)USEC_PER_SEC;
    return (uint32_t)(int32_t)MAX_OF(moved, (int64_t)INT32_MIN);
}

static void unread(struct spool_device *d, uint32_t lost)
{
    const struct spool *s = d->spool;

    count_dropped(d, lost);
    if (s->options.ops && s->options.ops->unreadable)
        s->options.ops->unreadable(d->id, lost, s->options.userdata);
}

/* The row comes behind what the queue holds, if there is memory for it now. */
static void take_row(struct load *l, const struct asked *a, uint32_t gone)
{
    struct spool_device *d = a->device;
    const struct spool *s = d->spool;
    const struct boot *b = boot_of(s, a->row.seq);
    struct taking taking = {.device = d,
                            .skip = gone,
                            .arrived = arrived_here(s, &a->row, b),
                            .offset = b && b->stored.known ? b->stored.offset : s->clock.offset};
    int r = a->r;

    if (segments_load_begin(&d->segments) < 0)
        return;
    if (r >= 0)
        r = record_decode(l->data.data + a->at, a->size, a->row.n, on_sample, &taking);
    /* Nothing of a row that is not right, and nothing of one that finds no room. */
    segments_load_end(&d->segments, &a->row, taking.taken, r);
    if (r < 0 && r != -ENOMEM && !(r == -ENOBUFS && d->segments.queue.n > 0))
        unread(d, segments_row_unreadable(&d->segments));
}

static void take(struct load *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct asked *a = &l->asked[i];
        struct spool_row first;
        uint32_t gone;

        /* A row dropped meanwhile is no longer the first. */
        if (a->device && segments_first_rest(&a->device->segments, &first, &gone) && first.seq == a->row.seq)
            take_row(l, a, gone);
    }
}

static void on_loaded(int r, void *userdata)
{
    struct load *l = userdata;
    struct spool *s = l->spool;

    s->load = NULL;
    if (r >= 0)
        take(l);
    else if (r != -ECANCELED)
        disk_failed(s, r, &l->e);
    for (size_t i = 0; r >= 0 && i < l->n; i++)
        if (l->asked[i].device && (i + 1 == l->n || l->asked[i + 1].device != l->asked[i].device)) {
            say_more(l->asked[i].device);
            if (l->asked[i].device)
                stored_put(l->asked[i].device);
        }
    load_free(l);
    give_up_damaged(s);
    load_next(s);
}

/* ---- Asking ---- */

/* Whether its next row may be sent: the times of its boot are known, or can be. */
static bool may_load(const struct spool_device *d)
{
    const struct spool *s = d->spool;
    struct spool_row first;
    const struct boot *b;

    if (!segments_first_rest(&d->segments, &first, NULL))
        return false;
    b = boot_of(s, first.seq);
    return s->clock.stamped || !b || b->stored.known || b == &s->boots.list[s->boots.present];
}

/* Rows of the device, as far as they are wanted; false if there is no room for the first of them. */
static bool ask(struct load *l, struct spool_device *d, uint64_t *room)
{
    uint32_t samples = d->segments.queue.n;
    size_t at = 0, first = l->n;
    struct spool_row row;

    while (l->n < SPOOL_LOAD_ROWS && l->samples < SPOOL_LOAD_SAMPLES && samples < window(d->spool) / 2 &&
           spool_rows_next(&d->segments.rows->rest, &at, &row)) {
        uint64_t bytes = row.n * sizeof(struct entry) + row.size;

        if (bytes > *room)
            return l->n > first;
        *room -= bytes;
        l->asked[l->n++] = (struct asked){.device = d, .row = row};
        l->samples += row.n;
        samples += row.n;
    }
    return true;
}

/* Of whom there is more to be read than there is room for, wait: for those whose samples are being sent now, or whose
 * line turns out to be down. */
void load_next(struct spool *s)
{
    uint64_t most = SPOOL_MEMORY_MAX / 4 * 3, room = loaded(s) < most ? most - loaded(s) : 0;
    struct stored *t;
    struct load *l;

    if (TAILQ_EMPTY(&s->wanting) || room == 0 || s->load || s->trouble.damaged || s->state != SPOOL_OPEN || s->stopping)
        return;
    l = calloc(1, sizeof(*l));
    if (!l)
        return;
    l->spool = s;
    while (l->n < SPOOL_LOAD_ROWS && l->samples < SPOOL_LOAD_SAMPLES && (t = TAILQ_FIRST(&s->wanting))) {
        if (may_load(t->device) && !ask(l, t->device, &room))
            break;
        TAILQ_REMOVE(&s->wanting, t, due.by_want);
        t->due.wanting = false;
    }
    if (l->n == 0) {
        load_free(l);
        return;
    }
    s->load = l;
    submit(s, run, on_loaded, l);
}

void want_load(struct spool_device *d)
{
    struct spool *s = d->spool;

    if (d->stored->due.wanting || s->state != SPOOL_OPEN)
        return;
    d->stored->due.wanting = true;
    TAILQ_INSERT_TAIL(&s->wanting, d->stored, due.by_want);
    load_next(s);
}
