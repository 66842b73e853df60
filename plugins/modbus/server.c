/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"
#include "host.h"
#include "tcp.h"

#include <errno.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct modbus_server {
    struct modbus_server *next;
    unsigned references;
    struct modbus_url url;
    char bus[BUS_MAX];

    modbus_t *line; /* libmodbus's context; NULL when not connected */
    uint64_t last_answer;
    struct backoff backoff;
    uint64_t retry_at;
    char reason[BUS_MAX + 200];
};

/* One request, either way. */
struct exchange {
    bool write;
    bool multiple;
    enum modbus_table table;
    int address;
    int count;
    uint16_t *values;
};

static pthread_mutex_t servers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct modbus_server *servers;

struct modbus_server *server_get(const struct modbus_url *url)
{
    struct modbus_server *s;
    char bus[BUS_MAX];

    modbus_url_bus(url, bus, sizeof bus);
    (void)pthread_mutex_lock(&servers_lock);
    for (s = servers; s; s = s->next)
        if (strcmp(s->bus, bus) == 0)
            break;
    if (!s && (s = calloc(1, sizeof *s))) {
        s->url = *url;
        memcpy(s->bus, bus, sizeof s->bus);
        s->next = servers;
        servers = s;
    }
    if (s)
        s->references++;
    (void)pthread_mutex_unlock(&servers_lock);
    return s;
}

static void close_line(struct modbus_server *s)
{
    if (!s->line)
        return;
    modbus_close(s->line);
    modbus_free(s->line);
    s->line = NULL;
}

