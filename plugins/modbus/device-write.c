/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes: of one point, of several together, and again and again. */
#include "device-internal.h"
#include "host.h"
#include "pdu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* Where one request writes to. */
struct target {
    enum modbus_table table;
    uint16_t address, count;
    bool multiple; /* functions 15 and 16 also for one register */
};

static struct target target_of(const struct modbus_point *p)
{
    return (struct target){.table = p->table, .address = p->address, .count = p->count, .multiple = p->write_multiple};
}

/* A unit that is busy has not carried it out, and is asked again; one that has accepted it has it. What was not
 * answered may have been carried out, and is not sent twice. *ret_refused: an exception said that it was not. */
static int write_registers(struct modbus_device *d, const struct target *t, const uint16_t *registers,
                           bool *ret_refused, char *error, size_t error_size)
{
    struct modbus_failure failure;
    int r;

    for (unsigned tries = 0;; tries++) {
        r = server_write(d->server, &d->terms, t->table, t->address, t->count, registers, t->multiple, &failure);
        if (r == 0 || failure.exception != EXCEPTION_BUSY || tries >= d->config->retries)
            break;
        device_wait(d->config->retry_wait);
    }
    if (r < 0 && failure.exception == EXCEPTION_ACKNOWLEDGE)
        r = 0;
    if (r < 0)
        (void)snprintf(error, error_size, "cannot write %s %u: %s", modbus_table_name(t->table), t->address,
                       failure.text);
    device_note_outcome(d, r, &failure);
    *ret_refused = r < 0 && failure.kind == FAILURE_EXCEPTION;
    return r;
}

static int encode(const struct modbus_format *format, const struct modbus_point *p, const struct gatehouse_value *value,
                  uint16_t *registers, char *error, size_t error_size)
{
    char range[256];
    int r = modbus_encode(format, value, registers, p->count);

    if (r < 0) {
        modbus_range_text(format, range, sizeof range);
        (void)snprintf(error, error_size, "%s: expected %s",
                       r == -ERANGE ? "beyond what the register can hold" : "not a value of this type", range);
    }
    return r;
}

/* A bit or part of a register is read, changed and written back: not atomic at the device. */
static int write_point(struct modbus_device *d, const struct modbus_point *p, const struct gatehouse_value *value,
                       struct gatehouse_value *ret_value, char *error, size_t error_size)
{
    bool partial = p->table == TABLE_HOLDING && modbus_encode_is_partial(&p->format);
    uint16_t present[READ_BITS_MAX] = {0}, *registers = present + (p->address - p->read_address);
    struct modbus_format format = p->format;
    bool refused;
    int r = 0;

    /* A value that cannot be written at all is refused before the device is asked for the rest of the register. */
    if (!p->has_scale_register)
        r = encode(&format, p, value, registers, error, error_size);
    if (r == 0 && (partial || p->has_scale_register)) {
        r = device_read_registers(d, p, present, error, error_size);
        if (r == 0 && device_format(p, present, &format) < 0) {
            (void)snprintf(error, error_size, "the device has no valid scale in register %u", p->scale_register);
            r = -ENODATA;
        }
        if (r == 0)
            r = encode(&format, p, value, registers, error, error_size);
    }
    if (r == 0) {
        const struct target target = target_of(p);

        r = write_registers(d, &target, registers, &refused, error, error_size);
    }
    if (r == 0 && modbus_decode(&format, registers, p->count, d->text, ret_value) < 0)
        *ret_value = *value;
    return r;
}

/* --- what is written again and again --- */

static void keep_beating(struct modbus_device *d, const struct modbus_point *p, const struct gatehouse_value *value)
{
    struct heartbeat *beat;

    if (p->write_interval == 0)
        return;
    beat = &d->beats[p - d->config->points];
    free(beat->text);
    *beat = (struct heartbeat){.due = monotonic_now() + p->write_interval, .value = *value};
    if (value->type == GATEHOUSE_STRING) {
        beat->text = strdup(value->s);
        beat->value.s = beat->text ? beat->text : "";
    }
    modbus_host->wake(d->host);
}

