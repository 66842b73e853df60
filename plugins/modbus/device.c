/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-internal.h"
#include "host.h"
#include "pdu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* --- making and ending --- */

struct server_terms device_terms(const struct modbus_config *c)
{
    uint64_t pause = c->url.transport == TRANSPORT_RTU ? c->gap : 0;

    return (struct server_terms){.unit = c->unit,
                                 .timeout = c->timeout,
                                 .delay_after_connect = c->delay_after_connect,
                                 .pause = pause > c->delay_between_requests ? pause : c->delay_between_requests,
                                 .turnaround = c->turnaround,
                                 .close_on_timeout = c->close_on_timeout,
                                 .check_transaction = c->check_transaction,
                                 .trace = c->trace};
}

static int make_beats(struct modbus_device *d)
{
    bool any = false;

    for (size_t i = 0; i < d->config->n_points; i++)
        any |= d->config->points[i].write_interval > 0;
    if (any)
        d->beats = calloc(d->config->n_points, sizeof *d->beats);
    return any && !d->beats ? -ENOMEM : 0;
}

int device_new(struct gatehouse_device *host_device, struct modbus_config *config, struct modbus_device **ret,
               char *error, size_t error_size)
{
    struct modbus_device *d = calloc(1, sizeof *d);
    size_t n = config->n_points ? config->n_points : 1;
    int r = -ENOMEM;

    if (!d)
        return -ENOMEM;
    d->host = host_device;
    d->terms = device_terms(config);
    d->terms.device = host_device;
    d->terms.counts = &d->counts;
    d->config = config;
    d->items = calloc(n, sizeof *d->items);
    d->requests = calloc(n, sizeof *d->requests);
    d->last = calloc(n, sizeof *d->last);
    if (d->items && d->requests && d->last && make_beats(d) == 0)
        r = server_get(&config->url, &config->serial, &d->server, error, error_size);
    if (r == 0)
        r = device_plan(d, monotonic_now());
    if (r < 0) {
        d->config = NULL; /* still the caller's */
        device_free(d);
        return r;
    }
    *ret = d;
    return 0;
}

