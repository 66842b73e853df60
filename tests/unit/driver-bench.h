/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The driver `sim` in the process of the test: takes what is written as the test says, and reports samples. Included
 * after fleet-bench.h. */

#include "link/client.h"

struct driver_bench {
    struct link_client *client;
    unsigned connected, sets, writes, reads, secrets;
    size_t n_devices;
    char device[64], point[64];
    double value; /* of the last write */
    int fails;    /* writes, with this */
    bool keeps;   /* writes are not answered, but kept */
    struct link_call *kept[32];
    size_t n_kept;
    uint8_t secret[64]; /* the last bind key */
    ssize_t secret_size;
    char remembered[128];
    int no_secret;  /* bind keys are answered with this */
    char gone[256]; /* why the connection ended */
};

static void driver_connection(int r, const char *reason, void *userdata)
{
    struct driver_bench *d = userdata;

    if (r == 0)
        d->connected++;
    else
        snprintf(d->gone, sizeof(d->gone), "%s", reason);
}

static void driver_set_devices(const struct link_device *devices, size_t n, void *userdata)
{
    struct driver_bench *d = userdata;

    d->n_devices = n;
    d->sets++;
}

static void driver_answer(struct driver_bench *d, struct link_call *call, const struct sample_value *value)
{
    if (d->keeps && d->n_kept < ELEMENTSOF(d->kept))
        d->kept[d->n_kept++] = call;
    else if (d->fails < 0)
        link_call_fail(call, d->fails, "the sensor said no");
    else
        link_call_value(call, value);
}

static void driver_write(struct link_call *call, const char *device, const char *point,
                         const struct sample_value *value, void *userdata)
{
    struct driver_bench *d = userdata;

    d->writes++;
    snprintf(d->device, sizeof(d->device), "%s", device);
    snprintf(d->point, sizeof(d->point), "%s", point);
    d->value = value->type == SAMPLE_DOUBLE ? value->d : value->type == SAMPLE_INT ? (double)value->x : 0;
    driver_answer(d, call, value);
}

static void driver_read(struct link_call *call, const char *device, const char *point, void *userdata)
{
    struct driver_bench *d = userdata;

    d->reads++;
    driver_answer(d, call, &(struct sample_value){.type = SAMPLE_DOUBLE, .d = 21.5});
}

static void driver_check(struct link_call *call, const char *device, const char *text, void *userdata)
{
    link_call_complaints(call, NULL, 0);
}

static int driver_secret(const char *device, int fd, const char *kept, void *userdata)
{
    struct driver_bench *d = userdata;

    d->secrets++;
    d->secret_size = read(fd, d->secret, sizeof(d->secret));
    close(fd);
    snprintf(d->remembered, sizeof(d->remembered), "%s", kept);
    return d->no_secret;
}

static void driver_quit(void *userdata) {}

static const struct link_client_ops driver_ops = {.connection = driver_connection,
                                                  .set_devices = driver_set_devices,
                                                  .write = driver_write,
                                                  .read = driver_read,
                                                  .check_config = driver_check,
                                                  .secret = driver_secret,
                                                  .quit = driver_quit};

/* Connects, and waits for its devices. */
static inline void driver_begin(struct driver_bench *d, struct fleet_bench *f)
{
    char run[160];
    const struct link_client_options options = {run, "sim", "1"};
    struct error e = {0};

    snprintf(run, sizeof(run), "%s", bench_path(f, "run"));
    if (link_client_new(f->s->event, &options, &driver_ops, d, &d->client, &e) < 0)
        fail_msg("%s", e.text);
    run_until(f->s->event, d->sets > 0);
}

/* Answers what was kept. */
static inline void driver_answer_kept(struct driver_bench *d)
{
    d->keeps = false;
    while (d->n_kept > 0)
        driver_answer(d, d->kept[--d->n_kept], &(struct sample_value){.type = SAMPLE_DOUBLE, .d = 1});
}

static inline void driver_end(struct driver_bench *d)
{
    driver_answer_kept(d);
    d->client = link_client_free(d->client);
}

static inline void driver_push(struct driver_bench *d, const char *device, const char *point, double value)
{
    static uint64_t time = 1700000000000000;
    const struct sample s = {
        .point = point, .time = time += 1000000, .unit = "Cel", .value = {SAMPLE_DOUBLE, .d = value}};
    struct queued *q = queued_new(device, &s);

    assert_non_null(q);
    link_client_push(d->client, q);
}
