/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the rows of an earlier run, a slice at a time; sets damaged files aside. */
#include "base/clock.h"
#include "spool/file.h"
#include "spool/share.h"
#include "spool/stamp.h"

#include <limits.h>
#include <string.h>

struct found_device {
    uint32_t number;
    struct spool_device *device;
    char *id;
    uint64_t row;
    uint32_t skip;
    uint64_t dropped, rejected;
};

struct opening {
    struct spool *spool;
    struct found_device *devices; /* by number */
    size_t n_devices;
    struct stored_boot *boots;
    size_t n_boots;
    struct stored_row *rows;
    size_t n_rows;
    uint64_t after;
    char aside[PATH_MAX];
    uint64_t lost;
    struct error e, cause;
};

static void open_leave(struct spool *s)
{
    struct opening *o = TAKE_PTR(s->opening);

    if (!o)
        return;
    for (size_t i = 0; i < o->n_devices; i++)
        free(o->devices[i].id);
    free(o->devices);
    free(o->boots);
    free(o->rows);
    free(o);
}

void open_forget(const struct spool_device *d, bool rows)
{
    struct spool *s = d->spool;
    struct opening *o = s->opening;
    char **forgotten;

    for (size_t i = 0; o && i < o->n_devices; i++)
        if (o->devices[i].device == d)
            o->devices[i].device = NULL;
    if (!rows || (s->state != SPOOL_OPENING && s->state != SPOOL_FAILED))
        return;
    forgotten = reallocarray(s->forgotten.ids, s->forgotten.n + 1, sizeof(*forgotten));
    if (!forgotten)
        return; /* what the file has of it stays, until it is too old */
    s->forgotten.ids = forgotten;
    forgotten[s->forgotten.n] = strdup(d->id);
    s->forgotten.n += forgotten[s->forgotten.n] != NULL;
}

void open_done(struct spool *s)
{
    open_leave(s);
    for (size_t i = 0; i < s->forgotten.n; i++)
        free(s->forgotten.ids[i]);
    free(TAKE_PTR(s->forgotten.ids));
    s->forgotten.n = 0;
}

static bool was_forgotten(const struct spool *s, const struct found_device *found)
{
    for (size_t i = 0; i < s->forgotten.n; i++)
        if (strcmp(s->forgotten.ids[i], found->id) == 0)
            return true;
    return false;
}

static void open_failed(struct spool *s, int r, const struct error *e)
{
    struct error copy = *e;

    open_leave(s);
    if (r == -EBADMSG) {
        s->trouble.damaged = true;
        s->trouble.damage = copy;
        give_up_damaged(s);
        return;
    }
    s->state = SPOOL_FAILED;
    stamp_waiting(s);
    if (r != -ECANCELED)
        disk_failed(s, r, &copy);
}

/* ---- On the worker ---- */

static int on_device(const struct stored_device *device, void *userdata)
{
    struct opening *o = userdata;
    struct found_device *devices = reallocarray(o->devices, o->n_devices + 1, sizeof(*devices));

    if (!devices)
        return -ENOMEM;
    o->devices = devices;
    devices[o->n_devices] = (struct found_device){
        .number = device->number,
        .id = strdup(device->id),
        .row = device->row,
        .skip = device->skip,
        .dropped = device->dropped,
        .rejected = device->rejected,
    };
    return devices[o->n_devices].id ? (int)++o->n_devices : -ENOMEM;
}

static int on_boot(const struct stored_boot *boot, void *userdata)
{
    struct opening *o = userdata;
    struct stored_boot *boots = reallocarray(o->boots, o->n_boots + 1, sizeof(*boots));

    if (!boots)
        return -ENOMEM;
    o->boots = boots;
    boots[o->n_boots++] = *boot;
    return 0;
}

static int on_row(const struct stored_row *row, void *userdata)
{
    struct opening *o = userdata;

    o->rows[o->n_rows++] = *row;
    o->after = row->seq;
    return 0;
}

static int run_scan(void *userdata)
{
    struct opening *o = userdata;

    o->n_rows = 0;
    return spool_store_rows(o->spool->store, o->after, SPOOL_SCAN_ROWS, on_row, o, &o->e);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct found_device *)a)->number, y = ((const struct found_device *)b)->number;

    return (x > y) - (x < y);
}

