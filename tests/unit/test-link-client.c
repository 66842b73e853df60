/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver's end against the agent's, in one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/json.h"
#include "link-bench.h"
#include "link/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define POINTS_SIZE 200000

struct driver_end {
    struct bench *bench;
    struct link_client *client;
    bool connected;
    size_t sets, n_devices, n_points;
    struct link_call *call; /* the last one, to be answered */
    char asked[128];
    char secret[8], kept[8];
    bool quit;
};

static void on_connection(int r, const char *reason, void *userdata)
{
    ((struct driver_end *)userdata)->connected = r >= 0;
}

static void on_devices(const struct link_device *devices, size_t n, void *userdata)
{
    struct driver_end *d = userdata;

    d->sets++;
    d->n_devices = n;
    d->n_points = n > 0 ? strlen(devices[0].points) : 0;
}

static void on_write(struct link_call *call, const char *device, const char *point, const struct sample_value *value,
                     void *userdata)
{
    struct driver_end *d = userdata;

    snprintf(d->asked, sizeof(d->asked), "write %s %s %lld", device, point, (long long)value->x);
    d->call = call;
}

static void on_read(struct link_call *call, const char *device, const char *point, void *userdata)
{
    link_call_fail(call, -ENOENT, point);
}

static void on_check(struct link_call *call, const char *device, const char *text, void *userdata)
{
    static char message[400];
    const char *pairs[300][2] = {{"/section/x", "is bad"}, {"/points/y", "as well"}};
    json_object *o = NULL;

    memset(message, 'm', sizeof(message) - 1);
    for (size_t i = 2; i < 300; i++)
        memcpy(pairs[i], ((const char *[]){"/points/z", message}), sizeof(pairs[i]));
    assert_int_equal(json_parse(text, strlen(text), &o, NULL), 0);
    json_object_put(o);
    snprintf(((struct driver_end *)userdata)->asked, 128, "check %s %zu", device, strlen(text));
    link_call_complaints(call, pairs, strcmp(device, "many") == 0 ? 300 : 2);
}

static void on_statistics(struct link_call *call, const char *device, void *userdata)
{
    json_object *counts = json_object_new_object();

    json_object_object_add(counts, "requests", json_object_new_uint64(UINT64_MAX));
    link_call_counts(call, counts);
    json_object_put(counts);
}

/* More than an answer has room for. */
static void on_scan(struct link_call *call, json_object *options, void *userdata)
{
    json_object *found = json_object_new_array();
    char text[1000];

    snprintf(((struct driver_end *)userdata)->asked, 128, "scan %s",
             json_object_to_json_string_ext(options, JSON_C_TO_STRING_PLAIN));
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    text[0] = '\033'; /* for whose terminal? */
    for (int i = 0; i < 100; i++) {
        json_object *o = json_object_new_object();

        json_object_object_add(o, "id", json_object_new_string(text));
        json_object_object_add(o, "n", json_object_new_int(i));
        json_object_array_add(found, o);
    }
    if (json_object_object_get_ex(options, "own", NULL)) {
        json_object *o = json_object_new_object();

        json_object_object_add(o, "resume", json_object_new_string("the plugin's own"));
        json_object_object_add(o, "total", json_object_new_int(7));
        json_object_array_add(found, o);
    }
    link_call_found(call, found);
    json_object_put(found);
}

static void on_raw(struct link_call *call, json_object *options, void *userdata)
{
    const struct sample_value values[] = {{SAMPLE_INT, .x = -1}, {SAMPLE_DOUBLE, .d = 1.5}, {SAMPLE_STRING, .s = "é"}};

    if (!json_object_object_get_ex(options, "many", NULL)) {
        link_call_values(call, values, 3);
        return;
    }
    struct sample_value *many = calloc(LINK_ANSWERS_MAX + 1, sizeof(*many));
    for (size_t i = 0; i <= LINK_ANSWERS_MAX; i++)
        many[i] = values[0];
    link_call_values(call, many, LINK_ANSWERS_MAX + 1);
    free(many);
}

static int on_secret(const char *device, int fd, const char *kept, void *userdata)
{
    struct driver_end *d = userdata;
    ssize_t n = read(fd, d->secret, sizeof(d->secret) - 1);

    snprintf(d->kept, sizeof(d->kept), "%s", kept);

    close(fd);
    return n > 0 ? 0 : -EIO;
}

