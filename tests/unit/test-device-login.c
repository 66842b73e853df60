/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A login that outlives its device is sent by the next one of that id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "device/login.h"
#include "vault-scratch.h"
#include "vault/login.h"

#include "coap-peer.h"

#include "fleet-bench.h"

static struct fleet_bench b;

/* Among the agent's own files: those of the administrator are not removed by command. */
static void removable(const char *id)
{
    char name[64], text[256];

    snprintf(name, sizeof(name), "state/devices.d/%s.json", id);
    snprintf(text, sizeof(text),
             "{\"device\":\"%s\",\"uplink\":\"cloud\"," BENCH_SIM
             "\"points\":{\"x\":{\"signal\":\"sine\",\"period\":\"10s\"}}}",
             id);
    bench_file(&b, name, text);
}

static int setup(void **state)
{
    struct error e = {0};

    scratch_setup(state);
    bench_prepare(&b, *state);
    if (scratch_put(*state, "boiler-1", VAULT_MAIN, "child-1", 1, &e) < 0)
        fail_msg("%s", e.text);
    bench_gateway(&b, "senml", ",\"registrar\":{\"type\":\"coap\"}", "");
    removable("boiler-1");
    removable("pump-2");
    bench_fleet(&b);
    return 0;
}

static int teardown(void **state)
{
    bench_end_fleet(&b);
    return scratch_teardown(state);
}

static void put(const char *id, const char *uplink)
{
    static const char text[] = "anna\nsesame";
    _cleanup_(secret_freep) struct secret *login = NULL;
    struct vault_change *c;
    struct error e = {0};
    int r;

    assert_int_equal(secret_new(b.s->arena, &login), 0);
    login->size = (size_t)login_decode(text, strlen(text), login->bytes, &e);
    c = vault_login_put(b.s->vault, id, uplink, login, &r, &e);
    assert_int_equal(vault_commit_sync(b.s->vault, c, &e), 0);
}

static bool has(const char *id)
{
    (void)vault_flush(b.s->vault);
    return vault_find(b.s->vault, id, VAULT_OF_LOGIN);
}

static void remove_device(const char *id, bool keep)
{
    struct bench_done done = {0};
    struct error e = {0};

    if (fleet_remove_device(b.fleet, id, keep, true, bench_done, &done, &e) < 0)
        fail_msg("%s", e.text);
    run_until(b.s->event, done.called);
    if (done.r < 0)
        fail_msg("%s", done.text);
}

/* It was set for the uplink that the device had before. */
static void test_a_removed_device_leaves_no_login_of_an_earlier_uplink(void **state)
{
    put("pump-2", "elsewhere");
    remove_device("pump-2", false);
    assert_false(has("pump-2"));
}

static void test_nor_one_whose_key_the_cloud_has_to_delete(void **state)
{
    put("boiler-1", "elsewhere");
    remove_device("boiler-1", false);
    run_until(b.s->event, !vault_find(b.s->vault, "boiler-1", VAULT_OF_LOGIN));
    assert_false(has("boiler-1"));
}

/* Answered: what an agent that is killed now left in the vault is what the next one finds. */
static void test_its_login_goes_in_the_transaction_that_forgets_its_keys(void **state)
{
    struct bench_done done = {0};
    struct error e = {0};

    put("boiler-1", "cloud");
    assert_int_equal(fleet_remove_device(b.fleet, "boiler-1", false, true, bench_done, &done, &e), 0);
    run_until(b.s->event, done.called);
    assert_null(vault_find(b.s->vault, "boiler-1", "cloud"));
    assert_null(vault_find(b.s->vault, "boiler-1", VAULT_OF_LOGIN));
}

static void on_added(int r, struct device *d, const struct error *e, void *userdata)
{
    bench_done(r, e, userdata);
}

/* At once, from the answer on: nothing of the one before is in its way. */
static void test_a_device_that_was_removed_by_force_can_be_added_again(void **state)
{
    static const char text[] = "{\"device\":\"boiler-1\",\"uplink\":\"cloud\"," BENCH_SIM
                               "\"points\":{\"x\":{\"signal\":\"sine\",\"period\":\"10s\"}}}";
    struct bench_done removed = {0}, added = {0};
    struct error e = {0};

    assert_int_equal(fleet_remove_device(b.fleet, "boiler-1", false, true, bench_done, &removed, &e), 0);
    run_until(b.s->event, removed.called);
    if (fleet_add_device(b.fleet, "boiler-1", text, on_added, &added, &e) < 0)
        fail_msg("%s", e.text);
    run_until(b.s->event, added.called);
    if (added.r < 0)
        fail_msg("%s", added.text);
    assert_non_null(fleet_find(b.fleet, "boiler-1"));
}

static void test_what_is_kept_keeps_its_login(void **state)
{
    put("pump-2", "elsewhere");
    put("boiler-1", "cloud");
    remove_device("pump-2", true);
    remove_device("boiler-1", true);
    assert_true(has("pump-2"));
    assert_true(has("boiler-1"));
}

/* boiler-1 is there, at "cloud", and one of that id that was at "elsewhere" is gone. */
static void test_another_device_of_that_id_keeps_its_own(void **state)
{
    put("boiler-1", "cloud");
    login_forget_of(b.fleet, "boiler-1", "elsewhere");
    login_forget_of(b.fleet, "boiler-1", "cloud");
    assert_true(has("boiler-1"));
    put("boiler-1", "third");
    login_forget_of(b.fleet, "boiler-1", "elsewhere");
    assert_true(has("boiler-1"));
    put("boiler-1", "elsewhere");
    login_forget_of(b.fleet, "boiler-1", "elsewhere");
    assert_false(has("boiler-1"));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_removed_device_leaves_no_login_of_an_earlier_uplink),
        WITH(test_nor_one_whose_key_the_cloud_has_to_delete),
        WITH(test_its_login_goes_in_the_transaction_that_forgets_its_keys),
        WITH(test_a_device_that_was_removed_by_force_can_be_added_again),
        WITH(test_what_is_kept_keeps_its_login),
        WITH(test_another_device_of_that_id_keeps_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