static int run_open(void *userdata)
{
    struct opening *o = userdata;
    int r = spool_store_open(o->spool->store, &o->e);

    if (r >= 0)
        r = spool_store_devices(o->spool->store, on_device, o, &o->e);
    if (r >= 0)
        r = spool_store_boots(o->spool->store, on_boot, o, &o->e);
    if (r >= 0 && o->n_devices > 0)
        qsort(o->devices, o->n_devices, sizeof(*o->devices), by_number);
    return r >= 0 ? run_scan(o) : r;
}

/* ---- Taking over ---- */

static void take_boot(struct spool *s, const struct stored_row *row)
{
    for (size_t i = 0; i < s->boots.n; i++)
        if (s->boots.list[i].stored.number == row->head.boot) {
            s->boots.list[i].used = true;
            s->boots.list[i].first = MIN_OF(s->boots.list[i].first, row->seq);
            s->boots.list[i].newest = MAX_OF(s->boots.list[i].newest, row->head.arrived);
        }
}

static void take_row(struct spool *s, const struct stored_row *row)
{
    const struct opening *o = s->opening;
    const struct spool_row own = {row->seq, row->n, row->size, row->head.arrived};
    const struct found_device key = {.number = row->device}, *found = NULL;

    if (o->n_devices > 0)
        found = bsearch(&key, o->devices, o->n_devices, sizeof(key), by_number);
    s->next_seq = MAX_OF(s->next_seq, row->seq + 1);
    take_boot(s, row);
    /* Of no device: one that was forgotten, or whose memory is missing here. */
    if (!found || !found->device) {
        delete_row(s, row->seq);
        return;
    }
    if (stored_get(found->device))
        (void)segments_found(&found->device->segments, &own, found->row == row->seq ? found->skip : 0);
}

static int take_boots(struct spool *s)
{
    const struct opening *o = s->opening;
    struct stored_boot own = {.number = 1};
    int r = 0;

    s->boots.n = 0;
    memcpy(own.id, s->options.boot, sizeof(own.id));
    for (size_t i = 0; r >= 0 && i < o->n_boots; i++) {
        own.number = MAX_OF(own.number, o->boots[i].number + 1);
        r = boot_add(s, &o->boots[i], NULL);
    }
    /* The present one, unless the last run was in it too. */
    if (r >= 0 && (o->n_boots == 0 || memcmp(o->boots[o->n_boots - 1].id, own.id, sizeof(own.id)) != 0)) {
        struct boot *b;

        r = boot_add(s, &own, &b);
        if (r >= 0)
            b->changed = true;
    }
    s->boots.present = s->boots.n > 0 ? s->boots.n - 1 : 0;
    return r;
}

static int take_devices(struct spool *s)
{
    struct opening *o = s->opening;

    for (size_t i = 0; i < o->n_devices; i++) {
        struct found_device *found = &o->devices[i];
        struct spool_device *d;

        s->next_number = MAX_OF(s->next_number, found->number + 1);
        s->next_seq = MAX_OF(s->next_seq, found->row + 1);
        if (was_forgotten(s, found)) {
            remove_device(s, found->number);
            continue;
        }
        d = spool_device(s, found->id);
        if (!d)
            return -ENOMEM;
        d->number = found->number;
        found->device = d;
    }
    return 0;
}

/* Everything is known: what came meanwhile, and what waited, goes on. */
static void opened(struct spool *s)
{
    const struct opening *o = s->opening;
    uint64_t now = clock_boottime();

    for (size_t i = 0; i < o->n_devices; i++) {
        if (!o->devices[i].device)
            continue;
        o->devices[i].device->outcomes.dropped += o->devices[i].dropped;
        o->devices[i].device->outcomes.rejected += o->devices[i].rejected;
    }
    open_done(s);
    s->state = SPOOL_OPEN;
    disk_works(s);
    if (s->settings.durability == SPOOL_MEMORY && s->account.disk == 0) {
        struct error e;

        /* Nothing of it is wanted any more, and nothing will be. */
        s->state = SPOOL_CLOSED;
        (void)spool_store_remove(s->store, &e);
        s->store = spool_store_free(s->store);
    } else {
        stamp_boots(s);
    }
    stamp_waiting(s);
    enforce(s);
    for (struct map_node *node = map_next(&s->devices, NULL), *next; node; node = next) {
        struct spool_device *d = MAP_ENTRY(node, struct spool_device, node);

        next = map_next(&s->devices, node);
        if (!has_samples(d))
            continue;
        drop_old(d, now);
        if (segments_unwritten(&d->segments) > 0 && writes(s) && (s->settings.durability == SPOOL_ALWAYS || !d->up))
            make_dirty(d);
        else if (segments_unwritten(&d->segments) > 0 && writes(s))
            let_age(d, now);
    }
    say_more_of_all(s);
    if (s->due.leaving.n_rows > 0 || s->due.leaving.n_devices > 0)
        want_care(s, false);
    if (is_unsettled(s))
        commit_soon(s, 0);
}