static void beat_once(struct modbus_device *d, size_t i, uint64_t now)
{
    const struct modbus_point *p = &d->config->points[i];
    struct heartbeat *beat = &d->beats[i];
    struct gatehouse_value set = beat->value;
    char error[256] = "", text[384];
    int r = write_point(d, p, &beat->value, &set, error, sizeof error);

    /* It is not waited for at each beat: others on the bus would wait too. */
    if (r == -ETIMEDOUT) {
        d->retry_at = monotonic_now() + backoff_next_up_to(&d->backoff, d->config->degrade_for);
        device_say_failed(d, error);
    }
    if (r < 0 && !beat->failing) {
        (void)snprintf(text, sizeof text, "the repeated write of %s failed: %s", p->name, error);
        modbus_host->log(d->host, LOG_WARNING, text);
    }
    beat->failing = r < 0;
    beat->due += ((now - beat->due) / p->write_interval + 1) * p->write_interval;
}

uint64_t device_beat(struct modbus_device *d)
{
    uint64_t now = monotonic_now(), next = UINT64_MAX;

    for (size_t i = 0; d->beats && i < d->config->n_points; i++) {
        if (d->beats[i].due == 0)
            continue;
        /* A unit that is away is not waited for twice. */
        if (d->beats[i].due <= now && now >= d->retry_at && now >= server_retry_at(d->server))
            beat_once(d, i, now);
        else if (d->beats[i].due <= now)
            d->beats[i].due += ((now - d->beats[i].due) / d->config->points[i].write_interval + 1) *
                               d->config->points[i].write_interval;
        if (d->beats[i].due < next)
            next = d->beats[i].due;
    }
    return next;
}

int device_write(struct modbus_device *d, const char *point, const struct gatehouse_value *value,
                 struct gatehouse_value *ret_value, char *error, size_t error_size)
{
    const struct modbus_point *p = device_find_point(d, point, error, error_size);
    int r;

    if (!p)
        return -ENOENT;
    if (!p->writable) {
        (void)snprintf(error, error_size, "%s is not writable", point);
        return -EACCES;
    }
    r = write_point(d, p, value, ret_value, error, error_size);
    if (r == 0)
        keep_beating(d, p, value);
    device_tell_counts(d);
    return r;
}

/* --- several together --- */

/* One of the points to be written. */
struct pending {
    const struct modbus_point *point;
    struct gatehouse_write *write;
    uint16_t registers[WRITE_REGISTERS_MAX]; /* encoded, if it is simple */
    bool simple;                             /* its registers do not depend on what the device has now */
    bool done;
};

static bool is_simple(const struct modbus_point *p)
{
    return !p->has_scale_register && !(p->table == TABLE_HOLDING && modbus_encode_is_partial(&p->format));
}

/* All that can be known before anything is written. */
static int prepare(struct modbus_device *d, struct pending *pending, struct gatehouse_write *write, char *error,
                   size_t error_size)
{
    const struct modbus_point *p = device_find_point(d, write->point, error, error_size);
    char why[384] = "";
    int r = 0;

    if (!p)
        return -ENOENT;
    if (!p->writable) {
        (void)snprintf(error, error_size, "%s is not writable", p->name);
        return -EACCES;
    }
    *pending = (struct pending){.point = p, .write = write, .simple = is_simple(p)};
    if (pending->simple)
        r = encode(&p->format, p, &write->value, pending->registers, why, sizeof why);
    if (r < 0)
        (void)snprintf(error, error_size, "%s: %s (nothing was written)", p->name, why);
    return r;
}

/* By table and address; those that are not simple behind, in the order given. */
static int compare_pending(const void *a, const void *b)
{
    const struct pending *x = a, *y = b;

    if (x->simple != y->simple)
        return x->simple ? -1 : 1;
    if (!x->simple || (x->point->table == y->point->table && x->point->address == y->point->address))
        return x->write < y->write ? -1 : 1;
    if (x->point->table != y->point->table)
        return x->point->table < y->point->table ? -1 : 1;
    return x->point->address < y->point->address ? -1 : 1;
}

