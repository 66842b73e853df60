/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "host.h"
#include "server.h"

#include <errno.h>
#include <math.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

struct device_request {
    struct plan_request plan;
    uint64_t due;           /* CLOCK_MONOTONIC; a whole number of intervals after the first */
    int exception;          /* the unit's last answer was this exception, -1 if it was values */
    bool forgiven;          /* ticks missed while the unit was away are not counted */
    struct backoff backoff; /* of a request that is answered by exceptions */
};

/* The value reported last, for on_change. */
struct last_value {
    bool known;
    struct gatehouse_value value; /* a string is in `text` */
    char *text;
};

struct modbus_device {
    struct gatehouse_device *host;
    struct modbus_config *config;
    struct server_terms terms;
    struct modbus_server *server;
    struct plan_item *items;
    struct device_request *requests; /* room for one a point */
    size_t n_requests;
    struct last_value *last;
    struct backoff backoff; /* of the unit: silent, or refusing everything */
    uint64_t retry_at;      /* the unit is left alone until then */
    bool failed;            /* the state says so */
    uint64_t missed;        /* ticks left out because the bus was too slow */
    uint64_t missed_said_at;
    char text[VALUE_TEXT_MAX];
};

/* --- making and ending --- */

static int plan_requests(struct modbus_device *d, uint64_t due)
{
    size_t n = d->config->n_points;
    struct plan_request *plans = calloc(n ? n : 1, sizeof *plans);

    if (!plans)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct modbus_point *p = &d->config->points[i];
        d->items[i] = (struct plan_item){
            .table = p->table, .address = p->address, .count = p->count, .interval = p->interval, .point = i};
    }
    d->n_requests = plan_make(d->items, n, &d->config->limits, plans);
    for (size_t i = 0; i < d->n_requests; i++)
        d->requests[i] = (struct device_request){.plan = plans[i], .due = due, .exception = -1, .forgiven = true};
    free(plans);
    return 0;
}

struct modbus_device *device_new(struct gatehouse_device *host_device, struct modbus_config *config)
{
    struct modbus_device *d = calloc(1, sizeof *d);
    size_t n = config->n_points ? config->n_points : 1;

    if (!d)
        return NULL;
    d->host = host_device;
    d->terms = (struct server_terms){.unit = config->unit,
                                     .timeout = config->timeout,
                                     .retries = config->retries,
                                     .delay_after_connect = config->delay_after_connect,
                                     .delay_between_requests = config->delay_between_requests};
    d->config = config;
    d->items = calloc(n, sizeof *d->items);
    d->requests = calloc(n, sizeof *d->requests);
    d->last = calloc(n, sizeof *d->last);
    d->server = server_get(&config->url);
    if (!d->items || !d->requests || !d->last || !d->server || plan_requests(d, monotonic_now()) < 0) {
        d->config = NULL; /* still the caller's */
        return device_free(d);
    }
    return d;
}

static void forget_values(struct modbus_device *d)
{
    for (size_t i = 0; d->config && i < d->config->n_points; i++) {
        free(d->last[i].text);
        d->last[i] = (struct last_value){0};
    }
}

struct modbus_device *device_free(struct modbus_device *d)
{
    if (!d)
        return NULL;
    if (d->last)
        forget_values(d);
    server_put(d->server);
    modbus_config_free(d->config);
    free(d->items);
    free(d->requests);
    free(d->last);
    free(d);
    return NULL;
}

/* --- reporting --- */

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
    *last = (struct last_value){.known = true, .value = *value};
    if (value->type == GATEHOUSE_STRING) {
        last->value.s = NULL;
        last->text = strdup(value->s);
    }
}

static void report_point(struct modbus_device *d, const struct plan_item *item, const uint16_t *registers, size_t n)
{
    const struct modbus_point *p = &d->config->points[item->point];
    struct last_value *last = &d->last[item->point];
    struct gatehouse_value value;

    if (modbus_decode(&p->format, registers, n, d->text, &value) < 0) {
        last->known = false; /* a sentinel, or not a number: no sample, and the next value is a change */
        return;
    }
    if (p->on_change && !has_changed(p, last, &value))
        return;
    if (modbus_host->report(d->host, p->name, 0, &value, p->unit, GATEHOUSE_GOOD) == 0 && p->on_change)
        remember(last, &value);
}

/* --- the state that the user sees --- */

static size_t count_refused(const struct modbus_device *d, const struct device_request **ret_first)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n_requests; i++)
        if (d->requests[i].exception >= 0) {
            if (n++ == 0)
                *ret_first = &d->requests[i];
        }
    return n;
}

