/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-reader.h"

#include <errno.h>
#include <stdlib.h>

static void read_url(struct reader *r, struct modbus_config *c)
{
    char error[256];
    const char *url = reader_string(r, "url");

    if (!url) {
        if (!json_object_object_get_ex(r->object, "url", NULL))
            reader_complain(r, NULL, "no url; expected \"url\": \"tcp://HOST:PORT\"");
        return;
    }
    if (modbus_url_parse(url, &c->url, error, sizeof error) < 0)
        reader_complain(r, "url", "%s", error);
}

static void read_unit(struct reader *r, struct modbus_config *c)
{
    reader_uint(r, "unit", 0, 255, &c->unit);
    if (c->unit > 247 && c->unit < 255)
        reader_complain(r, "unit", "expected a unit from 1 to 247, or 0 or 255 for the server itself");
}

static void read_section(struct reader *r, struct modbus_config *c)
{
    read_url(r, c);
    read_unit(r, c);
    reader_duration(r, "interval", INTERVAL_MIN, INTERVAL_MAX, &c->interval);
    reader_duration(r, "timeout", TIMEOUT_MIN, TIMEOUT_MAX, &c->timeout);
    reader_uint(r, "retries", 0, RETRIES_MAX, &c->retries);
    reader_uint(r, "max_gap", 0, READ_REGISTERS_MAX, &c->limits.max_gap);
    reader_uint(r, "max_registers", 1, READ_REGISTERS_MAX, &c->limits.max_registers);
    reader_duration(r, "delay_after_connect", 0, DELAY_AFTER_CONNECT_MAX, &c->delay_after_connect);
    reader_duration(r, "delay_between_requests", 0, DELAY_BETWEEN_REQUESTS_MAX, &c->delay_between_requests);
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
