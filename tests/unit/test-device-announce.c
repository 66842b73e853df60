/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A point that is not announced is seen by nobody, and what a broker keeps of a device that is gone haunts a dashboard
 * for years: a fleet, a driver, and a broker that keeps what it is given to keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "mqtt-peer.h"

#include "fleet-bench.h"

#include "driver-bench.h"
#include "set-clock.h"

#define CONFIG_OF(point) "homeassistant/sensor/pump-2/" point "/config"
#define VALUE_OF(point) "gatehouse/pump-2/" point "/state"
#define STATUS "gatehouse/pump-2/status"
#define ANOTHER ",\"w\":{\"signal\":\"sine\",\"period\":\"10s\"}"

static struct fleet_bench b;
static struct mqtt_peer broker;
static struct driver_bench driver;

/* What the broker keeps, and the order in which it was given anything. */
static struct {
    struct {
        char topic[128], payload[512];
    } kept[16];
    size_t n_kept;
    char order[64][128];
    size_t n;
    char refused[128]; /* a topic */
} shelf;

static const char *kept(const char *topic)
{
    for (size_t i = 0; i < shelf.n_kept; i++)
        if (strcmp(shelf.kept[i].topic, topic) == 0 && shelf.kept[i].payload[0])
            return shelf.kept[i].payload;
    return NULL;
}

static uint8_t on_publish(bool retain, const char *topic, const char *payload, size_t n)
{
    size_t i = 0;

    assert_true(shelf.n < ELEMENTSOF(shelf.order));
    snprintf(shelf.order[shelf.n++], sizeof(shelf.order[0]), "%s", topic);
    if (strcmp(shelf.refused, topic) == 0)
        return 0x87; /* not authorized */
    while (i < shelf.n_kept && strcmp(shelf.kept[i].topic, topic) != 0)
        i++;
    if (!retain)
        return 0;
    assert_true(i < ELEMENTSOF(shelf.kept));
    snprintf(shelf.kept[i].topic, sizeof(shelf.kept[i].topic), "%s", topic);
    snprintf(shelf.kept[i].payload, sizeof(shelf.kept[i].payload), "%.*s", (int)n, payload);
    shelf.n_kept += i == shelf.n_kept;
    return 0;
}

/* The place of the first publication to that topic; SIZE_MAX: none. */
static size_t place(const char *topic)
{
    for (size_t i = 0; i < shelf.n; i++)
        if (strcmp(shelf.order[i], topic) == 0)
            return i;
    return SIZE_MAX;
}

static void points(const char *more)
{
    char text[512];

    snprintf(text, sizeof(text), "{\"y\":{\"signal\":\"sine\",\"period\":\"10s\"}%s}", more);
    bench_device(&b, "pump-2", text);
}

static int setup(void **state)
{
    struct error e = {0};
    struct secret *key;

    scratch_setup(state);
    bench_prepare(&b, *state);
    memset(&shelf, 0, sizeof(shelf));
    driver = (struct driver_bench){0};
    key = scratch_key(b.s, 1, 32);
    mqtt_peer_begin(&broker, b.s->event, key->bytes, TLS1_3_VERSION);
    secret_free(key);
    broker.on_publish = on_publish;
    b.broker = broker.port;
    if (scratch_put(b.s, "pump-2", VAULT_MAIN, "child-2", 1, &e) < 0)
        fail_msg("%s", e.text);
    bench_gateway(&b, "homeassistant", ",\"registrar\":{\"type\":\"manual\"}", "");
    points("");
    bench_fleet(&b);
    driver_begin(&driver, &b);
    return 0;
}

static int teardown(void **state)
{
    driver_end(&driver);
    bench_end_fleet(&b);
    mqtt_peer_end(&broker);
    return scratch_teardown(state);
}

static void push(const char *point)
{
    driver_push(&driver, "pump-2", point, 21.5);
}

/* y is announced, and its first value has come. */
static void announced(void)
{
    push("y");
    run_until(b.s->event, kept(VALUE_OF("y")));
    assert_non_null(kept(CONFIG_OF("y")));
}

static void test_a_point_is_announced_before_its_first_value(void **state)
{
    announced();
    assert_true(place(CONFIG_OF("y")) < place(VALUE_OF("y")));
    assert_non_null(strstr(kept(CONFIG_OF("y")), "\"state_topic\":\"" VALUE_OF("y") "\""));
    assert_non_null(strstr(kept(VALUE_OF("y")), "21.5"));
}