static void on_quit(void *userdata)
{
    ((struct driver_end *)userdata)->quit = true;
}

static const struct link_client_ops ops = {.connection = on_connection,
                                           .set_devices = on_devices,
                                           .write = on_write,
                                           .read = on_read,
                                           .check_config = on_check,
                                           .scan = on_scan,
                                           .statistics = on_statistics,
                                           .read_raw = on_raw,
                                           .secret = on_secret,
                                           .quit = on_quit};

static int setup(void **state)
{
    struct driver_end *d = calloc(1, sizeof(*d));
    void *bench;

    bench_setup(&bench);
    d->bench = bench;
    assert_int_equal(link_client_new(d->bench->event, &(struct link_client_options){d->bench->directory, "sim", "2.0"},
                                     &ops, d, &d->client, NULL),
                     0);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct driver_end *d = *state;
    void *bench = d->bench;

    link_client_free(d->client);
    free(d);
    return bench_teardown(&bench);
}

static void push(struct driver_end *d, const char *device, int64_t value)
{
    const struct sample s = {"p", 1, {.type = SAMPLE_INT, .x = value}, "", 0};

    link_client_push(d->client, queued_new(device, &s));
}

/* Until nothing is left that is not answered. */
static void run_dry(struct driver_end *d)
{
    uint64_t end = clock_boottime() + 60 * USEC_PER_SEC;

    while (link_client_pending(d->client) > 0) {
        assert_true(clock_boottime() < end);
        assert_true(sd_event_run(d->bench->event, 100 * USEC_PER_MSEC) >= 0);
    }
}

static void test_samples(void **state)
{
    struct driver_end *d = *state;
    struct bench *f = d->bench;

    assert_int_equal(link_client_device_state(d->client, "a", "ok", ""), -ENOTCONN);
    /* before there is a connection: one report holds them all, a part a device */
    for (int i = 0; i < 100; i++)
        push(d, i % 2 ? "a" : "b", i);
    run_dry(d);
    assert_int_equal(f->samples, 100);
    assert_int_equal(f->reports, 2);
    assert_true(d->connected);
    assert_int_equal(d->sets, 1);
    assert_int_equal(d->n_devices, 2);
    /* a device that is not ours is dropped and counted, and holds nothing up */
    push(d, "z", 1);
    push(d, "a", 7);
    run_dry(d);
    assert_int_equal(link_client_refused(d->client), 1);
    assert_int_equal(f->last, 7);
    /* an agent that cannot take them gets them again */
    f->answer = -ENOSPC;
    push(d, "a", 8);
    run_until_count(f, &f->reports, 4);
    f->answer = 0;
    run_dry(d);
    assert_int_equal(f->last, 8);
    assert_int_equal(f->reports, 5);
    assert_int_equal(link_client_dropped(d->client), 0);
}

/* What the agent cannot keep of one device waits for it in its order, whatever number of reports it was in; the samples
 * of another do not wait for that. */
static void test_one_device_waits(void **state)
{
    enum { ROUNDS = 40 };
    struct driver_end *d = *state;
    struct bench *f = d->bench;

    run_until_count(f, &d->sets, 1);
    f->refused = "a";
    for (int i = 0; i < 3500; i++) /* several reports */
        push(d, "a", i);
    run_until_count(f, &f->n_refused, 2);
    for (size_t i = 0; i < ROUNDS; i++) {
        push(d, "b", (int64_t)i);
        run_until_count(f, &f->samples, i + 1);
    }
    /* in the reports of those the other one would have been tried each time */
    assert_in_range(f->n_refused, 2, ROUNDS / 2);
    f->refused = NULL;
    f->samples = f->disorder = 0;
    f->last = -1;
    run_dry(d);
    assert_int_equal(f->samples, 3500);
    assert_int_equal(f->disorder, 0);
    assert_int_equal(f->last, 3499);
    assert_int_equal(link_client_dropped(d->client), 0);
}

