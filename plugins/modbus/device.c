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

const struct modbus_point *device_find_point(const struct modbus_device *d, const char *name, char *error, size_t size)
{
    for (size_t i = 0; i < d->config->n_points; i++)
        if (strcmp(d->config->points[i].name, name) == 0)
            return &d->config->points[i];
    (void)snprintf(error, size, "no such point: %s", name);
    return NULL;
}

/* A unit that has answered is polled again at once rather than when its backoff ends. Where nothing is polled, the
 * state is what is found out here. */
void device_note_outcome(struct modbus_device *d, int r, const struct modbus_failure *failure)
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

void device_wait(uint64_t duration)
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
int device_read_registers(struct modbus_device *d, const struct modbus_point *p, uint16_t *registers, char *error,
                          size_t error_size)
{
    struct modbus_failure failure;
    uint64_t wait = 0;
    int r;

    for (unsigned tries = 0;; tries++) {
        r = server_read(d->server, &d->terms, p->table, p->read_address, p->read_count, registers, &failure);
        if (r == 0 || !is_repeated(d, &failure, tries, &wait))
            break;
        device_wait(wait);
    }
    if (r < 0)
        (void)snprintf(error, error_size, "cannot read %s %u: %s", modbus_table_name(p->table), p->read_address,
                       failure.text);
    device_note_outcome(d, r, &failure);
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

int device_read(struct modbus_device *d, const char *point, struct gatehouse_value *ret_value, char *error,
                size_t error_size)
{
    const struct modbus_point *p = device_find_point(d, point, error, error_size);
    uint16_t registers[READ_BITS_MAX];
    struct modbus_format format;
    int r;

    if (!p)
        return -ENOENT;
    r = device_read_registers(d, p, registers, error, error_size);
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