static void say_state(struct modbus_device *d)
{
    const struct device_request *first = NULL;
    size_t refused = count_refused(d, &first);
    char reason[256], more[32] = "";

    if (refused == 0) {
        modbus_host->device_state(d->host, GATEHOUSE_STATE_OK, NULL);
        return;
    }
    const struct plan_item *item = &d->items[first->plan.first];
    if (refused > 1)
        (void)snprintf(more, sizeof more, ", and %zu more", refused - 1);
    (void)snprintf(reason, sizeof reason, "point %s: %s (%s %u of unit %u)%s", d->config->points[item->point].name,
                   server_exception_text(first->exception), modbus_table_name(item->table), item->address,
                   d->terms.unit, more);
    modbus_host->device_state(d->host, refused < d->n_requests ? GATEHOUSE_STATE_DEGRADED : GATEHOUSE_STATE_FAILED,
                              reason);
}

/* The unit or its server is away: what it said before is old, and what it misses meanwhile is nobody's fault. */
static void say_failed(struct modbus_device *d, const char *reason)
{
    d->failed = true;
    forget_values(d);
    for (size_t i = 0; i < d->n_requests; i++)
        d->requests[i].forgiven = true;
    modbus_host->device_state(d->host, GATEHOUSE_STATE_FAILED, reason);
}

static void count_missed(struct modbus_device *d, uint64_t missed, uint64_t now)
{
    char text[128];

    d->missed += missed;
    if (d->missed == 0 || (d->missed_said_at != 0 && now - d->missed_said_at < MISSED_LOG_INTERVAL))
        return;
    (void)snprintf(text, sizeof text, "%llu polls left out: they take longer than the interval",
                   (unsigned long long)d->missed);
    modbus_host->log(d->host, LOG_NOTICE, text);
    d->missed = 0;
    d->missed_said_at = now;
}

/* --- polling --- */

/* The next tick of the request's own grid after now, so that lateness never adds up. */
static void advance(struct modbus_device *d, struct device_request *request, uint64_t now, uint64_t earliest)
{
    uint64_t interval = request->plan.interval, missed = 0;

    if (now >= request->due)
        missed = (now - request->due) / interval;
    if (!request->forgiven && missed > 0)
        count_missed(d, missed, now);
    request->due += (missed + 1) * interval;
    if (request->due < earliest)
        request->due += (earliest - request->due + interval - 1) / interval * interval;
    request->forgiven = earliest > now;
}

static bool is_worth_splitting(int exception)
{
    return exception == MODBUS_EXCEPTION_ILLEGAL_FUNCTION || exception == MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS ||
           exception == MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE || exception == MODBUS_EXCEPTION_SLAVE_OR_SERVER_FAILURE;
}

/* One bad register must not cost its neighbours: the halves are asked on their own, now and from now on. */
static bool split(struct modbus_device *d, size_t index)
{
    struct device_request *request = &d->requests[index];
    struct plan_request halves[2];

    if (!plan_split(d->items, &request->plan, halves))
        return false;
    memmove(request + 2, request + 1, (d->n_requests - index - 1) * sizeof *request);
    request[1] = *request;
    request[0].plan = halves[0];
    request[1].plan = halves[1];
    d->n_requests++;
    return true;
}

static void refused(struct modbus_device *d, size_t index, int exception)
{
    struct device_request *request = &d->requests[index];
    const struct device_request *first;
    uint64_t now;

    if (is_worth_splitting(exception) && split(d, index))
        return;
    now = monotonic_now();
    request->exception = exception;
    for (size_t i = 0; i < request->plan.n; i++)
        d->last[d->items[request->plan.first + i].point].known = false;
    advance(d, request, now, now + backoff_next(&request->backoff));
    if (d->n_requests < 2 || count_refused(d, &first) < d->n_requests)
        return;
    /* All of them are refused, so it is the unit that refuses, and splitting taught nothing. */
    if (plan_requests(d, now + backoff_next(&d->backoff)) == 0)
        for (size_t i = 0; i < d->n_requests; i++)
            d->requests[i].exception = exception;
}

static void answered(struct modbus_device *d, struct device_request *request, const uint16_t *values)
{
    const struct plan_request *plan = &request->plan;

    for (size_t i = plan->first; i < plan->first + plan->n; i++) {
        unsigned start = (unsigned)d->items[i].address - plan->address;
        report_point(d, &d->items[i], values + start, plan->count - start);
    }
    request->exception = -1;
    request->backoff.delay = 0;
    d->backoff.delay = 0;
    d->failed = false;
    advance(d, request, monotonic_now(), 0);
}

/* 0 if the unit answered in some way. */
static int run(struct modbus_device *d, size_t index)
{
    struct device_request *request = &d->requests[index];
    const struct plan_request *plan = &request->plan;
    uint16_t values[READ_BITS_MAX];
    struct modbus_failure failure;

    int r = server_read(d->server, &d->terms, plan->table, plan->address, plan->count, values, &failure);
    if (r == 0) {
        answered(d, request, values);
        return 0;
    }
    switch (failure.kind) {
    case FAILURE_EXCEPTION:
        refused(d, index, failure.exception);
        return 0;
    case FAILURE_UNIT:
        d->retry_at = monotonic_now() + backoff_next(&d->backoff);
        say_failed(d, failure.text);
        break;
    case FAILURE_SERVER:
        say_failed(d, failure.text);
        break;
    }
    return r;
}