/* As many as the queue holds, with the longest texts: within packets, credits and the rate. */
static void test_many_large_samples(void **state)
{
    struct driver_end *d = *state;
    char text[SAMPLE_TEXT_MAX], point[DEVICE_ID_MAX + 1], unit[UNIT_MAX];
    const struct sample s = {point, UINT64_C(1) << 60, {.type = SAMPLE_STRING, .s = text}, unit, 0};

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    memset(point, 'p', DEVICE_ID_MAX);
    point[DEVICE_ID_MAX] = 0;
    memset(unit, 'u', UNIT_MAX - 1);
    unit[UNIT_MAX - 1] = 0;
    for (int i = 0; i < 3000; i++)
        link_client_push(d->client, queued_new(i % 3 ? "a" : "b", &s));
    run_dry(d);
    assert_int_equal(d->bench->samples, 3000);
    assert_int_equal(link_client_dropped(d->client), 0);
    assert_int_equal(link_driver_counts(d->bench->driver)->connections, 1);
}

/* A broken connection: all that had no answer comes again, in its order. */
static void test_reconnects(void **state)
{
    struct driver_end *d = *state;
    struct bench *f = d->bench;
    int other;

    run_until(f, &d->connected);
    f->hold = true;
    for (int i = 0; i < 4; i++) {
        push(d, "a", i);
        run_until_count(f, &f->n_held, (size_t)i + 1);
    }
    f->hold = false;
    f->samples = 0;
    /* another takes the connection over, and leaves */
    other = connect_peer(f);
    say(other, "[3 'hello' 1 {3 'name' 'sim' 'abi' 2 'version' '1.0'");
    hear_until(f, other, "end 0");
    close(other);
    run_dry(d);
    assert_int_equal(f->samples, 4);
    assert_int_equal(f->last, 3);
}

struct outcome {
    bool there;
    int r;
    size_t n;
    int64_t x;
    char text[64];
};

static void keep(struct outcome *o, int r, const struct link_failure *failure, size_t n, int64_t x)
{
    *o = (struct outcome){.there = true, .r = r, .n = n, .x = x};
    snprintf(o->text, sizeof(o->text), "%s", failure ? failure->text : "");
}

static void on_value(int r, const struct link_failure *failure, const struct sample_value *value, void *userdata)
{
    keep(userdata, r, failure, 0, value ? value->x : 0);
}

static void on_values(int r, const struct link_failure *failure, const struct sample_value *values, size_t n,
                      void *userdata)
{
    keep(userdata, r, failure, n, values ? values[0].x : 0);
}

static void on_complaints(int r, const struct link_failure *failure, const struct packet_complaint *complaints,
                          size_t n, void *userdata)
{
    keep(userdata, r, failure, n, 0);
    assert_string_equal(complaints[1].pointer, "/points/y");
    snprintf(((struct outcome *)userdata)->text, 64, "%s", complaints[n - 1].message);
}

static void on_found(int r, const struct link_failure *failure, json_object *found, void *userdata)
{
    json_object *id;

    if (r >= 0 && json_object_object_get_ex(json_object_array_get_idx(found, 0), "id", &id))
        assert_null(strchr(json_object_get_string(id), '\033'));
    keep(userdata, r, failure, found ? json_object_array_length(found) : 0, 0);
}

static void on_done(int r, const struct link_failure *failure, void *userdata)
{
    keep(userdata, r, failure, 0, 0);
}

static struct outcome wait_for(struct driver_end *d, struct outcome *o)
{
    struct outcome found;

    run_until(d->bench, &o->there);
    found = *o;
    *o = (struct outcome){.there = false};
    return found;
}