/* How many from the first one on are neighbours that one request can write. */
static size_t count_neighbours(const struct pending *first, size_t n)
{
    const struct modbus_point *p = first->point;
    unsigned end = p->address + p->count;
    size_t k = 1;

    if (!first->simple || p->alone)
        return 1;
    for (; k < n && first[k].simple && !first[k].point->alone; k++) {
        const struct modbus_point *next = first[k].point;
        if (next->table != p->table || next->address != end || end + next->count - p->address > WRITE_REGISTERS_MAX)
            break;
        end += next->count;
    }
    return k;
}

static void take_written(struct modbus_device *d, struct pending *pending, const uint16_t *registers)
{
    const struct modbus_point *p = pending->point;
    struct gatehouse_value set;

    pending->done = true;
    /* The buffer for texts is one for all: of a text the given one counts. */
    if (modbus_decode(&p->format, registers, p->count, d->text, &set) == 0 && set.type != GATEHOUSE_STRING)
        pending->write->set = set;
    keep_beating(d, p, &pending->write->value);
}

static int write_run(struct modbus_device *d, struct pending *run, size_t n, bool *ret_refused, char *error,
                     size_t error_size)
{
    struct target target = target_of(run->point);
    uint16_t registers[WRITE_REGISTERS_MAX] = {0};
    int r;

    target.count = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(registers + target.count, run[i].registers, run[i].point->count * sizeof *registers);
        target.count = (uint16_t)(target.count + run[i].point->count);
    }
    r = write_registers(d, &target, registers, ret_refused, error, error_size);
    for (size_t i = 0; r == 0 && i < n; i++)
        take_written(d, &run[i], run[i].registers);
    return r;
}

static int write_alone(struct modbus_device *d, struct pending *pending, char *error, size_t error_size)
{
    struct gatehouse_value set = pending->write->value;
    bool refused;
    int r;

    if (pending->simple)
        return write_run(d, pending, 1, &refused, error, error_size);
    r = write_point(d, pending->point, &pending->write->value, &set, error, error_size);
    if (r < 0)
        return r;
    pending->done = true;
    if (set.type != GATEHOUSE_STRING)
        pending->write->set = set;
    keep_beating(d, pending->point, &pending->write->value);
    return 0;
}

/* A unit that refuses several registers in one request may still take them one by one. */
static int write_neighbours(struct modbus_device *d, struct pending *run, size_t n, char *error, size_t error_size)
{
    bool refused = false;
    int r = 0;

    if (n > 1) {
        r = write_run(d, run, n, &refused, error, error_size);
        if (r == 0 || !refused)
            return r;
        r = 0;
    }
    for (size_t i = 0; i < n && r == 0; i++)
        r = write_alone(d, &run[i], error, error_size);
    return r;
}

static void say_done(const struct pending *pending, size_t n, char *error, size_t error_size)
{
    size_t at = strlen(error), done = 0;

    for (size_t i = 0; i < n; i++)
        done += pending[i].done;
    if (done == 0) {
        (void)snprintf(error + at, error_size - at, " (nothing was written)");
        return;
    }
    for (size_t i = 0, k = 0; i < n; i++) {
        if (!pending[i].done || at >= error_size)
            continue;
        at += (size_t)snprintf(error + at, error_size - at, "%s%s%s", k == 0 ? " (written before: " : ", ",
                               pending[i].point->name, k + 1 == done ? ")" : "");
        k++;
    }
}

int device_write_points(struct modbus_device *d, struct gatehouse_write *writes, size_t n, char *error,
                        size_t error_size)
{
    struct pending *pending = calloc(n, sizeof *pending);
    size_t i = 0, k;
    int r = pending ? 0 : -ENOMEM;

    for (; i < n && r == 0; i++)
        r = prepare(d, &pending[i], &writes[i], error, error_size);
    if (r == 0) {
        qsort(pending, n, sizeof *pending, compare_pending);
        for (i = 0; i < n && r == 0; i += k) {
            k = count_neighbours(&pending[i], n - i);
            r = write_neighbours(d, &pending[i], k, error, error_size);
        }
        if (r < 0)
            say_done(pending, n, error, error_size);
    }
    device_tell_counts(d);
    free(pending);
    return r;
}
