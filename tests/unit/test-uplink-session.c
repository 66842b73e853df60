/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A child's session over CoAP against a DTLS server in the same process: how it is made, used, lost and made again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault-scratch.h"

#include "coap-peer.h"
#include "uplink-bench.h"

#include <errno.h>
#include <sys/resource.h>

struct fixture {
    struct coap_peer peer;
    struct bench b;
};

static struct fixture f;

static int setup(void **state)
{
    static const struct uplink_options options = {
        .transport = UPLINK_COAP, .name = "cloud", .host = "127.0.0.1", .admission = {.unlimited = true}};
    struct uplink_options own = options;
    uint8_t key[32];

    scratch_setup(state);
    bench_key(*state, 1, key);
    peer_begin(&f.peer, ((struct scratch *)*state)->event, key);
    own.port = f.peer.port;
    bench_begin(&f.b, *state, &own);
    return 0;
}

static int teardown(void **state)
{
    bench_end(&f.b);
    peer_end(&f.peer);
    return scratch_teardown(state);
}

static void start(void)
{
    assert_int_equal(uplink_session_start(f.b.session, "boiler-1", f.b.entry, VAULT_MAIN), 0);
}

static void go_online(void)
{
    start();
    run_until(f.b.event, f.b.state == UPLINK_STATE_ONLINE);
}

static void ask(const char *payload)
{
    const struct uplink_request request = {.method = COAP_POST,
                                           .target = "telemetry",
                                           .content_format = -1,
                                           .accept = -1,
                                           .payload = payload,
                                           .payload_size = strlen(payload)};

    assert_int_equal(uplink_session_request(f.b.session, &request, bench_done, &f.b, NULL), 0);
}

static struct uplink_info info(void)
{
    struct uplink_info i;

    uplink_session_info(f.b.session, &i);
    return i;
}

static void test_a_request_made_before_the_session_stands_is_answered_by_it(void **state)
{
    start();
    ask("before");
    f.peer.payload = "taken";
    run_until(f.b.event, f.b.answers == 1);
    assert_int_equal(f.b.r, 0);
    assert_int_equal(f.b.code, COAP_CHANGED);
    assert_string_equal(f.b.payload, "taken");
    assert_string_equal(f.peer.last_payload, "before");
    assert_int_equal(f.b.result, UPLINK_OK);
    assert_true(f.b.full);
}

static void test_a_session_tells_what_it_has_negotiated(void **state)
{
    struct uplink_info i = info();

    assert_false(i.established);
    assert_int_equal(i.state, UPLINK_STATE_STOPPED);
    go_online();
    i = info();
    assert_true(i.established && i.forward_secrecy && i.tells_refusals && !i.resumed);
    assert_non_null(strstr(i.suite, "PSK"));
    assert_true(i.full_at > 0 && i.online_since > 0);
    assert_non_null(strstr(i.address, "127.0.0.1:"));
    assert_int_equal(i.counters.handshakes_full, 1);
    assert_true(i.counters.datagrams_in > 0 && i.counters.datagrams_out > 0);
    assert_int_equal(i.trouble, UPLINK_TROUBLE_NONE);
    assert_int_equal(uplink_session_payload_max(f.b.session), 0);
}

static void test_a_session_that_the_server_ends_is_resumed(void **state)
{
    go_online();
    ask("one");
    run_until(f.b.event, f.b.answers == 1);
    peer_hang_up(&f.peer);
    run_until(f.b.event, f.b.state != UPLINK_STATE_ONLINE);
    assert_non_null(strstr(f.b.reason, "127.0.0.1"));
    /* Of a resumed handshake the last word is ours. */
    run_until(f.b.event, f.b.state == UPLINK_STATE_ONLINE && f.peer.handshakes == 2);
    assert_int_equal(f.peer.resumed, 1);
    assert_true(info().resumed);
    assert_int_equal(info().counters.handshakes_resumed, 1);
    ask("two");
    run_until(f.b.event, f.b.answers == 2);
    assert_string_equal(f.peer.last_payload, "two");
}

static void test_renewing_makes_a_full_handshake_while_the_session_goes_on(void **state)
{
    go_online();
    uplink_session_renew(f.b.session);
    assert_int_equal(f.b.state, UPLINK_STATE_ONLINE);
    run_until(f.b.event, f.peer.handshakes == 2 && f.b.results == 2);
    assert_int_equal(f.peer.resumed, 0);
    assert_true(f.b.full);
    ask("after");
    run_until(f.b.event, f.b.answers == 1);
}