static void test_the_broker_hears_whether_the_sensor_is_well(void **state)
{
    announced();
    run_until(b.s->event, kept(STATUS) && strcmp(kept(STATUS), "online") == 0);
    run_until(b.s->event, link_client_device_state(driver.client, "pump-2", "failed", "no answer") == 0);
    run_until(b.s->event, strcmp(kept(STATUS), "offline") == 0);
    run_until(b.s->event, link_client_device_state(driver.client, "pump-2", "ok", "") == 0);
    run_until(b.s->event, strcmp(kept(STATUS), "online") == 0);
}

static void test_a_point_that_is_added_is_announced_over_the_same_session(void **state)
{
    unsigned connects;

    announced();
    connects = broker.connects;
    points(ANOTHER);
    assert_int_equal(bench_reload(&b), 0);
    push("w");
    run_until(b.s->event, kept(VALUE_OF("w")));
    assert_non_null(kept(CONFIG_OF("w")));
    assert_int_equal(broker.connects, connects);
}

static void test_what_the_broker_keeps_of_a_point_that_is_gone_is_taken_back(void **state)
{
    points(ANOTHER);
    assert_int_equal(bench_reload(&b), 0);
    announced();
    push("w");
    run_until(b.s->event, kept(VALUE_OF("w")));
    points("");
    assert_int_equal(bench_reload(&b), 0);
    run_until(b.s->event, !kept(CONFIG_OF("w")) && !kept(VALUE_OF("w")));
    assert_non_null(kept(CONFIG_OF("y")));
}

static void test_a_device_that_is_gone_when_the_agent_starts_is_taken_back_with_its_own_key(void **state)
{
    announced();
    driver_end(&driver);
    bench_stop_fleet(&b);
    b.fleet = fleet_free(b.fleet);
    unlink(bench_path(&b, "etc/devices.d/pump-2.json"));
    scratch_reopen(b.s);
    bench_fleet(&b);
    run_until(b.s->event, !kept(CONFIG_OF("y")) && !kept(VALUE_OF("y")) && !kept(STATUS));
}

static void test_a_removed_device_takes_its_own_messages_back_before_it_goes(void **state)
{
    struct bench_done removed = {0};
    struct error e = {0};

    bench_file(&b, "state/devices.d/pump-2.json",
               "{\"device\":\"pump-2\",\"uplink\":\"cloud\"," BENCH_SIM
               "\"points\":{\"y\":{\"signal\":\"sine\",\"period\":\"10s\"}}}");
    unlink(bench_path(&b, "etc/devices.d/pump-2.json"));
    assert_int_equal(bench_reload(&b), 0);
    announced();
    if (fleet_remove_device(b.fleet, "pump-2", false, true, bench_done, &removed, &e) < 0)
        fail_msg("%s", e.text);
    run_until(b.s->event, removed.called);
    if (removed.r < 0)
        fail_msg("%s", removed.text);
    assert_null(kept(CONFIG_OF("y")));
    assert_null(kept(VALUE_OF("y")));
    assert_null(kept(STATUS));
}

static void test_an_announcement_that_the_broker_refuses_keeps_no_value_back(void **state)
{
    snprintf(shelf.refused, sizeof(shelf.refused), "%s", CONFIG_OF("y"));
    push("y");
    run_until(b.s->event, place(CONFIG_OF("y")) != SIZE_MAX);
    run_until(b.s->event, kept(VALUE_OF("y")));
    assert_null(kept(CONFIG_OF("y")));
    assert_int_equal(device_state(bench_find(&b, "pump-2")), DEVICE_ONLINE);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_point_is_announced_before_its_first_value),
        WITH(test_the_broker_hears_whether_the_sensor_is_well),
        WITH(test_a_point_that_is_added_is_announced_over_the_same_session),
        WITH(test_what_the_broker_keeps_of_a_point_that_is_gone_is_taken_back),
        WITH(test_a_device_that_is_gone_when_the_agent_starts_is_taken_back_with_its_own_key),
        WITH(test_a_removed_device_takes_its_own_messages_back_before_it_goes),
        WITH(test_an_announcement_that_the_broker_refuses_keeps_no_value_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
