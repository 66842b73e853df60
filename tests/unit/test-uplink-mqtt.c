/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A child's session over MQTT against a TLS-PSK broker in the same process: versions, acknowledgements, refusals, ends,
 * and what comes down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault-scratch.h"
#include "vault/login.h"

#include "coap-peer.h"
#include "mqtt-peer.h"
#include "uplink-bench.h"

struct fixture {
    struct mqtt_peer peer;
    struct bench b;
};

static struct fixture f;

static int set_up(void **state, int tls, enum uplink_mqtt_version version)
{
    struct uplink_options options = {.transport = UPLINK_MQTT,
                                     .name = "cloud",
                                     .host = "127.0.0.1",
                                     .mqtt_version = version,
                                     .admission = {.unlimited = true}};
    uint8_t key[32];

    scratch_setup(state);
    bench_key(*state, 1, key);
    mqtt_peer_begin(&f.peer, ((struct scratch *)*state)->event, key, tls);
    options.port = f.peer.port;
    bench_begin(&f.b, *state, &options);
    return 0;
}

/* `port` of the first: 0: the peer's. */
static int set_up_hosts(void **state, const char *first, uint16_t port, const char *then)
{
    struct uplink_options options = {.transport = UPLINK_MQTT,
                                     .name = "cloud",
                                     .host = first,
                                     .n_others = 1,
                                     .follow_references = true,
                                     .admission = {.unlimited = true}};
    uint8_t key[32];

    scratch_setup(state);
    bench_key(*state, 1, key);
    mqtt_peer_begin(&f.peer, ((struct scratch *)*state)->event, key, TLS1_3_VERSION);
    snprintf(options.others[0].name, sizeof(options.others[0].name), "%s", then);
    options.port = port ? port : f.peer.port;
    options.others[0].port = f.peer.port;
    bench_begin(&f.b, *state, &options);
    return 0;
}

/* The second of two hosts is the peer; nobody is at the first. */
static int setup_second(void **state)
{
    return set_up_hosts(state, "127.0.0.2", 0, "127.0.0.1");
}

static int setup_second_port(void **state)
{
    return set_up_hosts(state, "127.0.0.2", 1, "127.0.0.1");
}

static int setup_nowhere(void **state)
{
    return set_up_hosts(state, "127.0.0.2", 0, "127.0.0.3");
}

/* Nobody is at the second. */
static int setup_first(void **state)
{
    return set_up_hosts(state, "127.0.0.1", 0, "127.0.0.2");
}

static int setup(void **state)
{
    return set_up(state, TLS1_3_VERSION, UPLINK_MQTT_AUTO);
}

static int setup_older(void **state)
{
    return set_up(state, TLS1_2_VERSION, UPLINK_MQTT_311);
}

static int setup_tls12(void **state)
{
    return set_up(state, TLS1_2_VERSION, UPLINK_MQTT_5);
}

