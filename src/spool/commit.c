/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One commit at a time: what goes into it, and what comes of it. */
#include "base/clock.h"
#include "spool/file.h"
#include "spool/share.h"

#include <string.h>

/* One transaction. Owns its arrays; a device that is forgotten meanwhile leaves NULL. */
struct commit {
    struct spool *spool;
    struct spool_changes changes;
    struct spool_change_row *rows;
    struct spool_device **of_row;
    uint32_t *arrived;
    size_t n_rows, rows_room;
    struct record_buffer data;
    struct stored_device *devices;
    struct spool_device **of_device;
    bool *new_device;
    size_t n_devices, devices_room;
    struct stored_boot *boots;
    uint64_t *deletes;
    uint32_t *removed;
    size_t n_removed;
    struct spool_rejected *rejected;
    bool care;
    uint64_t settles; /* with it this generation is on disk whole */
    struct error e;
};

static void commit_free(struct commit *c)
{
    free(c->rows);
    free(c->of_row);
    free(c->arrived);
    record_buffer_done(&c->data);
    for (size_t i = 0; i < c->n_devices; i++)
        free((char *)c->devices[i].id);
    free(c->devices);
    free(c->of_device);
    free(c->new_device);
    free(c->boots);
    free(c->deletes);
    free(c->removed);
    for (size_t i = 0; i < c->changes.n_rejected; i++) {
        free((char *)c->rejected[i].sample.point);
        sample_value_done(&c->rejected[i].sample.value);
    }
    free(c->rejected);
    free(c);
}

/* ---- Making a commit ---- */

static int row_new(struct commit *c, struct spool_device *d)
{
    size_t room = c->rows_room, same = c->rows_room;
    int r = spool_grow(&c->rows, &c->rows_room, c->n_rows, sizeof(*c->rows));

    if (r >= 0)
        r = spool_grow(&c->of_row, &room, c->n_rows, sizeof(struct spool_device *));
    if (r >= 0)
        r = spool_grow(&c->arrived, &same, c->n_rows, sizeof(*c->arrived));
    if (r < 0)
        return r;
    c->rows[c->n_rows] = (struct spool_change_row){.seq = c->spool->next_seq, .device = d->number, .at = c->data.size};
    c->of_row[c->n_rows] = d;
    return 0;
}

static struct sample view(const struct spool_device *d, const struct entry *e)
{
    struct sample sample = {
        .point = d->segments.points.points[e->point].name,
        .unit = d->segments.points.points[e->point].unit,
        .time = e->time,
        .quality = e->quality,
    };

    spool_entry_value(e, &sample.value);
    return sample;
}

/* How many samples, from the cursor on, the next row gets, and the last of them. */
static uint32_t row_length(struct spool_queue_cursor at, uint32_t *ret_arrived, uint64_t *ret_last)
{
    const struct entry *e;
    uint32_t n = 0;

    while (n < SPOOL_ROW_SAMPLES_MAX && (e = spool_queue_step(&at))) {
        *ret_arrived = e->arrived;
        *ret_last = e->time;
        n++;
    }
    return n;
}

/* One row of what follows the cursor. */
static int add_row(struct commit *c, struct spool_device *d, struct spool_queue_cursor *at)
{
    struct spool *s = c->spool;
    struct boot *boot = &s->boots.list[s->boots.present];
    struct record_head head = {.boot = boot->stored.number};
    struct record_points points = {.n = 0};
    uint32_t n = row_length(*at, &head.arrived, &head.last);
    uint64_t previous = head.last;
    size_t begin = c->data.size;
    int r = row_new(c, d);

    if (r >= 0)
        r = record_begin(&c->data, &head);
    for (uint32_t i = 0; r >= 0 && i < n; i++) {
        const struct entry *e = spool_queue_step(at);
        struct sample sample = view(d, e);

        r = record_add(&c->data, &points, e->point, &sample, &previous);
    }
    if (r < 0) {
        c->data.size = begin;
        return r;
    }
    c->rows[c->n_rows].n = n;
    c->rows[c->n_rows].size = c->data.size - begin;
    c->arrived[c->n_rows] = head.arrived;
    c->n_rows++;
    boot->used = true;
    boot->first = MIN_OF(boot->first, s->next_seq);
    boot->newest = MAX_OF(boot->newest, head.arrived);
    s->next_seq++;
    return (int)n;
}

/* A device that is new, changed, or (NULL) gone. */
static int device_new(struct commit *c, struct spool_device *d, uint32_t number)
{
    size_t room = c->devices_room, same = c->devices_room;
    char *id = d ? strdup(d->id) : NULL; /* it may be forgotten meanwhile */
    int r = d && !id ? -ENOMEM : spool_grow(&c->devices, &c->devices_room, c->n_devices, sizeof(*c->devices));

    if (r >= 0)
        r = spool_grow(&c->of_device, &room, c->n_devices, sizeof(struct spool_device *));
    if (r >= 0)
        r = spool_grow(&c->new_device, &same, c->n_devices, sizeof(*c->new_device));
    if (r < 0) {
        free(id);
        return r;
    }
    c->devices[c->n_devices] = (struct stored_device){.number = number, .id = id};
    c->of_device[c->n_devices] = d;
    c->new_device[c->n_devices++] = false;
    return 0;
}

