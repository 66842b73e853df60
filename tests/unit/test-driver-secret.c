/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a plugin wants kept, around the handing over of another key. No agent is there, so it waits in the device. */
#include "gatehouse-driver/driver.h"
#include "gatehouse-driver/host-api.h"

#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* The plugin, which stops in each call of `secret` until it is let go, and then keeps a count of them. */
static const struct gatehouse_host *host;
static sem_t inside, go;
static unsigned calls;

static int plugin_open_device(struct gatehouse_device *device, const char *id, const char *section,
                              const struct gatehouse_point *points, size_t n_points, void **ret_data, char *error,
                              size_t error_size)
{
    *ret_data = device;
    return 0;
}

static void plugin_close_device(void *data) {}

static int plugin_secret(void *data, const void *key, size_t size, const char *kept)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", ++calls);
    sem_post(&inside);
    while (sem_wait(&go) < 0)
        ;
    return host->keep(data, text);
}

static void change(struct driver *d, const char *section)
{
    const struct link_device device = {.id = "a", .section = section, .points = "{}"};

    driver_on_set_devices(&device, 1, d);
}

static int setup(void **state)
{
    struct driver *d = calloc(1, sizeof(*d));
    struct error e;

    assert_non_null(d);
    d->name = "test";
    d->plugin.p = (struct gatehouse_plugin){
        .device_open = plugin_open_device, .device_close = plugin_close_device, .secret = plugin_secret};
    assert_true(sd_event_new(&d->event) >= 0);
    assert_true(inbox_init(&d->inbox, d->event, driver_on_sample, driver_on_note, d) >= 0);
    host = host_api(&d->inbox);
    calls = 0;
    assert_int_equal(sem_init(&inside, 0, 0), 0);
    assert_int_equal(sem_init(&go, 0, 0), 0);
    assert_int_equal(driver_start(d, "/nonexistent", &e), 0);
    change(d, "{}");
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct driver *d = *state;

    for (int i = 0; i < 2; i++)
        sem_post(&go); /* a test that failed left it inside */
    driver_stop(d);
    while (!driver_closed(d))
        assert_true(sd_event_run(d->event, UINT64_MAX) >= 0);
    driver_done(d);
    inbox_done(&d->inbox);
    sd_event_unref(d->event);
    sem_destroy(&inside);
    sem_destroy(&go);
    free(d);
    return 0;
}

static void secret(struct driver *d)
{
    int fd = memfd_create("key", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(driver_client_ops.secret("a", fd, "", d), 0);
}

static void wait_inside(void)
{
    while (sem_wait(&inside) < 0)
        ;
}

/* Until something is kept. */
static const char *kept(struct driver *d)
{
    while (!driver_find(d, "a")->main.kept)
        assert_true(sd_event_run(d->event, UINT64_MAX) >= 0);
    return driver_find(d, "a")->main.kept;
}

/* Nothing is, of all that the plugin has said. */
static void kept_nothing(struct driver *d)
{
    while (sd_event_run(d->event, 0) > 0)
        ;
    assert_null(driver_find(d, "a")->main.kept);
}

static void test_said_before_the_lane_has_it(void **state)
{
    struct driver *d = *state;

    secret(d);
    wait_inside();
    secret(d); /* answered, and the plugin still has the first */
    sem_post(&go);
    wait_inside();
    kept_nothing(d);
    sem_post(&go);
    assert_string_equal(kept(d), "2");
}

static void test_waits_for_the_agent(void **state)
{
    struct driver *d = *state;

    secret(d);
    wait_inside();
    sem_post(&go);
    assert_string_equal(kept(d), "1");
    secret(d);
    assert_null(driver_find(d, "a")->main.kept);
    wait_inside();
    sem_post(&go);
    assert_string_equal(kept(d), "2");
}

/* The key comes while the device is closed to be opened anew. */
static void test_opened_anew(void **state)
{
    struct driver *d = *state;

    secret(d);
    wait_inside();
    change(d, "{\"other\": 1}");
    secret(d);
    sem_post(&go);
    while (driver_find(d, "a")->main.closing) {
        assert_true(sd_event_run(d->event, UINT64_MAX) >= 0);
        assert_null(driver_find(d, "a")->main.kept);
    }
    wait_inside();
    sem_post(&go);
    assert_string_equal(kept(d), "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_said_before_the_lane_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waits_for_the_agent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_opened_anew, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