static void test_calls(void **state)
{
    const struct sample_value value = {.type = SAMPLE_INT, .x = 42};
    const struct link_device device = {"a", "{\"x\":1}", "{}"};
    json_object *options = json_object_new_object();
    struct outcome o = {.there = false};
    struct driver_end *d = *state;
    struct link_host *h = d->bench->host;
    bool asked = false;
    int pipes[2];

    run_until(d->bench, &d->connected);
    assert_int_equal(link_host_write(h, "sim", "a", "p", &value, on_value, &o), 0);
    for (; !asked; asked = d->call != NULL)
        assert_true(sd_event_run(d->bench->event, 100 * USEC_PER_MSEC) >= 0);
    assert_string_equal(d->asked, "write a p 42");
    link_call_value(d->call, &value);
    assert_int_equal(wait_for(d, &o).x, 42);
    assert_int_equal(link_host_read(h, "sim", "a", "none", on_value, &o), 0);
    assert_int_equal(wait_for(d, &o).r, -ENOENT);
    assert_int_equal(link_host_check_config(h, "sim", &device, on_complaints, &o), 0);
    assert_int_equal(wait_for(d, &o).n, 2);
    json_object_object_add(options, "first", json_object_new_int(1));
    assert_int_equal(link_host_scan(h, "sim", options, on_found, &o), 0);
    assert_in_range(wait_for(d, &o).n, 50, 99); /* what fits */
    assert_string_equal(d->asked, "scan {\"first\":1}");
    assert_int_equal(link_host_read_raw(h, "sim", options, on_values, &o), 0);
    o = wait_for(d, &o);
    assert_int_equal(o.n, 3);
    assert_int_equal(o.x, -1);
    json_object_object_add(options, "many", json_object_new_int(1)); /* they have no parts */
    o.there = false;
    assert_int_equal(link_host_read_raw(h, "sim", options, on_values, &o), 0);
    o = wait_for(d, &o);
    assert_int_equal(o.r, -E2BIG);
    assert_non_null(strstr(o.text, "ask for less"));
    o.there = false;
    assert_int_equal(link_host_statistics(h, "sim", "a", on_found, &o), 0);
    assert_int_equal(wait_for(d, &o).n, 1);
    assert_int_equal(link_host_statistics(h, "sim", "none", on_found, &o), -ENODEV);
    o.there = false;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(write(pipes[1], "key", 3), 3);
    assert_int_equal(link_host_secret(h, "sim", "a", pipes[0], "17", on_done, &o), 0);
    assert_int_equal(wait_for(d, &o).r, 0);
    assert_string_equal(d->secret, "key");
    assert_string_equal(d->kept, "17");
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(link_host_quit(h, "sim"), 0);
    run_until(d->bench, &d->quit);
    json_object_put(options);
}

struct scanned {
    bool there;
    size_t parts, marks;
    int n;
    char resume[64];
};

static void on_part(int r, const struct link_failure *failure, json_object *found, void *userdata)
{
    struct scanned *s = userdata;

    assert_int_equal(r, 0);
    s->resume[0] = 0;
    for (size_t i = 0; i < json_object_array_length(found); i++) {
        json_object *o = json_object_array_get_idx(found, i);

        if (json_object_object_get_ex(o, "n", NULL)) {
            assert_int_equal(json_object_get_int(json_object_object_get(o, "n")), s->n++);
            continue;
        }
        assert_string_equal(s->resume, "");
        assert_int_equal(json_object_get_int(json_object_object_get(o, "total")), 7); /* of the plugin's in each part */
        snprintf(s->resume, sizeof(s->resume), "%s", json_object_get_string(json_object_object_get(o, "resume")));
        s->marks++;
    }
    s->parts++;
    s->there = true;
}

static void scan_part(struct driver_end *d, json_object *options, struct scanned *s)
{
    s->there = false;
    assert_int_equal(link_host_scan(d->bench->host, "sim", options, on_part, s), 0);
    run_until(d->bench, &s->there);
}

/* What is larger than a packet comes in parts, whole and in order; where the plugin itself goes on comes behind it. */
static void test_scan_in_parts(void **state)
{
    json_object *options = json_object_new_object();
    struct scanned s = {.there = false};
    struct driver_end *d = *state;

    run_until(d->bench, &d->connected);
    json_object_object_add(options, "own", json_object_new_boolean(true));
    scan_part(d, options, &s);
    while (strcmp(s.resume, "the plugin's own") != 0 && s.parts < 10) {
        assert_string_not_equal(s.resume, "");
        json_object_object_add(options, "resume", json_object_new_string(s.resume));
        scan_part(d, options, &s);
    }
    assert_int_equal(s.n, 100);
    assert_int_equal(s.parts, 2);
    assert_int_equal(s.marks, 2);
    json_object_put(options);
}

/* A mark of a scan that was given up for others: said, and no plugin is asked to make sense of it. */
static void test_rest_is_gone(void **state)
{
    json_object *options = json_object_new_object();
    struct scanned s = {.there = false};
    char first[sizeof(s.resume)];
    struct outcome o = {.there = false};
    struct driver_end *d = *state;

    run_until(d->bench, &d->connected);
    json_object_object_add(options, "own", json_object_new_boolean(true));
    scan_part(d, options, &s);
    memcpy(first, s.resume, sizeof(first));
    for (s.n = 0; s.parts <= LINK_RESTS_MAX; s.n = 0)
        scan_part(d, options, &s);
    json_object_object_add(options, "resume", json_object_new_string(first));
    assert_int_equal(link_host_scan(d->bench->host, "sim", options, on_found, &o), 0);
    o = wait_for(d, &o);
    assert_int_equal(o.r, -ESTALE);
    assert_non_null(strstr(o.text, "is gone"));
    json_object_put(options);
}