static int add_device(struct commit *c, struct spool_device *d)
{
    bool new = d->number == 0;
    struct stored_device *stored;
    struct spool_row row = {0};
    int r = device_new(c, d, new ? c->spool->next_number : d->number);

    if (r < 0)
        return r;
    if (new)
        d->number = c->spool->next_number++;
    c->new_device[c->n_devices - 1] = new;
    stored = &c->devices[c->n_devices - 1];
    stored->dropped = d->outcomes.dropped;
    stored->rejected = d->outcomes.rejected;
    if (segments_first_row(&d->segments, &row)) {
        stored->row = row.seq;
        stored->skip = d->segments.rows->gone;
    }
    return 0;
}

/* All of it that no commit has taken. */
static int write_device(struct commit *c, struct spool_device *d)
{
    struct spool_queue *q = segments_last(&d->segments);
    uint32_t n = segments_unwritten(&d->segments), written = 0;
    struct spool_queue_cursor at = spool_queue_from(q, q->n - n);
    int r = 0;

    if (n > 0 && d->number == 0)
        r = add_device(c, d);
    while (r >= 0 && written < n) {
        r = add_row(c, d, &at);
        if (r > 0)
            written += (uint32_t)r;
    }
    segments_writing(&d->segments, written);
    return r;
}

static int take_care(struct commit *c)
{
    struct spool *s = c->spool;
    struct leaving leaving;
    struct stored *t;
    int r = 0;

    while (r >= 0 && (t = TAILQ_FIRST(&s->due.care))) {
        struct spool_device *d = t->device;

        TAILQ_REMOVE(&s->due.care, t, due.by_care);
        t->due.caring = false;
        r = add_device(c, d);
        if (r < 0)
            device_care(d);
        else
            stored_put(d);
    }
    leaving = s->due.leaving;
    c->deletes = leaving.rows;
    c->changes.n_deletes = leaving.n_rows;
    c->removed = leaving.devices;
    c->n_removed = leaving.n_devices;
    c->rejected = leaving.rejected;
    c->changes.n_rejected = leaving.n_rejected;
    s->due.leaving = (struct leaving){0};
    c->care = true;
    for (size_t i = 0; r >= 0 && i < c->n_removed; i++)
        r = device_new(c, NULL, c->removed[i]);
    return r;
}

static int take_boots(struct commit *c)
{
    struct spool *s = c->spool;

    c->boots = calloc(s->boots.n + 1, sizeof(*c->boots));
    if (!c->boots)
        return -ENOMEM;
    for (size_t i = 0; i < s->boots.n; i++)
        if (s->boots.list[i].changed && s->boots.list[i].used) {
            c->boots[c->changes.n_boots++] = s->boots.list[i].stored;
            s->boots.list[i].changed = false;
        }
    return 0;
}

/* ---- Its end ---- */

/* -ENOMEM: of some devices not all was taken, and is to be written once more. */
static int rows_written(struct commit *c)
{
    struct spool *s = c->spool;
    int r = 0;

    for (size_t i = 0; i < c->n_rows; i++) {
        const struct spool_row row = {c->rows[i].seq, c->rows[i].n, (uint32_t)c->rows[i].size, c->arrived[i]};
        struct spool_device *d = c->of_row[i];
        bool taken;

        s->rate.bytes += row.size + SPOOL_ROW_OVERHEAD;
        s->rate.row_samples += row.n;
        if (!d) {
            delete_row(s, row.seq);
            continue;
        }
        taken = segments_written(&d->segments, &row);
        if (i + 1 < c->n_rows && c->of_row[i + 1] == d)
            continue;
        if (!taken) { /* this one, the last, is not if any is not */
            set_dirty(d->stored, 0);
            r = error_set(&c->e, -ENOMEM, "cannot keep account of written samples: out of memory");
        }
        unload(d);
        stored_put(d);
    }
    enforce(s);
    return r;
}

/* Rows that were not written stay as before, and join the next commit. */
static void rows_failed(struct commit *c)
{
    for (size_t i = 0; i < c->n_rows; i++) {
        struct spool_device *d = c->of_row[i];

        if (!d || (i > 0 && c->of_row[i - 1] == d))
            continue;
        segments_write_failed(&d->segments);
        set_dirty(d->stored, 0);
    }
}

