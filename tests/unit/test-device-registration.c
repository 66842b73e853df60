/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device that was provisioned in the field is dark until its cloud knows its key: each is offered until it is taken,
 * one that is refused for good is shown and left alone until somebody acts, and none is offered under another key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "fleet-bench.h"

#include "driver-bench.h"

#include <sys/un.h>

#define TAKEN "{\"result\":\"ok\",\"cloud_id\":\"c-1\"}"
#define CONFLICT "{\"result\":\"conflict\",\"reason\":\"somebody else's key stands there\"}"
#define RETRY "{\"result\":\"retry\",\"reason\":\"the cloud is being repaired\",\"maybe_sent\":true}"

static struct fleet_bench b;
static struct driver_bench driver;

/* gatehouse-registrar, at its socket: reads a request to its end, and answers. */
static struct {
    sd_event_source *listening, *io;
    int listener, fd;
    const char *answer; /* NULL: none, and the connection stays */
    char request[4096], devices[16][32];
    size_t n, requests;
} registrar;

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    const char *device;
    ssize_t n;

    if (registrar.n >= sizeof(registrar.request) - 1)
        fail_msg("a request of over %zu bytes", registrar.n);
    n = read(fd, registrar.request + registrar.n, sizeof(registrar.request) - 1 - registrar.n);
    assert_true(n >= 0);
    registrar.n += (size_t)n;
    if (n > 0)
        return 0;
    registrar.request[registrar.n] = 0;
    registrar.io = sd_event_source_disable_unref(registrar.io);
    device = strstr(registrar.request, "\"device\":\"");
    assert_non_null(device);
    assert_true(registrar.requests < ELEMENTSOF(registrar.devices));
    snprintf(registrar.devices[registrar.requests++], sizeof(registrar.devices[0]), "%.*s",
             (int)strcspn(device + 10, "\""), device + 10);
    if (!registrar.answer)
        return 0;
    assert_int_equal(write(fd, registrar.answer, strlen(registrar.answer)), strlen(registrar.answer));
    close(fd);
    registrar.fd = -1;
    return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    if (registrar.fd >= 0)
        return 0; /* one after the other */
    registrar.fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    registrar.n = 0;
    return sd_event_add_io(b.s->event, &registrar.io, registrar.fd, POLLIN, on_io, NULL);
}

static void listens(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/ours.sock", b.registrar_dir);
    registrar.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(registrar.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(registrar.listener, 16), 0);
    assert_int_equal(sd_event_add_io(b.s->event, &registrar.listening, registrar.listener, POLLIN, on_accept, NULL), 0);
}

/* A key that the cloud was not told of. */
static void waits(const char *id, const char *identity, unsigned number)
{
    struct vault_change *c = vault_change_new(b.s->vault, id, "cloud");
    struct error e = {0};

    assert_int_equal(scratch_put_in(c, b.s, VAULT_MAIN, identity, number, &e), 0);
    assert_int_equal(vault_change_registration(c, VAULT_REGISTRATION_WAITING), 0);
    if (vault_commit_sync(b.s->vault, c, &e) < 0)
        fail_msg("%s", e.text);
    bench_device(&b, id, "{\"x\":{\"signal\":\"sine\",\"period\":\"10s\"}}");
}

static int setup(void **state)
{
    scratch_setup(state);
    bench_prepare(&b, *state);
    memset(&registrar, 0, sizeof(registrar));
    registrar.fd = registrar.listener = -1;
    driver = (struct driver_bench){0};
    bench_gateway(&b, "senml", ",\"registrar\":{\"type\":\"exec\",\"name\":\"ours\",\"program\":\"ours\"}", "");
    waits("boiler-1", "child-1", 1);
    return 0;
}

static int teardown(void **state)
{
    driver_end(&driver);
    bench_end_fleet(&b);
    sd_event_source_disable_unref(registrar.io);
    sd_event_source_disable_unref(registrar.listening);
    if (registrar.fd >= 0)
        close(registrar.fd);
    if (registrar.listener >= 0)
        close(registrar.listener);
    return scratch_teardown(state);
}

static void begin(const char *answer)
{
    registrar.answer = answer;
    listens();
    bench_fleet(&b);
    driver_begin(&driver, &b);
}

static enum vault_registration registration(const char *id)
{
    return vault_registration(vault_find(b.s->vault, id, "cloud"));
}

static const char *last_error(const char *id)
{
    struct device_status status;

    device_status(bench_find(&b, id), &status);
    return status.last_error;
}

static void test_a_key_that_the_registrar_takes_brings_its_device_online(void **state)
{
    begin(TAKEN);
    assert_int_equal(b.peer.handshakes, 0); /* which would be refused, and look like a wrong key */
    run_until(b.s->event, device_state(bench_find(&b, "boiler-1")) == DEVICE_ONLINE);
    assert_int_equal(registration("boiler-1"), VAULT_REGISTERED);
    assert_string_equal(vault_credential(vault_find(b.s->vault, "boiler-1", "cloud"), VAULT_MAIN)->cloud_id, "c-1");
    assert_non_null(strstr(registrar.request, "child-1"));
    assert_int_equal(registrar.requests, 1);
}