struct modbus_server *server_put(struct modbus_server *s)
{
    if (!s)
        return NULL;
    (void)pthread_mutex_lock(&servers_lock);
    bool last = --s->references == 0;
    for (struct modbus_server **p = &servers; last && *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    (void)pthread_mutex_unlock(&servers_lock);
    if (last) {
        close_line(s);
        free(s);
    }
    return NULL;
}

uint64_t server_retry_at(const struct modbus_server *s)
{
    return s->retry_at;
}

const char *server_reason(const struct modbus_server *s)
{
    return s->reason;
}

static void wait_until(uint64_t when)
{
    struct timespec t = {.tv_sec = (time_t)(when / SEC), .tv_nsec = (long)(when % SEC) * 1000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* Something to read before anything was asked: the peer has closed, or speaks out of turn. */
static bool is_stale(const struct modbus_server *s)
{
    struct pollfd p = {.fd = modbus_get_socket(s->line), .events = POLLIN | POLLRDHUP};

    return poll(&p, 1, 0) != 0;
}

static int open_line(struct modbus_server *s, uint64_t timeout, char *error, size_t error_size)
{
    int fd = -1, r = -EPROTONOSUPPORT;

    switch (s->url.transport) {
    case TRANSPORT_TCP:
        r = tcp_connect(&s->url, timeout, &fd, error, error_size);
        break;
    }
    if (r < 0)
        return r;
    s->line = modbus_new_tcp("127.0.0.1", MODBUS_TCP_DEFAULT_PORT); /* never used: the socket is connected */
    if (!s->line) {
        close(fd);
        (void)snprintf(error, error_size, "out of memory");
        return -ENOMEM;
    }
    (void)modbus_set_socket(s->line, fd);
    /* Without a time-out between bytes, the one for the answer bounds the whole of it. */
    (void)modbus_set_byte_timeout(s->line, 0, 0);
    return 0;
}

static int ensure_line(struct modbus_server *s, const struct server_terms *terms, struct modbus_failure *failure)
{
    char error[192];

    if (s->line && is_stale(s))
        close_line(s);
    if (s->line)
        return 0;
    if (open_line(s, terms->timeout, error, sizeof error) < 0) {
        (void)snprintf(s->reason, sizeof s->reason, "%s: %s", s->bus, error);
        (void)snprintf(failure->text, sizeof failure->text, "%s", s->reason);
        failure->kind = FAILURE_SERVER;
        s->retry_at = monotonic_now() + backoff_next(&s->backoff);
        return -EHOSTUNREACH;
    }
    s->backoff.delay = 0;
    s->retry_at = 0;
    wait_until(monotonic_now() + terms->delay_after_connect);
    return 0;
}

static int exchange_bits(modbus_t *line, const struct exchange *x)
{
    uint8_t bits[READ_BITS_MAX];
    int r;

    if (x->write) {
        for (int i = 0; i < x->count; i++)
            bits[i] = x->values[i] != 0;
        return x->multiple || x->count != 1 ? modbus_write_bits(line, x->address, x->count, bits)
                                            : modbus_write_bit(line, x->address, bits[0]);
    }
    r = x->table == TABLE_COIL ? modbus_read_bits(line, x->address, x->count, bits)
                               : modbus_read_input_bits(line, x->address, x->count, bits);
    for (int i = 0; i < r; i++)
        x->values[i] = bits[i] != 0;
    return r;
}

static int exchange_registers(modbus_t *line, const struct exchange *x)
{
    if (x->write)
        return x->multiple || x->count != 1 ? modbus_write_registers(line, x->address, x->count, x->values)
                                            : modbus_write_register(line, x->address, x->values[0]);
    return x->table == TABLE_INPUT ? modbus_read_input_registers(line, x->address, x->count, x->values)
                                   : modbus_read_registers(line, x->address, x->count, x->values);
}

const char *server_exception_text(int code)
{
    static const char *const texts[] = {
        [MODBUS_EXCEPTION_ILLEGAL_FUNCTION] = "illegal function",
        [MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS] = "illegal data address",
        [MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE] = "illegal data value",
        [MODBUS_EXCEPTION_SLAVE_OR_SERVER_FAILURE] = "device failure",
        [MODBUS_EXCEPTION_ACKNOWLEDGE] = "accepted, still working on it",
        [MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY] = "device busy",
        [MODBUS_EXCEPTION_NEGATIVE_ACKNOWLEDGE] = "negative acknowledgement",
        [MODBUS_EXCEPTION_MEMORY_PARITY] = "memory parity error",
        [MODBUS_EXCEPTION_GATEWAY_PATH] = "gateway: no path to the unit",
        [MODBUS_EXCEPTION_GATEWAY_TARGET] = "gateway: the unit does not respond",
    };

    if (code < 1 || code >= (int)(sizeof texts / sizeof texts[0]) || !texts[code])
        return "an exception that the protocol does not define";
    return texts[code];
}

static int fail_exception(int code, const struct server_terms *terms, struct modbus_failure *failure)
{
    bool gateway = code == MODBUS_EXCEPTION_GATEWAY_PATH || code == MODBUS_EXCEPTION_GATEWAY_TARGET;

    failure->kind = gateway ? FAILURE_UNIT : FAILURE_EXCEPTION;
    failure->exception = code;
    if (gateway)
        (void)snprintf(failure->text, sizeof failure->text, "unit %u: %s", terms->unit, server_exception_text(code));
    else
        (void)snprintf(failure->text, sizeof failure->text, "%s", server_exception_text(code));
    return -EREMOTEIO;
}

/* What libmodbus's errno means; everything but a proper exception costs the connection. */
static int fail_exchange(struct modbus_server *s, int error, const struct server_terms *terms,
                         struct modbus_failure *failure)
{
    const char *what;

    if (error >= MODBUS_ENOBASE && error < EMBBADCRC)
        return fail_exception(error - MODBUS_ENOBASE, terms, failure);
    if (error == EMBBADEXC)
        return fail_exception(0, terms, failure);
    close_line(s);
    if (error == ETIMEDOUT)
        what = "does not answer";
    else if (error >= MODBUS_ENOBASE)
        what = "answers what is not Modbus, or does not fit the request";
    else
        what = "the server closed the connection instead of answering";
    failure->kind = FAILURE_UNIT;
    (void)snprintf(failure->text, sizeof failure->text, "unit %u: %s", terms->unit, what);
    return -ETIMEDOUT;
}

static int attempt(struct modbus_server *s, const struct server_terms *terms, const struct exchange *x,
                   struct modbus_failure *failure)
{
    int r;

    modbus_host->deadline(ATTEMPT_DEADLINE);
    r = ensure_line(s, terms, failure);
    if (r < 0)
        return r;
    modbus_host->deadline(ATTEMPT_DEADLINE);
    if (terms->delay_between_requests > 0)
        wait_until(s->last_answer + terms->delay_between_requests);
    (void)modbus_set_slave(s->line, (int)terms->unit);
    (void)modbus_set_response_timeout(s->line, (uint32_t)(terms->timeout / SEC), (uint32_t)(terms->timeout % SEC));
    errno = 0;
    r = modbus_table_is_bits(x->table) ? exchange_bits(s->line, x) : exchange_registers(s->line, x);
    int error = errno;
    s->last_answer = monotonic_now();
    if (r == x->count)
        return 0;
    return fail_exchange(s, r < 0 ? error : EMBBADDATA, terms, failure);
}

int server_read(struct modbus_server *s, const struct server_terms *terms, enum modbus_table table, uint16_t address,
                uint16_t count, uint16_t *values, struct modbus_failure *ret_failure)
{
    struct exchange x = {.table = table, .address = address, .count = count, .values = values};
    int r = 0;

    for (unsigned i = 0; i <= terms->retries; i++) {
        r = attempt(s, terms, &x, ret_failure);
        if (r != -ETIMEDOUT)
            break;
    }
    return r;
}

int server_write(struct modbus_server *s, const struct server_terms *terms, enum modbus_table table, uint16_t address,
                 uint16_t count, const uint16_t *values, bool multiple, struct modbus_failure *ret_failure)
{
    uint16_t copy[WRITE_REGISTERS_MAX];
    struct exchange x = {
        .write = true, .multiple = multiple, .table = table, .address = address, .count = count, .values = copy};

    memcpy(copy, values, count * sizeof copy[0]);
    return attempt(s, terms, &x, ret_failure);
}
