/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A key told to the cloud over the device's own session, against a DTLS server in the same process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "registrar/registrar.h"
#include "vault-scratch.h"

#include "coap-peer.h"
#include "uplink-bench.h"

static struct coap_peer peer;
static struct bench b;
static struct registrar *registrar;
static unsigned answers;
static struct registrar_answer last;
static char cloud_id[64];

static int setup(void **state)
{
    struct uplink_options options = {
        .transport = UPLINK_COAP, .name = "cloud", .host = "127.0.0.1", .admission = {.unlimited = true}};
    struct error e = {0};
    uint8_t key[32];

    scratch_setup(state);
    bench_key(*state, 1, key);
    peer_begin(&peer, ((struct scratch *)*state)->event, key);
    options.port = peer.port;
    bench_begin(&b, *state, &options);
    if (scratch_put(*state, "boiler-1", VAULT_BACKUP, "child-2", 2, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(registrar_coap_new(b.event, false, false, &registrar), 0);
    answers = 0;
    return 0;
}

static int teardown(void **state)
{
    bench_end(&b);
    registrar_free(registrar);
    peer_end(&peer);
    return scratch_teardown(state);
}

static void on_done(const struct registrar_answer *answer, void *userdata)
{
    answers++;
    last = *answer;
    snprintf(cloud_id, sizeof(cloud_id), "%s", answer->cloud_id);
}

static struct registrar_credential new_key(void)
{
    return (struct registrar_credential){
        .vault = b.scratch->vault, .entry = b.entry, .slot = VAULT_BACKUP, .session = b.session};
}

static void go_online(void)
{
    assert_int_equal(uplink_session_start(b.session, "boiler-1", b.entry, VAULT_MAIN), 0);
    run_until(b.event, b.state == UPLINK_STATE_ONLINE);
}

static void test_the_new_key_is_told_over_the_session_of_the_old_one(void **state)
{
    const struct registrar_credential c = new_key();
    struct registrar_call *call;
    struct error e = {0};

    go_online();
    peer.code = COAP_CREATED;
    peer.payload = "{\"id\":\"c-9\"}";
    assert_int_equal(registrar_offer(registrar, &c, on_done, NULL, &call, &e), 0);
    run_until(b.event, answers == 1);
    assert_int_equal(last.result, REGISTRAR_OK);
    assert_string_equal(cloud_id, "c-9");
    assert_int_equal(peer.last_method, COAP_POST);
    assert_non_null(strstr(peer.last_payload, "child-2"));
    peer.code = COAP_CHANGED;
    assert_int_equal(registrar_find(registrar, &c, on_done, NULL, &call, &e), 0);
    run_until(b.event, answers == 2);
    assert_int_equal(last.result, REGISTRAR_OK); /* of a look: it is there, and ours */
}

static void test_a_refusal_and_a_conflict_are_told_apart(void **state)
{
    const struct registrar_credential c = new_key();
    struct registrar_call *call;
    struct error e = {0};

    go_online();
    peer.code = COAP_CONFLICT;
    assert_int_equal(registrar_offer(registrar, &c, on_done, NULL, &call, &e), 0);
    run_until(b.event, answers == 1);
    assert_int_equal(last.result, REGISTRAR_CONFLICT);
    peer.code = COAP_BAD_REQUEST;
    assert_int_equal(registrar_offer(registrar, &c, on_done, NULL, &call, &e), 0);
    run_until(b.event, answers == 2);
    assert_int_equal(last.result, REGISTRAR_INVALID);
}

static void test_without_a_session_nothing_is_offered(void **state)
{
    struct registrar_credential c = new_key();
    struct registrar_call *call;
    struct error e = {0};

    c.session = NULL;
    assert_int_equal(registrar_offer(registrar, &c, on_done, NULL, &call, &e), -ENOTCONN);
    assert_int_equal(registrar_delete(registrar, &c, on_done, NULL, &call, &e), -ENOTCONN);
    c.session = b.session; /* which does not stand */
    assert_true(registrar_offer(registrar, &c, on_done, NULL, &call, &e) < 0);
    assert_int_equal(answers, 0);
}

static void test_a_deletion_goes_by_the_clouds_id(void **state)
{
    const struct registrar_credential c = new_key();
    struct vault_change *change;
    struct registrar_call *call;
    struct error e = {0};

    go_online();
    assert_int_equal(registrar_delete(registrar, &c, on_done, NULL, &call, &e), -ENODATA);
    change = vault_change_new(b.scratch->vault, "boiler-1", "cloud");
    assert_int_equal(vault_change_cloud_id(change, VAULT_BACKUP, "c-9"), 0);
    assert_int_equal(vault_commit_sync(b.scratch->vault, change, &e), 0);
    peer.code = COAP_DELETED;
    assert_int_equal(registrar_delete(registrar, &c, on_done, NULL, &call, &e), 0);
    run_until(b.event, answers == 1);
    assert_int_equal(last.result, REGISTRAR_OK);
    assert_int_equal(peer.last_method, COAP_DELETE);
}

static void test_a_call_that_is_cancelled_may_have_been_carried_out(void **state)
{
    const struct registrar_credential c = new_key();
    struct registrar_call *call;
    struct error e = {0};

    go_online();
    peer.silent = true;
    assert_int_equal(registrar_offer(registrar, &c, on_done, NULL, &call, &e), 0);
    registrar_call_cancel(call);
    assert_int_equal(answers, 1);
    assert_int_equal(last.result, REGISTRAR_RETRY);
    assert_true(last.maybe_sent);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_the_new_key_is_told_over_the_session_of_the_old_one),
        WITH(test_a_refusal_and_a_conflict_are_told_apart),
        WITH(test_without_a_session_nothing_is_offered),
        WITH(test_a_deletion_goes_by_the_clouds_id),
        WITH(test_a_call_that_is_cancelled_may_have_been_carried_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