struct modbus_device *device_free(struct modbus_device *d)
{
    if (!d)
        return NULL;
    if (d->last)
        device_forget_values(d);
    for (size_t i = 0; d->beats && d->config && i < d->config->n_points; i++)
        free(d->beats[i].text);
    free(d->beats);
    server_put(d->server);
    modbus_config_free(d->config);
    free(d->items);
    free(d->requests);
    free(d->last);
    free(d);
    return NULL;
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

/* A unit that has answered is polled again at once rather than when its backoff ends. Where nothing is polled, the
 * state is what is found out here. */
static void note_outcome(struct modbus_device *d, int r, const struct modbus_failure *failure)
{
    if (r < 0 && failure->exception < 0) {
        if (d->n_requests == 0)
            device_say_failed(d, failure->text);
        return;
    }
    if (d->failed) {
        d->retry_at = 0;
        d->backoff.delay = 0;
        modbus_host->wake(d->host);
    }
    if (d->n_requests == 0) {
        d->failed = false;
        device_say_state(d);
    }
}

static void wait_for(uint64_t duration)
{
    struct timespec t = {.tv_sec = (time_t)(duration / SEC), .tv_nsec = (long)(duration % SEC) * 1000};

    modbus_host->deadline(duration + ATTEMPT_ROOM);
    while (duration > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

/* How long to wait before a request that failed so is repeated; false: it is not. A unit that is known to be away is
 * asked once: others wait meanwhile. */
static bool is_repeated(const struct modbus_device *d, const struct modbus_failure *failure, unsigned tries,
                        uint64_t *ret_wait)
{
    if (tries >= d->config->retries || failure->kind == FAILURE_SERVER)
        return false;
    *ret_wait = pdu_exception_passes(failure->exception) || failure->exception == EXCEPTION_GATEWAY_PATH
                    ? d->config->retry_wait
                    : 0;
    return failure->kind == FAILURE_UNIT ? !d->failed : pdu_exception_passes(failure->exception);
}

/* All that the point's value depends on: read_count registers from read_address on. */
static int read_registers(struct modbus_device *d, const struct modbus_point *p, uint16_t *registers, char *error,
                          size_t error_size)
{
    struct modbus_failure failure;
    uint64_t wait = 0;
    int r;

    for (unsigned tries = 0;; tries++) {
        r = server_read(d->server, &d->terms, p->table, p->read_address, p->read_count, registers, &failure);
        if (r == 0 || !is_repeated(d, &failure, tries, &wait))
            break;
        wait_for(wait);
    }
    if (r < 0)
        (void)snprintf(error, error_size, "cannot read %s %u: %s", modbus_table_name(p->table), p->read_address,
                       failure.text);
    note_outcome(d, r, &failure);
    return r;
}

int device_format(const struct modbus_point *p, const uint16_t *registers, struct modbus_format *ret)
{
    if (!p->has_scale_register) {
        *ret = p->format;
        return 0;
    }
    int exponent = (int16_t)registers[p->scale_register - p->read_address];
    if (exponent < -SCALE_EXPONENT_MAX || exponent > SCALE_EXPONENT_MAX)
        return -ENODATA;
    *ret = modbus_format_scaled(&p->format, exponent);
    return 0;
}

/* A unit that is busy has not carried it out, and is asked again; one that has accepted it has it. What was not
 * answered may have been carried out, and is not sent twice. */
static int write_registers(struct modbus_device *d, const struct modbus_point *p, const uint16_t *registers,
                           char *error, size_t error_size)
{
    struct modbus_failure failure;
    int r;

    for (unsigned tries = 0;; tries++) {
        r = server_write(d->server, &d->terms, p->table, p->address, p->count, registers, p->write_multiple, &failure);
        if (r == 0 || failure.exception != EXCEPTION_BUSY || tries >= d->config->retries)
            break;
        wait_for(d->config->retry_wait);
    }
    if (r < 0 && failure.exception == EXCEPTION_ACKNOWLEDGE)
        r = 0;
    if (r < 0)
        (void)snprintf(error, error_size, "cannot write %s %u: %s", modbus_table_name(p->table), p->address,
                       failure.text);
    note_outcome(d, r, &failure);
    return r;
}

int device_read(struct modbus_device *d, const char *point, struct gatehouse_value *ret_value, char *error,
                size_t error_size)
{
    const struct modbus_point *p = find_point(d, point, error, error_size);
    uint16_t registers[READ_BITS_MAX];
    struct modbus_format format;
    int r;

    if (!p)
        return -ENOENT;
    r = read_registers(d, p, registers, error, error_size);
    device_tell_counts(d);
    if (r < 0)
        return r;
    r = device_format(p, registers, &format);
    if (r == 0)
        r = modbus_decode(&format, registers + (p->address - p->read_address), p->count, d->text, ret_value);
    if (r < 0)
        (void)snprintf(error, error_size, "the device has no valid value there");
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
    int r = 0;

    /* What cannot be written at all is refused before the device is asked for the rest of the register. */
    if (!p->has_scale_register)
        r = encode(&format, p, value, registers, error, error_size);
    if (r == 0 && (partial || p->has_scale_register)) {
        r = read_registers(d, p, present, error, error_size);
        if (r == 0 && device_format(p, present, &format) < 0) {
            (void)snprintf(error, error_size, "the device has no valid scale in register %u", p->scale_register);
            r = -ENODATA;
        }
        if (r == 0)
            r = encode(&format, p, value, registers, error, error_size);
    }
    if (r == 0)
        r = write_registers(d, p, registers, error, error_size);
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
    const struct modbus_point *p = find_point(d, point, error, error_size);
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