static void test_an_identity_that_the_server_does_not_know_is_refused(void **state)
{
    f.peer.unknown = true;
    assert_int_equal(uplink_session_once(f.b.session, "boiler-1", f.b.entry, VAULT_MAIN), 0);
    run_until(f.b.event, f.b.results == 1);
    assert_int_equal(f.b.result, UPLINK_REFUSED_ANSWER);
    run_until(f.b.event, f.b.state == UPLINK_STATE_STOPPED);
    assert_non_null(strstr(f.b.reason, "child-1"));
    assert_int_equal(info().counters.handshakes_failed, 1);
}

static void test_a_try_is_a_handshake_and_nothing_more(void **state)
{
    const struct uplink_request request = {.method = COAP_POST, .target = "telemetry"};

    assert_int_equal(uplink_session_try(f.b.session, "boiler-1", f.b.entry, VAULT_MAIN), 0);
    run_until(f.b.event, f.b.results == 1);
    assert_int_equal(f.b.result, UPLINK_OK);
    assert_true(f.b.full && info().established && info().suite[0]);
    assert_int_equal(uplink_session_request(f.b.session, &request, bench_done, &f.b, NULL), -ESHUTDOWN);
    uplink_session_stop(f.b.session, UPLINK_BYE);
    run_until(f.b.event, f.peer.handshakes == 1);
    assert_int_equal(f.peer.requests, 0);
    /* What comes after it is a session like any other. */
    go_online();
    ask("after");
    run_until(f.b.event, f.b.answers == 1);
}

static void test_a_try_without_a_key_ends_where_the_key_is_asked_for(void **state)
{
    assert_int_equal(uplink_session_try(f.b.session, "", NULL, VAULT_MAIN), 0);
    run_until(f.b.event, f.b.results == 1);
    assert_int_equal(f.b.result, UPLINK_LOCAL);
    assert_int_equal(info().trouble, UPLINK_TROUBLE_LOCAL);
    assert_int_equal(f.peer.handshakes, 0);
}

static void test_where_nobody_listens_the_server_is_unreachable(void **state)
{
    peer_deafen(&f.peer);
    start();
    run_until(f.b.event, f.b.state == UPLINK_STATE_UNREACHABLE);
    assert_int_equal(f.b.result, UPLINK_UNREACHABLE);
    assert_true(info().retry_at > 0);
    assert_int_not_equal(info().trouble, UPLINK_TROUBLE_NONE);
    uplink_session_hurry(f.b.session);
    assert_int_equal(f.b.state, UPLINK_STATE_UNREACHABLE); /* what is known of the last attempt says more */
    run_until(f.b.event, f.b.results == 2);
}

static void test_without_a_credential_the_attempt_ends_here(void **state)
{
    assert_int_equal(uplink_session_once(f.b.session, "boiler-1", f.b.entry, VAULT_BACKUP), 0);
    run_until(f.b.event, f.b.results == 1);
    assert_int_equal(f.b.result, UPLINK_LOCAL);
    assert_non_null(strstr(f.b.reason, "slot backup"));
}

static void test_a_probe_that_is_adopted_keeps_itself_connected(void **state)
{
    assert_int_equal(uplink_session_once(f.b.session, "boiler-1", f.b.entry, VAULT_MAIN), 0);
    assert_int_equal(uplink_session_once(f.b.session, "boiler-1", f.b.entry, VAULT_MAIN), -EBUSY);
    run_until(f.b.event, f.b.state == UPLINK_STATE_ONLINE);
    uplink_session_adopt(f.b.session, VAULT_MAIN);
    peer_hang_up(&f.peer);
    run_until(f.b.event, f.peer.handshakes == 2 && f.b.state == UPLINK_STATE_ONLINE);
}

static void test_a_probe_that_is_lost_stops(void **state)
{
    assert_int_equal(uplink_session_once(f.b.session, "boiler-1", f.b.entry, VAULT_MAIN), 0);
    run_until(f.b.event, f.b.state == UPLINK_STATE_ONLINE);
    peer_hang_up(&f.peer);
    run_until(f.b.event, f.b.state == UPLINK_STATE_STOPPED);
    assert_int_equal(f.peer.handshakes, 1);
}

