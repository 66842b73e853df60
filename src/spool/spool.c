/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices, and what comes to them and leaves them. */
#include "spool/spool.h"

#include "base/clock.h"
#include "spool/file.h"
#include "spool/share.h"
#include "spool/stamp.h"

#include <string.h>

/* ---- What the segments tell ---- */

static void on_row_gone(struct segments *g, uint64_t seq)
{
    delete_row(device_of(g)->spool, seq);
}

static void on_row_begun(struct segments *g)
{
    device_care(device_of(g));
}

static void on_passed(struct segments *g, uint64_t n)
{
    waits_passed(&device_of(g)->stored->waits, n);
}

static void on_dropped(struct segments *g, uint64_t n)
{
    count_dropped(device_of(g), n);
}

static bool is_awaited(const struct segments *g)
{
    const struct stored *t =
        (const struct stored *)(const void *)((const char *)g->rows - offsetof(struct stored, rows));

    return t->waits.first || again_unsafe(&t->waits);
}

static const struct segments_ops segments_ops = {
    .row_gone = on_row_gone,
    .row_begun = on_row_begun,
    .passed = on_passed,
    .dropped = on_dropped,
    .awaited = is_awaited,
};

/* ---- Devices ---- */

/* Frees the device and what it has. `rows`: on disk, too. */
static void device_done(struct spool_device *d, bool rows)
{
    struct spool *s = d->spool;
    struct stored *t = d->stored;

    commit_forget(d);
    load_forget(d);
    open_forget(d, rows);
    forget_age(d);
    map_remove(&s->devices, &d->node);
    if (t) {
        forget_lists(t);
        end_waiters(&t->waits, rows ? 0 : -ECANCELED);
        again_forget(&t->waits);
    }
    segments_done(&d->segments, rows);
    free(t);
    free(d);
}

void spool_forget(struct spool_device *d)
{
    struct spool *s = d->spool;

    if (d->number > 0)
        remove_device(s, d->number);
    s->outcomes.dropped += d->segments.settled.queued;
    device_done(d, true);
    want_care(s, false);
}

void spool_line(struct spool_device *d, bool up)
{
    struct spool *s = d->spool;
    bool was = d->up;

    d->up = up;
    if (up)
        return;
    if (was && writes(s) && s->settings.durability == SPOOL_OUTAGE && segments_unwritten(&d->segments) > 0)
        make_dirty(d);
    if (s->trouble.failing)
        give_up(d, clock_boottime());
    unload(d);
    load_next(s);
}

/* ---- Beginning and end ---- */

/* Looks whether the file may be opened, and begins to. In memory only: what an earlier run left is sent, though. */
static int begin_file(struct spool *s, struct error *e)
{
    bool memory = s->settings.durability == SPOOL_MEMORY;
    int r;

    if (!s->path || s->state != SPOOL_CLOSED || (memory && access(s->path, F_OK) < 0))
        return 0;
    r = spool_store_new(s->path, &s->store, e);
    if (r >= 0)
        r = spool_store_look(s->store, e);
    if (r == -EBADMSG)
        r = 0; /* found again, and moved aside */
    if (r >= 0 && s->options.event)
        r = workers_new(s->options.event, 1, &s->workers);
    if (r < 0) {
        s->store = spool_store_free(s->store);
        return r;
    }
    open_begin(s);
    return 0;
}