static void care_failed(struct commit *c)
{
    struct spool *s = c->spool;

    for (size_t i = 0; i < c->changes.n_deletes; i++)
        delete_row(s, c->deletes[i]);
    for (size_t i = 0; i < c->n_devices; i++) {
        struct spool_device *d = c->of_device[i];

        if (!d)
            continue;
        if (c->new_device[i])
            d->number = 0;
        if (stored_get(d))
            device_care(d);
    }
    for (size_t i = 0; i < c->n_removed; i++)
        remove_device(s, c->removed[i]);
    if (!s->due.leaving.rejected) {
        s->due.leaving.rejected = TAKE_PTR(c->rejected);
        s->due.leaving.n_rejected = c->changes.n_rejected;
        c->changes.n_rejected = 0;
    }
    for (size_t i = 0; i < c->changes.n_boots; i++)
        for (size_t k = 0; k < s->boots.n; k++)
            s->boots.list[k].changed |= s->boots.list[k].stored.number == c->boots[i].number;
}

static void settled(struct spool *s)
{
    if (!s->settling)
        return;
    s->settling = false;
    say_more_of_all(s);
}

static void on_committed(int r, void *userdata)
{
    struct commit *c = userdata;
    struct spool *s = c->spool;
    bool care = c->care;
    struct error e;

    s->commit = NULL;
    if (r < 0) {
        rows_failed(c);
        care_failed(c);
    } else if ((r = rows_written(c)) >= 0) {
        disk_works(s);
        s->due.settled = c->settles;
    }
    e = c->e;
    commit_free(c);
    if (r >= 0 || !s->trouble.failing)
        s->due.cared = care ? clock_boottime() : s->due.cared;
    if (r < 0 && r != -ECANCELED)
        disk_failed(s, r, &e);
    give_up_damaged(s);
    /* Nobody is kept waiting for the disk to have room. */
    if (care)
        settled(s);
    if (s->state != SPOOL_OPEN)
        return;
    load_next(s);
    if (r >= 0 && is_unsettled(s))
        commit_soon(s, 0);
    else if (r >= 0 && !TAILQ_EMPTY(&s->due.dirty))
        commit_soon(s, s->due.n_dirty >= SPOOL_COMMIT_SAMPLES ? 0 : next_turn(s));
    if (r >= 0 && s->options.event && care_wanted(s))
        want_care(s, false);
}

static int run_commit(void *userdata)
{
    struct commit *c = userdata;

    return spool_store_commit(c->spool->store, &c->changes, &c->e);
}

static void commit_submit(struct commit *c)
{
    struct spool *s = c->spool;

    c->changes.rows = c->rows;
    c->changes.n_rows = c->n_rows;
    c->changes.data = c->data.data;
    c->changes.deletes = c->deletes;
    c->changes.devices = c->devices;
    c->changes.n_devices = c->n_devices;
    c->changes.boots = c->boots;
    c->changes.rejected = c->rejected;
    s->commit = c;
    submit(s, run_commit, on_committed, c);
}

void commit_now(struct spool *s)
{
    uint64_t now = clock_boottime(), until = all_now(s) ? UINT64_MAX : now - SPOOL_COMMIT_YOUNG;
    struct commit *c;
    struct stored *t;
    int r = 0;

    if (s->commit || s->trouble.damaged || s->state != SPOOL_OPEN)
        return;
    c = calloc(1, sizeof(*c));
    if (!c) {
        spool_arm(s, s->due.retry_timer, now + SPOOL_RETRY_INTERVAL);
        return;
    }
    c->spool = s;
    c->settles = s->due.asked;
    s->due.n_dirty = 0;
    if (is_unsettled(s) && writes(s))
        r = everything_dirty(s);
    while (r >= 0 && (t = TAILQ_FIRST(&s->due.dirty)) && t->due.dirty_since <= until) {
        struct spool_device *d = t->device;

        not_dirty(t);
        r = write_device(c, d);
        if (r < 0)
            set_dirty(t, 0);
        else
            stored_put(d);
    }
    if (r >= 0 && care_wanted(s) &&
        (s->stopping || !s->options.event || s->due.cared == 0 || now >= s->due.cared + SPOOL_CARE_INTERVAL))
        r = take_care(c);
    if (r >= 0)
        r = take_boots(c);
    if (r < 0) {
        /* Out of memory: later. */
        s->commit = c;
        on_committed(error_set(&c->e, r, "cannot write samples: out of memory"), c);
        return;
    }
    if (c->n_rows == 0 && !c->care && c->changes.n_boots == 0) {
        s->due.settled = c->settles;
        commit_free(c);
        if (!TAILQ_EMPTY(&s->due.dirty))
            spool_arm(s, s->due.commit_timer, now + next_turn(s));
        return;
    }
    if (spool_armed(s->due.commit_timer))
        sd_event_source_set_enabled(s->due.commit_timer, SD_EVENT_OFF);
    commit_submit(c);
}

void commit_forget(struct spool_device *d)
{
    struct commit *c = d->spool->commit;

    for (size_t i = 0; c && i < c->n_rows; i++)
        if (c->of_row[i] == d)
            c->of_row[i] = NULL;
    for (size_t i = 0; c && i < c->n_devices; i++)
        if (c->of_device[i] == d)
            c->of_device[i] = NULL;
}
