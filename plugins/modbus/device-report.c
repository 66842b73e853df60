/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-internal.h"
#include "host.h"
#include "pdu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void device_forget_values(struct modbus_device *d)
{
    for (size_t i = 0; d->config && i < d->config->n_points; i++) {
        free(d->last[i].text);
        d->last[i] = (struct last_value){0};
    }
}

static bool has_changed(const struct modbus_point *p, const struct last_value *last,
                        const struct gatehouse_value *value)
{
    const struct gatehouse_value *old = &last->value;

    if (!last->known || old->type != value->type)
        return true;
    switch (value->type) {
    case GATEHOUSE_BOOL:
        return value->b != old->b;
    case GATEHOUSE_INT:
        return p->deadband > 0 ? fabs((double)value->x - (double)old->x) > p->deadband : value->x != old->x;
    case GATEHOUSE_UINT:
        return p->deadband > 0 ? fabs((double)value->t - (double)old->t) > p->deadband : value->t != old->t;
    case GATEHOUSE_DOUBLE:
        return fabs(value->d - old->d) > p->deadband;
    case GATEHOUSE_STRING:
        return !last->text || strcmp(value->s, last->text) != 0;
    }
    return true;
}

static void remember(struct last_value *last, const struct gatehouse_value *value)
{
    free(last->text);
    *last = (struct last_value){.known = true, .value = *value, .reported_at = monotonic_now()};
    if (value->type == GATEHOUSE_STRING) {
        last->value.s = NULL;
        last->text = strdup(value->s);
    }
}

static bool is_wanted(const struct modbus_point *p, const struct last_value *last, const struct gatehouse_value *value)
{
    if (!p->on_change || has_changed(p, last, value))
        return true;
    /* Half an interval early: it is this tick's business, not the next one's. */
    return p->max_interval > 0 && monotonic_now() + p->interval / 2 >= last->reported_at + p->max_interval;
}

/* `registers` begin at what the point reads. */
static void report_point(struct modbus_device *d, size_t point, const uint16_t *registers, uint64_t time)
{
    const struct modbus_point *p = &d->config->points[point];
    struct last_value *last = &d->last[point];
    struct modbus_format format;
    struct gatehouse_value value;

    if (device_format(p, registers, &format) < 0 ||
        modbus_decode(&format, registers + (p->address - p->read_address), p->count, d->text, &value) < 0) {
        last->known = false; /* no value: no sample, and the next one is a change */
        return;
    }
    if (!is_wanted(p, last, &value))
        return;
    if (modbus_host->report(d->host, p->name, time, &value, p->unit, GATEHOUSE_GOOD) == 0 && p->on_change)
        remember(last, &value);
}

void device_report(struct modbus_device *d, const struct plan_request *plan, const uint16_t *values)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    uint64_t time = (uint64_t)t.tv_sec * SEC + (uint64_t)t.tv_nsec / 1000;
    for (size_t i = plan->first; i < plan->first + plan->n; i++)
        report_point(d, d->items[i].point, values + (d->items[i].address - plan->address), time);
}

/* --- the state that the user sees --- */

size_t device_count_refused(const struct modbus_device *d, const struct device_request **ret_first)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n_requests; i++)
        if (d->requests[i].exception >= 0) {
            if (n++ == 0)
                *ret_first = &d->requests[i];
        }
    return n;
}

void device_say_state(struct modbus_device *d)
{
    const struct device_request *first = NULL;
    size_t refused = device_count_refused(d, &first);
    char reason[256], more[32] = "";

    if (refused == 0) {
        /* Each call wakes the host's main thread, and this one comes with every poll. */
        if (!d->said_ok)
            modbus_host->device_state(d->host, GATEHOUSE_STATE_OK, NULL);
        d->said_ok = true;
        return;
    }
    d->said_ok = false;
    const struct plan_item *item = &d->items[first->plan.first];
    if (refused > 1)
        (void)snprintf(more, sizeof more, ", and %zu more", refused - 1);
    (void)snprintf(reason, sizeof reason, "point %s: exception %d, %s (%s %u of unit %u)%s",
                   d->config->points[item->point].name, first->exception, pdu_exception_text(first->exception),
                   modbus_table_name(item->table), item->address, d->terms.unit, more);
    bool failed = refused == d->n_requests && !pdu_exception_passes(first->exception);
    modbus_host->device_state(d->host, failed ? GATEHOUSE_STATE_FAILED : GATEHOUSE_STATE_DEGRADED, reason);
}

void device_say_silent(struct modbus_device *d, const char *reason)
{
    d->said_ok = false;
    modbus_host->device_state(d->host, GATEHOUSE_STATE_DEGRADED, reason);
}

void device_say_failed(struct modbus_device *d, const char *reason)
{
    d->failed = true;
    d->said_ok = false;
    d->tries = 0;
    device_forget_values(d);
    for (size_t i = 0; i < d->n_requests; i++) {
        d->requests[i].forgiven = true;
        d->requests[i].tries = 0;
        d->requests[i].not_before = 0;
    }
    modbus_host->device_state(d->host, GATEHOUSE_STATE_FAILED, reason);
}

/* --- what was counted --- */

static void tell_counts(const struct modbus_device *d)
{
    const struct modbus_counts *c = &d->counts;
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {{"requests", c->requests},       {"timeouts", c->timeouts}, {"crc_errors", c->crc_errors},
               {"misfits", c->misfits},         {"connects", c->connects}, {"exceptions", c->exceptions},
               {"round_trip_us", c->round_trip}};
    char name[24];

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        (void)modbus_host->count(d->host, all[i].name, all[i].value);
    for (size_t i = 0; i < COUNTED_CODES_MAX && c->codes[i].n > 0; i++) {
        (void)snprintf(name, sizeof name, "exception_%d", c->codes[i].code);
        (void)modbus_host->count(d->host, name, c->codes[i].n);
    }
}

void device_tell_counts(struct modbus_device *d)
{
    uint64_t now = monotonic_now();

    if (now - d->counted_at < COUNTS_INTERVAL || !host_counts())
        return;
    d->counted_at = now;
    tell_counts(d);
}