static int teardown(void **state)
{
    bench_end(&f.b);
    mqtt_peer_end(&f.peer);
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

static void once(void)
{
    assert_int_equal(uplink_session_once(f.b.session, "boiler-1", f.b.entry, VAULT_MAIN), 0);
    run_until(f.b.event, f.b.results == 1);
}

static struct uplink_call *publish(const char *topic, const char *payload)
{
    const struct uplink_request request = {.target = topic, .payload = payload, .payload_size = strlen(payload)};
    struct uplink_call *call = NULL;

    assert_int_equal(uplink_session_request(f.b.session, &request, bench_done, &f.b, &call), 0);
    return call;
}

static struct uplink_info info(void)
{
    struct uplink_info i;

    uplink_session_info(f.b.session, &i);
    return i;
}

static void test_what_waits_is_published_in_order_and_acknowledged(void **state)
{
    start();
    publish("telemetry", "one");
    publish("telemetry", "two");
    run_until(f.b.event, f.b.answers == 2);
    assert_int_equal(f.b.r, 0);
    assert_int_equal(f.b.code, 0);
    assert_string_equal(f.peer.topic, "telemetry");
    assert_string_equal(f.peer.payload, "two");
    assert_string_equal(f.peer.client_id, "boiler-1");
    assert_int_equal(f.peer.version, 5);
    assert_true(info().forward_secrecy && info().tells_refusals);
    assert_true(info().suite[0] && info().group[0]);
}

static void test_version_311_says_nothing_of_refusals(void **state)
{
    go_online();
    assert_int_equal(f.peer.version, 4);
    assert_false(info().tells_refusals);
    publish("telemetry", "one");
    run_until(f.b.event, f.b.answers == 1);
    assert_int_equal(f.b.r, 0);
}

static void test_over_tls_12_the_key_is_proved_as_well(void **state)
{
    go_online();
    assert_non_null(strstr(info().suite, "PSK"));
    f.peer.puback = 0x87; /* not authorized */
    publish("elsewhere", "one");
    run_until(f.b.event, f.b.answers == 1);
    assert_int_equal(f.b.r, 0);
    assert_int_equal(f.b.code, 0x87);
}

static void test_a_broker_that_does_not_speak_version_5_is_asked_in_311(void **state)
{
    f.peer.refuses_v5 = true;
    go_online();
    assert_int_equal(f.peer.version, 4);
    assert_int_equal(f.peer.connects, 2);
    assert_int_equal(f.b.results, 1); /* one attempt, for whoever looks at it */
    mqtt_peer_hang_up(&f.peer);
    run_until(f.b.event, f.peer.connects == 3 && f.b.state == UPLINK_STATE_ONLINE);
    assert_int_equal(f.peer.version, 4); /* it is remembered */
}

static void set_login(const char *uplink, const char *text)
{
    _cleanup_(secret_freep) struct secret *login = NULL;
    struct vault_change *c;
    int r;

    assert_int_equal(secret_new(f.b.scratch->arena, &login), 0);
    login->size = (size_t)login_decode(text, strlen(text), login->bytes, NULL);
    c = vault_login_put(f.b.scratch->vault, "boiler-1", uplink, login, &r, NULL);
    assert_int_equal(vault_commit_sync(f.b.scratch->vault, c, NULL), 0);
}

/* What the device has for this uplink goes along, and what was set meanwhile with the next connection. */
static void test_a_login_goes_along(void **state)
{
    size_t free_cells = arena_cells_free(f.b.scratch->arena);

    set_login("elsewhere", "bert\nopen");
    go_online();
    assert_false(f.peer.has_user || f.peer.has_password);
    set_login("cloud", "anna\nsesame");
    uplink_session_renew(f.b.session);
    run_until(f.b.event, f.peer.connects == 2 && f.b.results == 2);
    assert_true(f.peer.has_user && f.peer.has_password);
    assert_string_equal(f.peer.user, "anna");
    assert_string_equal(f.peer.password, "sesame");
    set_login("cloud", "token-alone");
    uplink_session_renew(f.b.session);
    run_until(f.b.event, f.peer.connects == 3 && f.b.results == 3);
    assert_true(f.peer.has_user && !f.peer.has_password);
    assert_string_equal(f.peer.user, "token-alone");
    assert_int_equal(arena_cells_free(f.b.scratch->arena), free_cells);
}

/* A broker that does not let it in is told apart from one that does not know the key; no byte of it is in the words. */
static void test_a_wrong_login_is_named(void **state)
{
    f.peer.connack = 0x86;
    once();
    assert_int_equal(f.b.result, UPLINK_REFUSED_ANSWER);
    assert_non_null(strstr(f.b.reason, "want a user name and a password"));
    set_login("cloud", "anna\nsesame");
    f.b.results = 0;
    once();
    assert_non_null(strstr(f.b.reason, "are they right"));
    assert_null(strstr(f.b.reason, "sesame"));
    assert_null(strstr(f.b.reason, "anna"));
}

static void test_the_second_host(void **state)
{
    char server[64];

    go_online();
    assert_int_equal(f.b.results, 1); /* nobody was told of the first */
    snprintf(server, sizeof(server), "127.0.0.1:%u", f.peer.port);
    assert_string_equal(info().server, server);
    assert_false(info().referred);
    mqtt_peer_hang_up(&f.peer);
    run_until(f.b.event, f.peer.connects == 2 && f.b.state == UPLINK_STATE_ONLINE);
    assert_string_equal(info().server, server);
}

/* A broker that names a host alone means its own port, not that of the uplink's first host. */
static void test_a_reference_has_the_port_of_who_named_it(void **state)
{
    char server[64];

    f.peer.reference = "127.0.0.1";
    go_online();
    snprintf(server, sizeof(server), "127.0.0.1:%u", f.peer.port);
    assert_string_equal(info().server, server);
    assert_true(info().referred);
    assert_int_equal(f.peer.connects, 2);
    /* As does one that closes a session with it. */
    mqtt_peer_send(&f.peer,
                   (const uint8_t[]){0xe0, 14, 0x9c, 12, 0x1c, 0, 9, '1', '2', '7', '.', '0', '.', '0', '.', '1'}, 16);
    mqtt_peer_hang_up(&f.peer);
    run_until(f.b.event, f.peer.connects == 3 && f.b.state == UPLINK_STATE_ONLINE);
    assert_string_equal(info().server, server);
    assert_true(info().referred);
}

static void test_nobody_at_any_host(void **state)
{
    start();
    run_until(f.b.event, f.b.state == UPLINK_STATE_UNREACHABLE);
    assert_int_equal(f.b.results, 1);
    assert_non_null(strstr(f.b.reason, "none of the uplink's 2 hosts can be reached; the last, 127.0.0.3:"));
}

/* What is not so is not said: the first host is there, but does not take the key. */
static void test_nobody_at_the_second_host_alone(void **state)
{
    f.peer.unknown = true;
    start();
    run_until(f.b.event, f.b.results == 1);
    assert_int_equal(f.b.result, UPLINK_REFUSED_ANSWER);
    uplink_session_hurry(f.b.session);
    run_until(f.b.event, f.b.results == 2);
    assert_int_equal(f.b.result, UPLINK_UNREACHABLE);
    assert_int_equal(strncmp(f.b.reason, "127.0.0.2:", strlen("127.0.0.2:")), 0);
    assert_null(strstr(f.b.reason, "hosts"));
    /* In the round after it nobody is there. */
    mqtt_peer_deafen(&f.peer);
    uplink_session_hurry(f.b.session);
    run_until(f.b.event, f.b.results == 3);
    assert_non_null(strstr(f.b.reason, "none of the uplink's 2 hosts can be reached; the last, 127.0.0."));
}

static void test_an_unknown_identity_is_refused(void **state)
{
    f.peer.unknown = true;
    once();
    assert_int_equal(f.b.result, UPLINK_REFUSED_ANSWER);
    run_until(f.b.event, f.b.state == UPLINK_STATE_STOPPED);
    assert_true(f.b.reason[0]);
}

static void test_a_connection_that_the_broker_refuses_fails_with_its_words(void **state)
{
    f.peer.connack = 0x87;
    once();
    assert_int_not_equal(f.b.result, UPLINK_OK);
    run_until(f.b.event, f.b.state == UPLINK_STATE_STOPPED);
    assert_non_null(strstr(f.b.reason, "127.0.0.1"));
}

static void test_where_nobody_listens_the_broker_is_unreachable(void **state)
{
    mqtt_peer_deafen(&f.peer);
    start();
    run_until(f.b.event, f.b.state == UPLINK_STATE_UNREACHABLE);
    assert_int_equal(f.b.result, UPLINK_UNREACHABLE);
    uplink_session_hurry(f.b.session);
    run_until(f.b.event, f.b.results == 2);
}

static void test_what_was_not_acknowledged_is_published_again(void **state)
{
    f.peer.silent = true;
    go_online();
    publish("telemetry", "again");
    run_until(f.b.event, f.peer.publishes == 1);
    f.peer.silent = false;
    mqtt_peer_hang_up(&f.peer);
    run_until(f.b.event, f.b.answers == 1);
    assert_int_equal(f.b.r, 0);
    assert_int_equal(f.peer.publishes, 2);
    assert_string_equal(f.peer.payload, "again");
}

static void test_a_subscription_lasts_over_connections(void **state)
{
    struct uplink_subscription *subscription;

    f.peer.suback = 1;
    start();
    assert_int_equal(uplink_session_subscribe(f.b.session, "commands/+", -1, bench_notified, &f.b, &subscription), 0);
    run_until(f.b.event, f.peer.subscribes == 1);
    assert_string_equal(f.peer.filter, "commands/+");
    mqtt_peer_message(&f.peer, "commands/1", "open");
    mqtt_peer_message(&f.peer, "others/1", "shut");
    run_until(f.b.event, f.b.notifications == 1);
    assert_string_equal(f.b.payload, "open");
    mqtt_peer_hang_up(&f.peer);
    run_until(f.b.event, f.peer.subscribes == 2);
    mqtt_peer_message(&f.peer, "commands/2", "close");
    run_until(f.b.event, f.b.notifications == 2);
    uplink_subscription_cancel(subscription);
}

static void test_a_subscription_that_is_refused_is_told(void **state)
{
    struct uplink_subscription *subscription;

    f.peer.suback = 0x87;
    start();
    assert_int_equal(uplink_session_subscribe(f.b.session, "commands", -1, bench_notified, &f.b, &subscription), 0);
    run_until(f.b.event, f.b.notifications == 1);
}

static void test_renewing_ends_the_old_connection_first(void **state)
{
    go_online();
    publish("telemetry", "one");
    uplink_session_renew(f.b.session);
    run_until(f.b.event, f.peer.connects == 2 && f.b.state == UPLINK_STATE_ONLINE);
    assert_int_equal(f.b.answers, 1);
    assert_int_equal(f.peer.disconnects, 1);
}

static void test_stopping_says_goodbye_and_ends_requests(void **state)
{
    f.peer.silent = true;
    go_online();
    publish("telemetry", "one");
    uplink_call_cancel(publish("telemetry", "two"));
    assert_int_equal(f.b.answers, 1);
    assert_int_equal(f.b.r, -ECANCELED);
    run_until(f.b.event, f.peer.publishes == 1);
    uplink_session_stop(f.b.session, UPLINK_BYE);
    assert_int_equal(f.b.answers, 2);
    assert_int_equal(f.b.state, UPLINK_STATE_STOPPED);
    run_until(f.b.event, f.peer.disconnects == 1 && f.peer.closed == 1);
}

static void test_a_packet_that_is_none_ends_the_connection(void **state)
{
    go_online();
    mqtt_peer_send(&f.peer, (const uint8_t[]){0xf0, 0xff, 0xff, 0xff, 0xff, 0xff}, 6);
    run_until(f.b.event, f.b.state != UPLINK_STATE_ONLINE);
    run_until(f.b.event, f.b.state == UPLINK_STATE_ONLINE);
    assert_int_equal(f.peer.connects, 2);
}

static void test_a_disconnect_of_the_broker_tells_its_reason(void **state)
{
    go_online();
    mqtt_peer_send(&f.peer, (const uint8_t[]){0xe0, 2, 0x8b, 0}, 4); /* server shutting down */
    mqtt_peer_hang_up(&f.peer);
    run_until(f.b.event, f.b.state != UPLINK_STATE_ONLINE);
    assert_non_null(strstr(f.b.reason, "127.0.0.1"));
    run_until(f.b.event, f.b.state == UPLINK_STATE_ONLINE);
}

#define WITH(test, setup) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_what_waits_is_published_in_order_and_acknowledged, setup),
        WITH(test_version_311_says_nothing_of_refusals, setup_older),
        WITH(test_over_tls_12_the_key_is_proved_as_well, setup_tls12),
        WITH(test_a_broker_that_does_not_speak_version_5_is_asked_in_311, setup),
        WITH(test_the_second_host, setup_second),
        WITH(test_a_reference_has_the_port_of_who_named_it, setup_second_port),
        WITH(test_nobody_at_any_host, setup_nowhere),
        WITH(test_nobody_at_the_second_host_alone, setup_first),
        WITH(test_a_login_goes_along, setup),
        WITH(test_a_login_goes_along, setup_older),
        WITH(test_a_wrong_login_is_named, setup_tls12),
        WITH(test_an_unknown_identity_is_refused, setup),
        WITH(test_an_unknown_identity_is_refused, setup_tls12),
        WITH(test_a_connection_that_the_broker_refuses_fails_with_its_words, setup),
        WITH(test_where_nobody_listens_the_broker_is_unreachable, setup),
        WITH(test_what_was_not_acknowledged_is_published_again, setup),
        WITH(test_a_subscription_lasts_over_connections, setup),
        WITH(test_a_subscription_that_is_refused_is_told, setup),
        WITH(test_renewing_ends_the_old_connection_first, setup),
        WITH(test_stopping_says_goodbye_and_ends_requests, setup),
        WITH(test_a_packet_that_is_none_ends_the_connection, setup),
        WITH(test_a_disconnect_of_the_broker_tells_its_reason, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
