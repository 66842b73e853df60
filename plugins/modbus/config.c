/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-reader.h"
#include "template.h"

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
        reader_choice(r, "rs485", rs485, 4, &choice);
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
    reader_choice(r, "echo", echo, 3, &choice);
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
    reader_bool(r, "trace", &c->trace);
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

/* --- rows and groups --- */

static bool row_point(const struct modbus_point *row, unsigned i, struct modbus_point *ret)
{
    struct modbus_point p = *row;
    char name[NAME_MAX_LENGTH + 1];

    (void)snprintf(name, sizeof name, "%s.%u", row->name, i + 1);
    p.address = (uint16_t)(row->address + i * row->count);
    if (!row->has_scale_register) {
        p.read_address = p.address;
    } else {
        unsigned begin = p.address < p.scale_register ? p.address : p.scale_register;
        unsigned end = p.address + p.count > p.scale_register + 1u ? p.address + p.count : p.scale_register + 1u;
        p.read_address = (uint16_t)begin;
        p.read_count = (uint16_t)(end - begin);
    }
    p.name = strdup(name);
    p.unit = row->unit ? strdup(row->unit) : NULL;
    p.format.choices = NULL;
    p.format.n_choices = 0;
    if (row->format.n_choices > 0)
        p.format.choices = calloc(row->format.n_choices, sizeof *p.format.choices);
    for (size_t k = 0; p.format.choices && k < row->format.n_choices; k++, p.format.n_choices++) {
        const struct modbus_choice *c = &row->format.choices[k];
        p.format.choices[k] = (struct modbus_choice){.raw = c->raw, .name = c->name ? strdup(c->name) : NULL};
    }
    *ret = p;
    return p.name && (!row->unit || p.unit) && p.format.n_choices == row->format.n_choices;
}

/* Each row becomes as many points as it counts: NAME.1, NAME.2 ... */
static int expand_rows(struct modbus_config *c)
{
    struct modbus_point *all;
    size_t n = 0;
    bool good = true;

    for (size_t i = 0; i < c->n_points; i++)
        n += c->points[i].row;
    if (n == c->n_points)
        return 0;
    all = calloc(n, sizeof *all);
    if (!all)
        return -ENOMEM;
    n = 0;
    for (size_t i = 0; i < c->n_points; i++) {
        struct modbus_point *row = &c->points[i];
        if (row->row == 1) {
            all[n++] = *row;
            continue;
        }
        for (unsigned k = 0; k < row->row; k++)
            good &= row_point(row, k, &all[n++]);
        modbus_point_done(row);
    }
    free(c->points);
    c->points = all;
    c->n_points = n;
    return good ? 0 : -ENOMEM;
}

static void complain_of_group(const struct modbus_point *p, const char *what, gatehouse_complain complain,
                              void *context)
{
    char pointer[128], message[256];

    (void)snprintf(pointer, sizeof pointer, "/points/%s/group", p->name);
    (void)snprintf(message, sizeof message, "the points of group \"%s\" %s", p->group, what);
    complain(context, pointer, message);
}

/* The points of a group are read by one request, whatever stands between them. */
static bool join_group(struct modbus_config *c, size_t first, unsigned number, gatehouse_complain complain,
                       void *context)
{
    struct modbus_point *f = &c->points[first];
    unsigned begin = f->read_address, end = f->read_address + f->read_count;
    unsigned maximum = modbus_table_is_bits(f->table) ? c->limits.max_registers * 16 : c->limits.max_registers;

    for (size_t i = first; i < c->n_points; i++) {
        struct modbus_point *p = &c->points[i];
        if (strcmp(p->group, f->group) != 0)
            continue;
        p->group_number = number;
        if (p->table != f->table || p->interval != f->interval || p->poll != f->poll) {
            complain_of_group(p, "differ in table, interval or poll; they are read together", complain, context);
            return false;
        }
        begin = p->read_address < begin ? p->read_address : begin;
        end = (unsigned)p->read_address + p->read_count > end ? (unsigned)p->read_address + p->read_count : end;
    }
    if (end - begin > maximum) {
        complain_of_group(f, "are too far apart for one request (max_registers)", complain, context);
        return false;
    }
    for (size_t i = first; i < c->n_points; i++)
        if (c->points[i].group_number == number) {
            c->points[i].read_address = (uint16_t)begin;
            c->points[i].read_count = (uint16_t)(end - begin);
        }
    return true;
}

static bool join_groups(struct modbus_config *c, gatehouse_complain complain, void *context)
{
    unsigned number = 0;
    bool good = true;

    for (size_t i = 0; i < c->n_points; i++)
        if (c->points[i].group[0] != '\0' && c->points[i].group_number == 0)
            good &= join_group(c, i, ++number, complain, context);
    return good;
}

static int read_all(const char *section, const struct gatehouse_point *points, size_t n_points,
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
    for (size_t i = 0; i < n_points; i++)
        if (modbus_point_read(c, &points[i], complain, context, &c->points[c->n_points]))
            c->n_points++;
        else
            good = false;
    int e = good ? expand_rows(c) : 0;
    if (good && e == 0)
        good = join_groups(c, complain, context);
    if (!good || e < 0 || !ret) {
        modbus_config_free(c);
        return e < 0 ? e : good ? 0 : -EINVAL;
    }
    *ret = c;
    return 0;
}

/* Complaints about what only the template says have no place in the device's own configuration but the template's name.
 */
struct relay {
    gatehouse_complain complain;
    void *context;
    const char *name;
    const char *section;
    const struct gatehouse_point *points;
    size_t n_points;
};

/* Whether the device's own configuration has what the pointer names. */
static bool is_own(const struct relay *r, const char *pointer)
{
    json_object *section = NULL, *found = NULL;
    bool own = true;

    if (strncmp(pointer, "/section/", 9) == 0) {
        section = json_tokener_parse(r->section);
        own = json_object_object_get_ex(section, pointer + 9, &found);
        json_object_put(section);
        return own;
    }
    if (strncmp(pointer, "/points/", 8) != 0)
        return true;
    size_t n = strcspn(pointer + 8, "/");
    for (size_t i = 0; i < r->n_points; i++)
        if (strlen(r->points[i].name) == n && strncmp(r->points[i].name, pointer + 8, n) == 0)
            return true;
    return false;
}

static void relay(void *context, const char *pointer, const char *message)
{
    struct relay *r = context;
    char text[768];

    if (is_own(r, pointer)) {
        r->complain(r->context, pointer, message);
        return;
    }
    (void)snprintf(text, sizeof text, "template %s: %s: %s", r->name, pointer + 1, message);
    r->complain(r->context, "/section/template", text);
}

int modbus_config_read(const char *section, const struct gatehouse_point *points, size_t n_points,
                       gatehouse_complain complain, void *context, struct modbus_config **ret)
{
    struct template t = {0};
    int r = template_apply(section, points, n_points, complain, context, &t);

    if (r < 0)
        return r;
    if (r == 0)
        return read_all(section, points, n_points, complain, context, ret);
    struct relay through = {complain, context, t.name, section, points, n_points};
    r = read_all(t.section, t.points, t.n_points, relay, &through, ret);
    template_done(&t);
    return r;
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