static void on_rows(int r, void *userdata)
{
    struct opening *o = userdata;
    struct spool *s = o->spool;

    if (r < 0) {
        open_failed(s, r, &o->e);
        return;
    }
    for (size_t i = 0; i < o->n_rows; i++)
        take_row(s, &o->rows[i]);
    if (o->n_rows == SPOOL_SCAN_ROWS)
        submit(s, run_scan, on_rows, o);
    else
        opened(s);
}

static void on_open(int r, void *userdata)
{
    struct opening *o = userdata;
    struct spool *s = o->spool;

    if (r >= 0)
        r = take_boots(s);
    if (r >= 0)
        r = take_devices(s);
    on_rows(r, o);
}

static struct opening *opening_new(struct spool *s)
{
    struct opening *o = calloc(1, sizeof(*o));

    if (o)
        o->rows = calloc(SPOOL_SCAN_ROWS, sizeof(*o->rows));
    if (!o || !o->rows) {
        free(o);
        return NULL;
    }
    o->spool = s;
    s->opening = o;
    return o;
}

/* Rows taken over by a failed attempt are found again. */
static uint64_t forget_file(struct spool *s)
{
    uint64_t lost = 0;

    for (struct map_node *node = map_next(&s->devices, NULL); node; node = map_next(&s->devices, node)) {
        struct spool_device *d = MAP_ENTRY(node, struct spool_device, node);

        d->number = 0;
        lost += segments_lose_rows(&d->segments);
    }
    s->boots.n = s->due.leaving.n_rows = s->due.leaving.n_devices = 0;
    s->boots.present = 0;
    return lost;
}

void open_begin(struct spool *s)
{
    struct error e = {0};
    struct opening *o;

    if (s->opening)
        return;
    forget_file(s);
    s->state = SPOOL_OPENING;
    o = opening_new(s);
    if (o)
        submit(s, run_open, on_open, o);
    else
        open_failed(s, error_set(&e, -ENOMEM, "cannot open %s: out of memory", s->path), &e);
}

/* ---- A damaged file ---- */

static int run_aside(void *userdata)
{
    struct opening *o = userdata;

    return spool_store_move_aside(o->spool->store, o->aside, sizeof(o->aside), &o->e);
}

static void on_aside(int r, void *userdata)
{
    struct opening *o = userdata;
    struct spool *s = o->spool;
    struct error e = o->e;

    if (r < 0) {
        open_failed(s, r == -EBADMSG ? -EIO : r, &e);
        return;
    }
    if (s->options.ops && s->options.ops->corrupt)
        s->options.ops->corrupt(&o->cause, o->aside, o->lost, s->options.userdata);
    open_leave(s);
    open_begin(s);
}

void give_up_damaged(struct spool *s)
{
    struct opening *o;

    if (!s->trouble.damaged || s->commit || s->load || s->opening)
        return;
    s->trouble.damaged = false;
    s->state = SPOOL_OPENING;
    o = opening_new(s);
    if (!o) {
        open_failed(s, -ENOMEM, &s->trouble.damage);
        return;
    }
    o->cause = s->trouble.damage;
    for (struct map_node *node = map_next(&s->devices, NULL); node; node = map_next(&s->devices, node)) {
        struct spool_device *d = MAP_ENTRY(node, struct spool_device, node);
        uint64_t lost = segments_only_on_disk(&d->segments);

        if (lost > 0)
            count_dropped(d, lost);
    }
    o->lost = forget_file(s);
    submit(s, run_aside, on_aside, o);
}