/* What does not fit the answer is counted in its last complaint. */
static void test_many_complaints(void **state)
{
    const struct link_device many = {"many", "{}", "{}"};
    struct outcome o = {.there = false};
    struct driver_end *d = *state;
    char wanted[64];

    run_until(d->bench, &d->connected);
    assert_int_equal(link_host_check_config(d->bench->host, "sim", &many, on_complaints, &o), 0);
    o = wait_for(d, &o);
    assert_in_range(o.n, 100, 200);
    snprintf(wanted, sizeof(wanted), "and %zu more mistakes", 300 - (o.n - 1));
    assert_string_equal(o.text, wanted);
}

/* Texts of many packets, in the set and in a check. */
static void test_large_device(void **state)
{
    char *points = malloc(POINTS_SIZE);
    struct link_device devices[] = {{"a", "{}", points}, {"b", "{}", points}};
    struct outcome o = {.there = false};
    struct driver_end *d = *state;
    char wanted[64];

    memset(points, 'x', POINTS_SIZE - 1);
    memcpy(points, "{\"", 2);
    memcpy(points + POINTS_SIZE - 6, "\":1}", 5);
    run_until_count(d->bench, &d->sets, 1);
    assert_int_equal(link_host_set_devices(d->bench->host, "sim", devices, 2), 0);
    run_until_count(d->bench, &d->sets, 2);
    assert_int_equal(d->n_points, strlen(points));
    assert_int_equal(link_host_check_config(d->bench->host, "sim", devices, on_complaints, &o), 0);
    assert_int_equal(wait_for(d, &o).n, 2);
    snprintf(wanted, sizeof(wanted), "check a %zu", strlen("{\"section\":{},\"points\":}") + strlen(points));
    assert_string_equal(d->asked, wanted);
    free(points);
}

/* States that cannot be sent at once are kept, one a device, the last. */
static void test_states(void **state)
{
    struct driver_end *d = *state;
    char reason[32];

    run_until_count(d->bench, &d->sets, 1);
    /* nobody reads meanwhile: the socket fills */
    for (int i = 0; i < 5000; i++) {
        snprintf(reason, sizeof(reason), "%d", i);
        assert_int_equal(link_client_device_state(d->client, "a", i % 2 ? "ok" : "failed", reason), 0);
    }
    assert_int_equal(link_client_device_state(d->client, "b", "degraded", "b"), 0);
    run_until_count(d->bench, &d->bench->states, LINK_STATES + 2);
    assert_string_equal(d->bench->state, "a ok 4999");
}

/* An answer that comes when its connection is gone goes nowhere. */
static void test_answer_too_late(void **state)
{
    const struct sample_value value = {.type = SAMPLE_INT, .x = 42};
    struct outcome o = {.there = false};
    struct driver_end *d = *state;
    bool asked = false;

    run_until(d->bench, &d->connected);
    assert_int_equal(link_host_write(d->bench->host, "sim", "a", "p", &value, on_value, &o), 0);
    for (; !asked; asked = d->call != NULL)
        assert_true(sd_event_run(d->bench->event, 100 * USEC_PER_MSEC) >= 0);
    d->client = link_client_free(d->client);
    assert_int_equal(wait_for(d, &o).r, -ENOTCONN);
    link_call_value(d->call, &value);
}

/* A driver that ends sends what it has, also what came just now. */
static void test_last_samples(void **state)
{
    struct driver_end *d = *state;

    run_until_count(d->bench, &d->sets, 1);
    push(d, "a", 1);
    run_dry(d);
    for (int i = 2; i < 10; i++)
        push(d, "a", i);
    d->client = link_client_free(d->client);
    run_until_away(d->bench, "sim");
    assert_int_equal(d->bench->samples, 9);
    assert_int_equal(d->bench->last, 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_samples),         TEST(test_many_large_samples), TEST(test_reconnects),    TEST(test_calls),
        TEST(test_many_complaints), TEST(test_large_device),       TEST(test_states),        TEST(test_answer_too_late),
        TEST(test_last_samples),    TEST(test_one_device_waits),   TEST(test_scan_in_parts), TEST(test_rest_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