static void test_each_device_is_offered_once_and_all_of_them_come_online(void **state)
{
    waits("pump-2", "child-2", 2);
    waits("fan-3", "child-3", 3);
    begin(TAKEN);
    run_until(b.s->event, registration("boiler-1") == VAULT_REGISTERED && registration("pump-2") == VAULT_REGISTERED &&
                              registration("fan-3") == VAULT_REGISTERED);
    assert_int_equal(registrar.requests, 3);
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(registrar.devices[i], registrar.devices[k]);
}

static void test_a_conflict_is_shown_and_left_alone_until_somebody_asks_again(void **state)
{
    begin(CONFLICT);
    run_until(b.s->event, device_state(bench_find(&b, "boiler-1")) == DEVICE_CONFLICT);
    assert_int_equal(registration("boiler-1"), VAULT_REGISTRATION_CONFLICT);
    assert_non_null(strstr(last_error("boiler-1"), "somebody else's key"));
    assert_int_equal(registrar.requests, 1);
    registrar.answer = TAKEN;
    device_connect(bench_find(&b, "boiler-1"));
    run_until(b.s->event, device_state(bench_find(&b, "boiler-1")) == DEVICE_ONLINE);
    assert_int_equal(registrar.requests, 2);
}

static void test_a_conflict_outlives_a_restart_without_another_offer(void **state)
{
    begin(CONFLICT);
    run_until(b.s->event, device_state(bench_find(&b, "boiler-1")) == DEVICE_CONFLICT);
    driver_end(&driver);
    bench_restart(&b);
    driver = (struct driver_bench){0};
    driver_begin(&driver, &b);
    assert_int_equal(device_state(bench_find(&b, "boiler-1")), DEVICE_CONFLICT);
    assert_non_null(strstr(last_error("boiler-1"), "gatehousectl connect"));
    assert_int_equal(registrar.requests, 1);
}

static void test_a_cloud_that_is_away_for_now_is_named_and_asked_again_at_once_if_somebody_wants(void **state)
{
    begin(RETRY);
    run_until(b.s->event, strstr(last_error("boiler-1"), "the cloud is being repaired"));
    assert_int_equal(device_state(bench_find(&b, "boiler-1")), DEVICE_UNREGISTERED);
    assert_int_equal(registration("boiler-1"), VAULT_REGISTRATION_OFFERED); /* it may know the key */
    registrar.answer = TAKEN;
    device_connect(bench_find(&b, "boiler-1"));
    run_until(b.s->event, registration("boiler-1") == VAULT_REGISTERED);
}

static void test_where_no_registrar_listens_its_socket_is_named(void **state)
{
    bench_fleet(&b);
    driver_begin(&driver, &b);
    run_until(b.s->event, strstr(last_error("boiler-1"), "ours.sock"));
    assert_int_equal(device_state(bench_find(&b, "boiler-1")), DEVICE_UNREGISTERED);
    listens();
    registrar.answer = TAKEN;
    device_connect(bench_find(&b, "boiler-1"));
    run_until(b.s->event, registration("boiler-1") == VAULT_REGISTERED);
}

static void test_a_device_that_goes_while_it_is_offered_keeps_no_other_one_waiting(void **state)
{
    begin(NULL);
    run_until(b.s->event, registrar.requests == 1);
    unlink(bench_path(&b, "etc/devices.d/boiler-1.json"));
    waits("pump-2", "child-2", 2);
    assert_int_equal(bench_reload(&b), 0);
    assert_null(fleet_find(b.fleet, "boiler-1"));
    registrar.answer = TAKEN;
    close(registrar.fd);
    registrar.fd = -1;
    run_until(b.s->event, registration("pump-2") == VAULT_REGISTERED);
    assert_int_equal(registration("boiler-1"), VAULT_REGISTRATION_OFFERED); /* as the cloud may have it */
}

static void test_what_was_offered_before_a_restart_is_offered_again_with_the_same_key(void **state)
{
    char request[sizeof(registrar.request)];

    begin(NULL);
    run_until(b.s->event, registrar.requests == 1);
    snprintf(request, sizeof(request), "%s", strstr(registrar.request, "\"key\":"));
    driver_end(&driver);
    bench_restart(&b);
    close(registrar.fd);
    registrar.fd = -1;
    registrar.answer = TAKEN;
    run_until(b.s->event, registration("boiler-1") == VAULT_REGISTERED);
    assert_string_equal(strstr(registrar.request, "\"key\":"), request);
    driver = (struct driver_bench){0};
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_key_that_the_registrar_takes_brings_its_device_online),
        WITH(test_each_device_is_offered_once_and_all_of_them_come_online),
        WITH(test_a_conflict_is_shown_and_left_alone_until_somebody_asks_again),
        WITH(test_a_conflict_outlives_a_restart_without_another_offer),
        WITH(test_a_cloud_that_is_away_for_now_is_named_and_asked_again_at_once_if_somebody_wants),
        WITH(test_where_no_registrar_listens_its_socket_is_named),
        WITH(test_a_device_that_goes_while_it_is_offered_keeps_no_other_one_waiting),
        WITH(test_what_was_offered_before_a_restart_is_offered_again_with_the_same_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
