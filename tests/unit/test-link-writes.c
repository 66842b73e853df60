/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several points in one request, from the agent's end to the driver's and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "link-bench.h"
#include "link/client.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct outcome {
    bool there;
    int r;
    size_t n;
    int64_t first;
};

static char asked[128];

static void on_connection(int r, const char *reason, void *userdata)
{
    *(bool *)userdata = r >= 0;
}

static void on_devices(const struct link_device *devices, size_t n, void *userdata) {}

/* Answers with the values in the other order, but of "b" with one too few. */
static void on_write_points(struct link_call *call, const char *device, const struct sample_write *writes, size_t n,
                            void *userdata)
{
    struct sample_value values[LINK_WRITES_MAX];

    snprintf(asked, sizeof(asked), "%s %zu %s %s", device, n, writes[0].point, writes[n - 1].point);
    for (size_t i = 0; i < n; i++)
        values[i] = writes[n - 1 - i].value;
    link_call_values(call, values, strcmp(device, "b") == 0 ? n - 1 : n);
}

static void on_values(int r, const struct link_failure *failure, const struct sample_value *values, size_t n,
                      void *userdata)
{
    *(struct outcome *)userdata = (struct outcome){true, r, n, values ? values[0].x : 0};
}

static struct outcome ask(struct bench *b, const char *device, const struct sample_write *writes, size_t n)
{
    struct outcome o = {.there = false};

    o.r = link_host_write_points(b->host, "sim", device, writes, n, on_values, &o);
    if (o.r == 0)
        run_until(b, &o.there);
    return o;
}

static void test_write_points(void **state)
{
    static const struct link_client_ops can = {
        .connection = on_connection, .set_devices = on_devices, .write_points = on_write_points};
    struct sample_write writes[LINK_WRITES_MAX + 1];
    struct bench *b = *state;
    struct link_client *client;
    bool connected = false;
    struct outcome o;

    for (size_t i = 0; i <= LINK_WRITES_MAX; i++)
        writes[i] = (struct sample_write){i % 2 ? "odd" : "even", {.type = SAMPLE_INT, .x = (int64_t)i}};
    assert_int_equal(ask(b, "a", writes, 1).r, -ENOTCONN);
    assert_int_equal(link_client_new(b->event, &(struct link_client_options){b->directory, "sim", "2.0"}, &can,
                                     &connected, &client, NULL),
                     0);
    run_until(b, &connected);
    assert_int_equal(ask(b, "a", writes, 0).r, -EINVAL);
    assert_int_equal(ask(b, "a", writes, LINK_WRITES_MAX + 1).r, -EINVAL);
    assert_int_equal(ask(b, "a", &(struct sample_write){"a b", {.type = SAMPLE_INT}}, 1).r, -EINVAL);
    o = ask(b, "a", writes, LINK_WRITES_MAX);
    assert_int_equal(o.r, 0);
    assert_string_equal(asked, "a 20 even odd");
    assert_int_equal(o.n, LINK_WRITES_MAX);
    assert_int_equal(o.first, LINK_WRITES_MAX - 1);
    /* A faulty driver: whoever asked sees that a value is missing. */
    o = ask(b, "b", writes, 2);
    assert_int_equal(o.r, 0);
    assert_int_equal(o.n, 1);
    link_client_free(client);
}

static void test_plugin_that_cannot(void **state)
{
    static const struct link_client_ops cannot = {.connection = on_connection, .set_devices = on_devices};
    const struct sample_write write = {"p", {.type = SAMPLE_INT, .x = 1}};
    struct bench *b = *state;
    struct link_client *client;
    bool connected = false;

    assert_int_equal(link_client_new(b->event, &(struct link_client_options){b->directory, "sim", "2.0"}, &cannot,
                                     &connected, &client, NULL),
                     0);
    run_until(b, &connected);
    assert_int_equal(ask(b, "a", &write, 1).r, -EOPNOTSUPP);
    link_client_free(client);
}

/* It would not know the request, and close the connection. */
static void test_older_driver(void **state)
{
    const struct sample_write write = {"p", {.type = SAMPLE_INT, .x = 1}};
    struct bench *b = *state;
    int peer = connect_peer(b);

    say(peer, "[3 'hello' 1 {3 'name' 'sim' 'abi' 3 'version' '1.0'");
    hear_until(b, peer, "end 0");
    assert_int_equal(ask(b, "a", &write, 1).r, -EOPNOTSUPP);
    close(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_points, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_plugin_that_cannot, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_older_driver, bench_setup, bench_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
