/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Simulated sensors: for demonstrations, for load, and for testing what stands behind them. */
#include "config.h"
#include "signal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

struct sim_value {
    char *name, *unit;
    struct sim_point config;
    uint64_t n; /* reports */
    bool written;
    struct gatehouse_value value; /* what was written; a string points into text */
    char text[SIM_TEXT_MAX];
};

struct sim_device {
    struct gatehouse_device *handle;
    struct sim_section section;
    struct sim_value *points;
    size_t n_points;
    uint64_t next; /* report, CLOCK_MONOTONIC */
    uint64_t reports;
};

static const struct gatehouse_host *host;

/* The devices of which one at a time reports. The first of them keeps the clock for all. One thread: no lock. */
static struct sim_device **shared;
static size_t n_shared;
static uint64_t shared_reports;

static uint64_t random_state = 88172645463325252u;

/* xorshift64: the same run every time. */
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t now_monotonic(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int sim_load(const struct gatehouse_host *h)
{
    host = h;
    return 0;
}

static int sim_config_check(const char *section, const struct gatehouse_point *points, size_t n_points,
                            gatehouse_complain complain, void *context)
{
    struct sim_section s;
    struct sim_point p;

    (void)sim_section_parse(section, &s, complain, context);
    for (size_t i = 0; i < n_points; i++)
        (void)sim_point_parse(points[i].name, points[i].config, &p, complain, context);
    return 0;
}

static void device_free(struct sim_device *d)
{
    for (size_t i = 0; i < d->n_points; i++) {
        free(d->points[i].name);
        free(d->points[i].unit);
    }
    free(d->points);
    free(d);
}

static int copy_points(struct sim_device *d, const struct gatehouse_point *points, size_t n)
{
    d->points = calloc(n + 1, sizeof(*d->points));
    if (!d->points)
        return -ENOMEM;
    for (d->n_points = 0; d->n_points < n; d->n_points++) {
        const struct gatehouse_point *from = &points[d->n_points];
        struct sim_value *to = &d->points[d->n_points];
        int r = sim_point_parse(from->name, from->config, &to->config, NULL, NULL);

        if (r < 0)
            return r;
        /* The text of a constant is in the copy now. */
        if (to->config.value.type == GATEHOUSE_STRING)
            to->config.value.s = to->config.text;
        to->name = strdup(from->name);
        to->unit = from->unit ? strdup(from->unit) : NULL;
        if (!to->name || (from->unit && !to->unit)) {
            free(to->name);
            free(to->unit);
            return -ENOMEM;
        }
    }
    return 0;
}

static int share(struct sim_device *d)
{
    struct sim_device **more = reallocarray(shared, n_shared + 1, sizeof(struct sim_device *));

    if (!more)
        return -ENOMEM;
    shared = more;
    shared[n_shared++] = d;
    return 0;
}

static void unshare(struct sim_device *d)
{
    size_t i = 0;

    while (i < n_shared && shared[i] != d)
        i++;
    if (i == n_shared)
        return;
    memmove(&shared[i], &shared[i + 1], (n_shared - i - 1) * sizeof(struct sim_device *));
    n_shared--;
    /* The next in line keeps the clock from now on. */
    if (i == 0 && n_shared > 0)
        host->wake(shared[0]->handle);
    if (n_shared == 0) {
        free(shared);
        shared = NULL;
        shared_reports = 0;
    }
}

static int sim_device_open(struct gatehouse_device *device, const char *id, const char *section,
                           const struct gatehouse_point *points, size_t n_points, void **ret_data, char *error,
                           size_t error_size)
{
    struct sim_device *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return -ENOMEM;
    d->handle = device;
    r = sim_section_parse(section, &d->section, NULL, NULL);
    if (r >= 0)
        r = copy_points(d, points, n_points);
    if (r >= 0 && d->section.shared)
        r = share(d);
    if (r < 0) {
        snprintf(error, error_size, "cannot take the configuration: %s", strerror(-r));
        device_free(d);
        return r;
    }
    d->next = now_monotonic();
    host->device_state(device, GATEHOUSE_STATE_OK, NULL);
    *ret_data = d;
    return 0;
}

static void sim_device_close(void *data)
{
    struct sim_device *d = data;

    if (d->section.shared)
        unshare(d);
    device_free(d);
}

static struct gatehouse_value value_at(struct sim_value *p, uint64_t now)
{
    if (p->written)
        return p->value;
    return sim_signal_at(&p->config, now, p->n, (double)(random_next() >> 11) / (double)(UINT64_C(1) << 53));
}

static void emit(struct sim_device *d, uint64_t now)
{
    for (size_t i = 0; i < d->n_points; i++) {
        struct sim_value *p = &d->points[i];
        struct gatehouse_value v = value_at(p, now);

        if (host->report(d->handle, p->name, 0, &v, p->unit, GATEHOUSE_GOOD) < 0)
            host->log(d->handle, LOG_DEBUG, "a sample was not taken");
        p->n++;
    }
    d->reports++;
}

/* When it reports next. Late by more than an interval: the reports in between are gone, the beat is kept. */
static void advance(struct sim_device *d, uint64_t now)
{
    d->next += d->section.interval;
    if (d->next <= now)
        d->next += (now - d->next) / d->section.interval * d->section.interval + d->section.interval;
}

/* The first of the shared devices reports for one of them; the others only wait to be first. */
static int poll_shared(struct sim_device *d, uint64_t now, uint64_t *ret_next)
{
    if (d != shared[0])
        return 0;
    if (d->section.count > 0 && shared_reports >= d->section.count)
        return 0;
    if (now >= d->next) {
        emit(shared[random_next() % n_shared], now);
        shared_reports++;
        advance(d, now);
    }
    *ret_next = d->next;
    return 0;
}

static int sim_poll(void *data, uint64_t *ret_next)
{
    struct sim_device *d = data;
    uint64_t now = now_monotonic();

    if (d->section.shared)
        return poll_shared(d, now, ret_next);
    if (d->section.count > 0 && d->reports >= d->section.count)
        return 0;
    if (now >= d->next) {
        emit(d, now);
        advance(d, now);
    }
    *ret_next = d->next;
    return 0;
}

static struct sim_value *find_point(struct sim_device *d, const char *name)
{
    for (size_t i = 0; i < d->n_points; i++)
        if (strcmp(d->points[i].name, name) == 0)
            return &d->points[i];
    return NULL;
}

static int fail_as_asked(const struct sim_device *d, const struct sim_value *p, char *error, size_t error_size)
{
    switch (p->config.fault) {
    case SIM_FAULT_NONE:
        return 0;
    case SIM_FAULT_HANG:
        if (d->section.deadline > 0)
            host->deadline(d->section.deadline);
        for (;;)
            pause();
    case SIM_FAULT_CRASH:
        abort();
    case SIM_FAULT_ERROR:
        break;
    }
    snprintf(error, error_size, "the point was told to refuse");
    return -EIO;
}

static int sim_write(void *data, const char *point, const struct gatehouse_value *value,
                     struct gatehouse_value *ret_value, char *error, size_t error_size)
{
    struct sim_device *d = data;
    struct sim_value *p = find_point(d, point);
    int r;

    if (!p)
        return -ENOENT;
    r = fail_as_asked(d, p, error, error_size);
    if (r < 0)
        return r;
    p->value = *value;
    if (value->type == GATEHOUSE_STRING) {
        snprintf(p->text, sizeof(p->text), "%s", value->s);
        p->value.s = p->text;
    }
    p->written = true;
    *ret_value = p->value;
    emit(d, now_monotonic());
    return 0;
}

static int sim_read(void *data, const char *point, struct gatehouse_value *ret_value, char *error, size_t error_size)
{
    struct sim_value *p = find_point(data, point);

    if (!p)
        return -ENOENT;
    *ret_value = value_at(p, now_monotonic());
    return 0;
}

/* Nothing is encrypted here: it shows that the key came, how often, and whether that was remembered. */
static int sim_secret(void *data, const void *key, size_t size, const char *kept)
{
    struct sim_device *d = data;
    uint64_t times = strtoull(kept, NULL, 10) + (size > 0);
    char text[32];

    for (size_t i = 0; i < d->n_points; i++) {
        struct sim_point *p = &d->points[i].config;

        if (p->signal == SIM_KEY_BYTES)
            p->value = (struct gatehouse_value){.type = GATEHOUSE_UINT, .t = size};
        else if (p->signal == SIM_KEY_TIMES)
            p->value = (struct gatehouse_value){.type = GATEHOUSE_UINT, .t = times};
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)times);
    return size > 0 ? host->keep(d->handle, text) : 0;
}

static int sim_scan(const char *options, void (*found)(void *context, const char *object), void *context, char *error,
                    size_t error_size)
{
    found(context, "{\"id\": \"sim-1\", \"sim\": {\"interval\": \"1s\"}, "
                   "\"points\": {\"x\": {\"signal\": \"sine\", \"period\": \"10s\"}}}");
    return 0;
}

static const struct gatehouse_plugin plugin = {
    .size = sizeof(struct gatehouse_plugin),
    .abi = GATEHOUSE_PLUGIN_ABI,
    .name = "sim",
    .version = GATEHOUSE_VERSION,
    .description = "simulated sensors",
    .thread_model = GATEHOUSE_THREADS_SERIAL,
    .load = sim_load,
    .config_check = sim_config_check,
    .device_open = sim_device_open,
    .device_close = sim_device_close,
    .poll = sim_poll,
    .write = sim_write,
    .read = sim_read,
    .scan = sim_scan,
    .secret = sim_secret,
};

__attribute__((visibility("default"))) const struct gatehouse_plugin *gatehouse_plugin_entry(void);
const struct gatehouse_plugin *gatehouse_plugin_entry(void)
{
    return &plugin;
}