static size_t earliest_request(const struct modbus_device *d)
{
    size_t earliest = 0;

    for (size_t i = 1; i < d->n_requests; i++)
        if (d->requests[i].due < d->requests[earliest].due)
            earliest = i;
    return earliest;
}

static bool is_left_alone(struct modbus_device *d, uint64_t now, uint64_t *ret_until)
{
    uint64_t until = server_retry_at(d->server);

    if (now < until)
        say_failed(d, server_reason(d->server));
    if (d->retry_at > until)
        until = d->retry_at;
    *ret_until = until;
    return now < until;
}

/* One slice: what is due, in the order in which it is due, until the bus has been held long enough. */
int device_poll(struct modbus_device *d, uint64_t *ret_next)
{
    uint64_t start = monotonic_now(), until;
    bool ran = false;

    *ret_next = UINT64_MAX;
    if (d->n_requests == 0)
        return 0;
    for (;;) {
        uint64_t now = monotonic_now();
        size_t next = earliest_request(d);
        if (is_left_alone(d, now, &until)) {
            *ret_next = until;
            return 0;
        }
        *ret_next = d->requests[next].due;
        if (*ret_next > now || now - start >= POLL_SLICE)
            break;
        if (run(d, next) == 0)
            ran = true;
    }
    if (ran)
        say_state(d);
    return 0;
}

/* --- on demand --- */

static const struct modbus_point *find_point(const struct modbus_device *d, const char *name, char *error, size_t size)
{
    for (size_t i = 0; i < d->config->n_points; i++)
        if (strcmp(d->config->points[i].name, name) == 0)
            return &d->config->points[i];
    (void)snprintf(error, size, "no such point: %s", name);
    return NULL;
}

/* The unit has answered, so it is polled again at once rather than when its backoff ends. */
static void welcome_back(struct modbus_device *d)
{
    if (!d->failed)
        return;
    d->retry_at = 0;
    d->backoff.delay = 0;
    modbus_host->wake(d->host);
}

static int read_registers(struct modbus_device *d, const struct modbus_point *p, uint16_t *registers, char *error,
                          size_t error_size)
{
    struct modbus_failure failure;
    int r = server_read(d->server, &d->terms, p->table, p->address, p->count, registers, &failure);

    if (r < 0)
        (void)snprintf(error, error_size, "cannot read %s %u: %s", modbus_table_name(p->table), p->address,
                       failure.text);
    else
        welcome_back(d);
    return r;
}

int device_read(struct modbus_device *d, const char *point, struct gatehouse_value *ret_value, char *error,
                size_t error_size)
{
    const struct modbus_point *p = find_point(d, point, error, error_size);
    uint16_t registers[VALUE_REGISTERS_MAX];
    int r;

    if (!p)
        return -ENOENT;
    r = read_registers(d, p, registers, error, error_size);
    if (r < 0)
        return r;
    r = modbus_decode(&p->format, registers, p->count, d->text, ret_value);
    if (r < 0)
        (void)snprintf(error, error_size, "the device says that it has no valid value");
    return r;
}

static int encode(const struct modbus_point *p, const struct gatehouse_value *value, uint16_t *registers, char *error,
                  size_t error_size)
{
    char range[96];
    int r = modbus_encode(&p->format, value, registers, p->count);

    if (r < 0) {
        modbus_range_text(&p->format, range, sizeof range);
        (void)snprintf(error, error_size, "%s: expected %s",
                       r == -ERANGE ? "beyond what the register can hold" : "not a value of this type", range);
    }
    return r;
}

/* A bit or half of a register is read, changed and written back: not atomic at the device. */
int device_write(struct modbus_device *d, const char *point, const struct gatehouse_value *value,
                 struct gatehouse_value *ret_value, char *error, size_t error_size)
{
    const struct modbus_point *p = find_point(d, point, error, error_size);
    uint16_t registers[VALUE_REGISTERS_MAX] = {0};
    struct modbus_failure failure;
    int r;

    if (!p)
        return -ENOENT;
    if (!p->writable) {
        (void)snprintf(error, error_size, "%s is not writable", point);
        return -EACCES;
    }
    r = encode(p, value, registers, error, error_size);
    if (r < 0)
        return r;
    if (p->table == TABLE_HOLDING && modbus_encode_is_partial(&p->format)) {
        r = read_registers(d, p, registers, error, error_size);
        if (r == 0)
            r = encode(p, value, registers, error, error_size);
        if (r < 0)
            return r;
    }
    r = server_write(d->server, &d->terms, p->table, p->address, p->count, registers, d->config->write_multiple,
                     &failure);
    if (r < 0) {
        (void)snprintf(error, error_size, "cannot write %s %u: %s", modbus_table_name(p->table), p->address,
                       failure.text);
        return r;
    }
    welcome_back(d);
    if (modbus_decode(&p->format, registers, p->count, d->text, ret_value) < 0)
        *ret_value = *value;
    return 0;
}