static void test_stopping_ends_each_request_once(void **state)
{
    struct uplink_request request = {.method = COAP_GET, .target = "x", .content_format = -1, .accept = -1};

    f.peer.silent = true;
    go_online();
    ask("one");
    ask("two");
    uplink_session_stop(f.b.session, UPLINK_BYE);
    assert_int_equal(f.b.answers, 2);
    assert_int_equal(f.b.r, -ECANCELED);
    assert_int_equal(f.b.state, UPLINK_STATE_STOPPED);
    assert_int_equal(uplink_session_request(f.b.session, &request, bench_done, &f.b, NULL), -ESHUTDOWN);
    assert_int_equal(f.b.answers, 2);
}

static void test_an_observation_lasts_over_sessions(void **state)
{
    struct uplink_subscription *subscription;

    f.peer.code = COAP_CONTENT;
    f.peer.payload = "first";
    start();
    assert_int_equal(uplink_session_subscribe(f.b.session, "commands", -1, bench_notified, &f.b, &subscription), 0);
    run_until(f.b.event, f.b.notifications == 1);
    peer_notify(f.peer.sessions, 2, "second");
    run_until(f.b.event, f.b.notifications == 2);
    assert_string_equal(f.b.payload, "second");
    f.peer.payload = "again";
    peer_hang_up(&f.peer);
    run_until(f.b.event, f.b.notifications == 3);
    assert_string_equal(f.b.payload, "again");
    uplink_subscription_cancel(subscription);
}

static void test_a_server_that_falls_silent_is_found_and_left(void **state)
{
    go_online();
    /* Its state is gone, as after a restart: what comes is of a session that it does not have. */
    f.peer.silent = true;
    ask("lost");
    run_until(f.b.event, f.peer.handshakes == 2);
    f.peer.silent = false;
    run_until(f.b.event, f.b.answers == 1);
    assert_int_equal(f.b.r, 0);
    assert_string_equal(f.peer.last_payload, "lost");
    assert_true(info().counters.stale_switches + info().counters.stale_kept > 0);
}

static void test_a_state_has_a_name(void **state)
{
    static const char *const states[] = {"stopped", "connecting", "online", "backing-off", "unreachable", "refused"};
    static const char *const results[] = {"ok", "refused", "unreachable", "failed", "local"};

    for (size_t i = 0; i < ELEMENTSOF(states); i++)
        assert_string_equal(uplink_state_text((enum uplink_state)i), states[i]);
    for (size_t i = 0; i < ELEMENTSOF(results); i++)
        assert_string_equal(uplink_result_text((enum uplink_result)i), results[i]);
}

static void test_descriptors_that_are_too_few_are_said_with_the_setting(void **state)
{
    const struct rlimit few = {256, 256}; /* what is allowed here may be more than the kernel makes a table for */
    struct error e = {0};

    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        assert_int_equal(errno, EPERM); /* valgrind keeps the hard limit */
    assert_int_equal(uplink_raise_nofile(1, &e), 0);
    assert_int_equal(uplink_raise_nofile(UINT64_C(1) << 40, &e), -EMFILE);
    assert_non_null(strstr(e.text, "LimitNOFILE="));
}

#define WITH_PEER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PEER(test_a_request_made_before_the_session_stands_is_answered_by_it),
        WITH_PEER(test_a_session_tells_what_it_has_negotiated),
        WITH_PEER(test_a_session_that_the_server_ends_is_resumed),
        WITH_PEER(test_renewing_makes_a_full_handshake_while_the_session_goes_on),
        WITH_PEER(test_an_identity_that_the_server_does_not_know_is_refused),
        WITH_PEER(test_a_try_is_a_handshake_and_nothing_more),
        WITH_PEER(test_a_try_without_a_key_ends_where_the_key_is_asked_for),
        WITH_PEER(test_where_nobody_listens_the_server_is_unreachable),
        WITH_PEER(test_without_a_credential_the_attempt_ends_here),
        WITH_PEER(test_a_probe_that_is_adopted_keeps_itself_connected),
        WITH_PEER(test_a_probe_that_is_lost_stops),
        WITH_PEER(test_stopping_ends_each_request_once),
        WITH_PEER(test_an_observation_lasts_over_sessions),
        WITH_PEER(test_a_server_that_falls_silent_is_found_and_left),
        cmocka_unit_test(test_a_state_has_a_name),
        cmocka_unit_test(test_descriptors_that_are_too_few_are_said_with_the_setting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
