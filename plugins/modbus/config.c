/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_url(struct reader *r, struct modbus_config *c)
{
    char error[256];
    const char *url = reader_string(r, "url");

    if (!url) {
        if (!json_object_object_get_ex(r->object, "url", NULL))
            reader_complain(r, NULL, "no url; expected \"url\": \"tcp://HOST:PORT\" or \"rtu:/dev/...\"");
        return;
    }
    if (modbus_url_parse(url, &c->url, error, sizeof error) < 0)
        reader_complain(r, "url", "%s", error);
}

/* One of a list of names; its index. */
static void read_choice(struct reader *r, const char *key, const char *const *names, unsigned n, unsigned *value)
{
    const char *name = reader_string(r, key);
    char expected[128] = "";

    if (!name)
        return;
    for (unsigned i = 0; i < n; i++) {
        size_t used = strlen(expected);
        if (strcmp(names[i], name) == 0) {
            *value = i;
            return;
        }
        (void)snprintf(expected + used, sizeof expected - used, "%s%s",
                       i == 0      ? ""
                       : i + 1 < n ? ", "
                                   : " or ",
                       names[i]);
    }
    reader_complain(r, key, "\"%s\" is unknown; expected %s", name, expected);
}

/* A key of serial lines; true if the url is one. */
static bool serial_only(struct reader *r, const char *key, const struct modbus_config *c)
{
    if (c->url.transport == TRANSPORT_RTU)
        return true;
    if (reader_get(r, key))
        reader_complain(r, key, "belongs to serial lines (\"url\": \"rtu:/dev/...\")");
    return false;
}

static void read_line(struct reader *r, struct modbus_config *c)
{
    static const char *const rs485[] = {"auto", "kernel", "rts", "none"}, *const echo[] = {"auto", "yes", "no"};
    unsigned choice = 0;

    if (serial_only(r, "rs485", c)) {
        read_choice(r, "rs485", rs485, 4, &choice);
        c->serial.rs485 = (enum rs485_mode)choice;
    }
    if (serial_only(r, "rts_delay", c))
        reader_duration(r, "rts_delay", 0, RTS_DELAY_MAX, &c->serial.rts_delay);
    if (c->serial.rts_delay > 0 && c->serial.rs485 != RS485_RTS && c->serial.rs485 != RS485_KERNEL)
        reader_complain(r, "rts_delay", "works only with \"rs485\": \"rts\" or \"kernel\"");
    if (serial_only(r, "low_latency", c))
        reader_bool(r, "low_latency", &c->serial.low_latency);
    if (serial_only(r, "gap", c)) {
        c->gap = modbus_url_gap(&c->url);
        reader_duration(r, "gap", 0, GAP_MAX, &c->gap);
    }
    if (c->url.transport == TRANSPORT_TCP) {
        if (reader_get(r, "echo"))
            reader_complain(r, "echo", "belongs to RTU (\"url\": \"rtu:/dev/...\" or \"rtu+tcp://...\")");
        if (reader_get(r, "turnaround"))
            reader_complain(r, "turnaround", "belongs to RTU (\"url\": \"rtu:/dev/...\" or \"rtu+tcp://...\")");
        return;
    }
    choice = 0;
    read_choice(r, "echo", echo, 3, &choice);
    c->serial.echo = (enum serial_echo)choice;
    reader_duration(r, "turnaround", 0, TURNAROUND_MAX, &c->turnaround);
}

static void read_patience(struct reader *r, struct modbus_config *c)
{
    reader_duration(r, "timeout", TIMEOUT_MIN, TIMEOUT_MAX, &c->timeout);
    reader_uint(r, "retries", 0, RETRIES_MAX, &c->retries);
    reader_duration(r, "retry_wait", 0, RETRY_WAIT_MAX, &c->retry_wait);
    reader_uint(r, "degrade_after", 1, DEGRADE_AFTER_MAX, &c->degrade_after);
    reader_duration(r, "degrade_for", DEGRADE_FOR_MIN, DEGRADE_FOR_MAX, &c->degrade_for);
    reader_bool(r, "close_on_timeout", &c->close_on_timeout);
    reader_bool(r, "close_after_poll", &c->close_after_poll);
    if (c->url.transport == TRANSPORT_TCP)
        reader_bool(r, "check_transaction", &c->check_transaction);
    else if (reader_get(r, "check_transaction"))
        reader_complain(r, "check_transaction", "belongs to Modbus TCP: RTU has no transaction numbers");
    reader_duration(r, "delay_after_connect", 0, DELAY_AFTER_CONNECT_MAX, &c->delay_after_connect);
    reader_duration(r, "delay_between_requests", 0, DELAY_BETWEEN_REQUESTS_MAX, &c->delay_between_requests);
}

static void read_section(struct reader *r, struct modbus_config *c)
{
    read_url(r, c);
    reader_uint(r, "unit", 0, 255, &c->unit);
    reader_duration(r, "interval", INTERVAL_MIN, INTERVAL_MAX, &c->interval);
    read_patience(r, c);
    read_line(r, c);
    reader_uint(r, "max_gap", 0, READ_REGISTERS_MAX, &c->limits.max_gap);
    reader_uint(r, "max_registers", 1, READ_REGISTERS_MAX, &c->limits.max_registers);
    reader_uint(r, "address_base", 0, 1, &c->address_base);
    reader_bool(r, "write_multiple", &c->write_multiple);
    reader_finish(r);
}

static struct modbus_config *config_new(size_t n_points)
{
    struct modbus_config *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->unit = 1;
    c->interval = INTERVAL_DEFAULT;
    c->timeout = TIMEOUT_DEFAULT;
    c->retries = RETRIES_DEFAULT;
    c->retry_wait = RETRY_WAIT_DEFAULT;
    c->degrade_after = 1;
    c->degrade_for = BACKOFF_MAX;
    c->check_transaction = true;
    c->turnaround = TURNAROUND_DEFAULT;
    c->serial.low_latency = true;
    c->limits.max_registers = READ_REGISTERS_MAX;
    c->points = calloc(n_points ? n_points : 1, sizeof *c->points);
    return c->points ? c : modbus_config_free(c);
}

int modbus_config_read(const char *section, const struct gatehouse_point *points, size_t n_points,
                       gatehouse_complain complain, void *context, struct modbus_config **ret)
{
    struct modbus_config *c = config_new(n_points);
    struct reader r;
    bool good;

    if (!c)
        return -ENOMEM;
    good = reader_open(&r, section, complain, context, "/section");
    if (good) {
        read_section(&r, c);
        good = !r.failed;
        json_object_put(r.object);
    }
    for (size_t i = 0; i < n_points; i++, c->n_points++)
        if (!modbus_point_read(c, &points[i], complain, context, &c->points[i]))
            good = false;
    if (!good || !ret) {
        modbus_config_free(c);
        return good ? 0 : -EINVAL;
    }
    *ret = c;
    return 0;
}

struct modbus_config *modbus_config_free(struct modbus_config *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < c->n_points; i++)
        modbus_point_done(&c->points[i]);
    free(c->points);
    free(c);
    return NULL;
}

static void ignore(void *context, const char *pointer, const char *message)
{
    (void)context;
    (void)pointer;
    (void)message;
}

int modbus_config_url(const char *section, struct modbus_url *ret)
{
    char error[256];
    struct reader r;
    int result = -EINVAL;

    if (!reader_open(&r, section, ignore, NULL, ""))
        return -EINVAL;
    const char *url = reader_string(&r, "url");
    if (url)
        result = modbus_url_parse(url, ret, error, sizeof error);
    json_object_put(r.object);
    return result;
}