int spool_new(const struct spool_settings *settings, const struct spool_options *options, struct spool **ret,
              struct error *e)
{
    _cleanup_(spool_freep) struct spool *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    s->settings = *settings;
    s->options = *options;
    s->next_seq = s->next_number = 1;
    TAILQ_INIT(&s->due.dirty);
    TAILQ_INIT(&s->wanting);
    TAILQ_INIT(&s->due.care);
    TAILQ_INIT(&s->waiters);
    s->account.ops = &segments_ops;
    s->due.commit = commit_now;
    if (options->path && !(s->path = strdup(options->path)))
        return -ENOMEM;
    r = timers_init(s);
    if (r < 0)
        return error_errno(e, r, "cannot begin the spool");
    r = begin_file(s, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}

/* Work under way on the worker is finished, work not begun is not. */
static void stop_worker(struct spool *s)
{
    s->stopping = true;
    workers_free(TAKE_PTR(s->workers));
}

struct spool *spool_free(struct spool *s)
{
    if (!s)
        return NULL;
    stop_worker(s);
    for (struct map_node *node = map_next(&s->devices, NULL), *next; node; node = next) {
        next = map_next(&s->devices, node);
        device_done(MAP_ENTRY(node, struct spool_device, node), false);
    }
    timers_done(s);
    open_done(s);
    load_leave(s);
    spool_store_free(s->store);
    map_done(&s->devices);
    for (int i = 0; i < AGES; i++)
        free(s->due.ages.turns[i].devices);
    leaving_done(&s->due.leaving);
    free(s->boots.list);
    account_done(&s->account);
    free(s->path);
    free(s);
    return NULL;
}

/* Under another durability other samples are to be written. */
static void follow(struct spool *s)
{
    for (size_t i = 0; i < s->account.n_heap; i++) {
        struct spool_device *d = device_of(s->account.heap[i]);

        if (segments_unwritten(&d->segments) == 0 || !writes(s))
            continue;
        if (s->settings.durability == SPOOL_ALWAYS || !d->up)
            make_dirty(d);
        else
            let_age(d, clock_boottime());
    }
    /* Nothing more is written: who waits for it would wait for ever. */
    for (size_t i = 0; s->settings.durability == SPOOL_MEMORY && i < s->account.n_heap; i++) {
        struct stored *t = device_of(s->account.heap[i])->stored;

        if (t && t->rows.writing == 0)
            end_waiters(&t->waits, 0);
        if (t)
            t->waits.again_until = 0;
    }
}

int spool_set(struct spool *s, const struct spool_settings *settings, struct error *e)
{
    bool same = settings->durability == s->settings.durability;
    int r = 0;

    s->settings = *settings;
    if (!same) {
        r = begin_file(s, e);
        follow(s);
    }
    if (!writes(s))
        make_room(s, 0);
    enforce(s);
    return r;
}

int spool_flush(struct spool *s, struct error *e)
{
    stop_worker(s);
    if (s->state == SPOOL_CLOSED)
        return 0;
    timers_done(s);
    if (s->state != SPOOL_OPEN && writes(s))
        open_begin(s);
    s->trouble.failing = false;
    s->due.cared = 0;
    if (writes(s))
        write_everything(s);
    else
        commit_now(s);
    if (!s->trouble.failing && (!writes(s) || s->account.unwritten == 0))
        return 0;
    return error_set(e, -EIO, "%llu samples could not be written: %s", (unsigned long long)s->account.unwritten,
                     s->trouble.last.text);
}

uint64_t spool_settle(struct spool *s)
{
    s->due.asked++;
    if (!spool_armed(s->due.retry_timer))
        commit_now(s);
    return s->due.asked;
}

bool spool_settled(const struct spool *s, uint64_t generation)
{
    return !writes(s) || s->due.settled >= generation;
}

/* ---- Samples ---- */

/* In memory there is no room: the oldest goes of whichever device has most of it, unless somebody waits for that. */
static bool has_room(struct spool_device *d, const struct entry *e)
{
    struct spool *s = d->spool;

    while (!make_room(s, spool_queue_cost(segments_last(&d->segments), e))) {
        if (!writes(s) || !account_evict_unwritten(&s->account))
            return false;
    }
    return true;
}

/* `room`: there is some, by reservation. */
static bool append_one(struct spool_device *d, uint64_t now, const struct sample *sample, bool room)
{
    struct spool *s = d->spool;
    struct entry e = {.time = sample->time, .quality = (uint8_t)sample->quality};
    struct spool_point *p;
    bool boottime;
    int i = spool_points_get(&d->segments.points, sample->point, sample->unit);

    if (i < 0)
        return false;
    spool_entry_set(&e, &sample->value);
    e.point = (uint16_t)i;
    e.arrived = (uint32_t)(now / USEC_PER_SEC);
    if ((e.quality & SAMPLE_BOOTTIME) && s->clock.stamped) {
        e.time = shifted(e.time, s->clock.offset);
        e.quality &= (uint8_t)~SAMPLE_BOOTTIME;
    }
    if (!writes(s) && d->segments.queue.n >= SPOOL_DEVICE_SAMPLES_MAX && !segments_evict(&d->segments, false))
        return false;
    if (!room && !has_room(d, &e))
        return false;
    p = &d->segments.points.points[i];
    boottime = e.quality & SAMPLE_BOOTTIME;
    if (p->last != 0 && p->last_boottime == boottime)
        e.time = queue_next_time(p->last, e.time);
    if (segments_push(&d->segments, &e) < 0)
        return false;
    p->last = e.time;
    p->last_boottime = boottime;
    if (!boottime)
        p->newest = e.time;
    return true;
}

/* After n samples that are safe already: they are written when they become old, or many. */
static void write_later(struct spool_device *d, uint64_t now)
{
    struct spool *s = d->spool;

    let_age(d, now);
    if (s->account.unwritten_bytes > SPOOL_UNWRITTEN_BYTES)
        write_everything(s);
}

/* Their approximate size in memory: chunks may be half full. */
static uint64_t bytes_of(const struct sample *samples, size_t n)
{
    uint64_t bytes = 2 * n * sizeof(struct entry);

    for (size_t i = 0; i < n; i++)
        if (samples[i].value.type == SAMPLE_STRING)
            bytes += strlen(samples[i].value.s) + 1;
    return bytes;
}

/* Those that are not here already. */
static void append_all(struct spool_device *d, uint64_t now, const struct sample *samples, const struct sample *said,
                       size_t n, bool reserved)
{
    for (size_t i = 0; i < n; i++)
        if (!(said && is_again(d, now, &said[i])) && !append_one(d, now, &samples[i], reserved))
            count_dropped(d, 1);
}

void spool_append(struct spool_device *d, uint64_t now, const struct sample *samples, size_t n,
                  void (*done)(int r, void *userdata), void *userdata)
{
    spool_append_said(d, now, samples, samples, n, done, userdata);
}

void spool_append_said(struct spool_device *d, uint64_t now, const struct sample *samples, const struct sample *said,
                       size_t n, void (*done)(int r, void *userdata), void *userdata)
{
    struct spool *s = d->spool;
    bool waits = waits_for_disk(d), reserved = waits && done, again = done && d->stored && d->stored->waits.n_again > 0;
    struct waiter *w = NULL;
    uint32_t before;

    drop_old(d, now);
    if (reserved && !is_refused(d) && make_room(s, bytes_of(samples, n)))
        w = waiter_new(d, now, said, n);
    if (reserved && !w) {
        if (d->stored)
            d->stored->waits.again_since = now; /* whoever has them still asks */
        stored_put(d);
        done(-EBUSY, userdata);
        return;
    }
    count_rate(s, now, n);
    before = segments_unwritten(&d->segments);
    append_all(d, now, samples, again ? said : NULL, n, reserved);
    if (waits && segments_unwritten(&d->segments) > before) {
        s->due.n_dirty += n;
        if (w)
            wait_until_safe(w, done, userdata);
        make_dirty(d);
        return;
    }
    free(w);
    if (writes(s) && segments_unwritten(&d->segments) > 0)
        write_later(d, now);
    stored_put(d);
    if (done)
        done(0, userdata);
}

size_t spool_peek(struct spool_device *d, uint64_t now, size_t from, struct sample *ret, size_t max)
{
    const struct spool *s = d->spool;
    struct spool_queue_cursor c;
    size_t n = 0;

    if (s->state == SPOOL_OPENING || s->settling)
        return 0;
    drop_old(d, now);
    if (load_due(d))
        want_load(d);
    if (from >= d->segments.queue.n)
        return 0;
    for (c = spool_queue_from(&d->segments.queue, from); n < max; n++) {
        const struct entry *e = spool_queue_step(&c);

        if (!e || (e->quality & SAMPLE_BOOTTIME))
            break;
        ret[n] = (struct sample){
            .point = d->segments.points.points[e->point].name,
            .time = e->time,
            .unit = d->segments.points.points[e->point].unit,
            .quality = e->quality,
        };
        spool_entry_value(e, &ret[n].value);
    }
    return n;
}

void spool_hold(struct spool_device *d, size_t n)
{
    d->segments.held = (uint32_t)MIN_OF(n, (size_t)d->segments.queue.n);
}

static bool later_is_safe(const struct spool_device *d)
{
    const struct stored *t = d->stored;
    uint64_t n = segments_unwritten(&d->segments);

    return !t || !writes(d->spool) ||
           segments_later_is_safe(&d->segments, waits_for_all(&t->waits, t->rows.writing + n));
}

/* The first leaves the queue. */
static void release(struct spool_device *d)
{
    segments_release(&d->segments);
    if (d->stored && segments_unwritten(&d->segments) == 0)
        not_dirty(d->stored);
}

/* Whether the oldest is not the last of its point. Their order says so, since times may have stepped back; but it stays
 * where only what waits for its time comes after it. */
static bool is_passed(const struct spool_device *d)
{
    const struct entry *e = d->segments.queue.n > 0 ? spool_queue_at(&d->segments.queue, 0) : NULL;

    if (!e || !spool_points_more(&d->segments.points, e) || !later_is_safe(d))
        return false;
    return d->spool->clock.stamped ? !(e->quality & SAMPLE_BOOTTIME) : spool_points_overtaken(&d->segments.points, e);
}

size_t spool_pass_over(struct spool_device *d, size_t max)
{
    size_t n = 0;

    if (d->segments.held > 0 || d->spool->state == SPOOL_OPENING || d->spool->settling)
        return 0;
    for (; n < max && is_passed(d); n++)
        release(d);
    if (n > 0) {
        stored_put(d);
        load_next(d->spool);
    }
    return n;
}

bool spool_overtaken(const struct spool_device *d, size_t i)
{
    return i < d->segments.queue.n &&
           spool_points_overtaken(&d->segments.points, spool_queue_at(&d->segments.queue, i));
}

/* The first n leave; returns how many there were. */
static size_t leave(struct spool_device *d, size_t n)
{
    size_t left = 0;

    for (; left < n && d->segments.queue.n > 0; left++)
        release(d);
    stored_put(d);
    load_next(d->spool);
    return left;
}

void spool_accept(struct spool_device *d, size_t n)
{
    n = leave(d, n);
    d->outcomes.accepted += n;
    d->spool->outcomes.accepted += n;
}

/* A copy for the table of what was rejected. */
static void keep_rejected(struct spool_device *d, const struct entry *e, const char *reason)
{
    struct spool *s = d->spool;
    const struct spool_point *p = &d->segments.points.points[e->point];
    struct spool_rejected *list, *new;
    size_t n = strlen(p->name) + 1;
    struct sample_value value;
    char *text;

    if (!writes(s) || s->due.leaving.n_rejected >= SPOOL_REJECTED_WAITING)
        return;
    list = reallocarray(s->due.leaving.rejected, s->due.leaving.n_rejected + 1, sizeof(*list));
    if (!list)
        return;
    s->due.leaving.rejected = list;
    text = malloc(n + strlen(p->unit) + 1);
    spool_entry_value(e, &value);
    new = &list[s->due.leaving.n_rejected];
    *new = (struct spool_rejected){.sample = {.time = e->time, .quality = e->quality}};
    if (!text || sample_value_copy(&value, &new->sample.value) < 0) {
        free(text);
        return;
    }
    memcpy(text, p->name, n);
    memcpy(text + n, p->unit, strlen(p->unit) + 1);
    new->sample.point = text;
    new->sample.unit = text + n;
    memcpy(new->device, d->id, MIN_OF(strlen(d->id), sizeof(new->device) - 1));
    memcpy(new->reason, reason, MIN_OF(strlen(reason), sizeof(new->reason) - 1));
    s->due.leaving.n_rejected++;
}

void spool_reject(struct spool_device *d, size_t n, const char *reason)
{
    for (size_t i = 0; i < n && i < d->segments.queue.n; i++)
        keep_rejected(d, spool_queue_at(&d->segments.queue, i), reason);
    n = leave(d, n);
    d->outcomes.rejected += n;
    d->spool->outcomes.rejected += n;
    if (writes(d->spool) && n > 0 && stored_get(d))
        device_care(d);
    if (n > 0)
        want_care(d->spool, false);
}

/* ---- What is shown ---- */

void spool_device_counts(const struct spool_device *d, struct spool_counts *ret)
{
    *ret = (struct spool_counts){
        .queued = d->segments.settled.queued,
        .bytes = segments_share(&d->segments),
        .accepted = d->outcomes.accepted,
        .rejected = d->outcomes.rejected,
        .dropped = d->outcomes.dropped,
    };
}

void spool_counts(const struct spool *s, struct spool_counts *ret)
{
    *ret = (struct spool_counts){
        .queued = s->account.queued,
        .bytes = s->account.memory + s->account.disk,
        .accepted = s->outcomes.accepted,
        .rejected = s->outcomes.rejected,
        .dropped = s->outcomes.dropped,
    };
}
