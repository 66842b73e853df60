/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The handshakes of a check, against a DTLS server in the same process: whose key is shown, how often, and what is made
 * of the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault-scratch.h"

#include "coap-peer.h"
#include "doctor/trial.h"

#define ALL_DEVICES (CHECK_TRIES + 2)

struct ground {
    struct scratch *scratch;
    struct coap_peer peer;
    struct config_uplink uplink, *uplinks[1];
    struct config_device devices[ALL_DEVICES], *list[ALL_DEVICES];
    char ids[ALL_DEVICES][16];
    struct config config;
    struct findings findings;
};

static struct ground g;

/* With the key of that number, which the peer takes if it is 1. */
static void add_device(unsigned key)
{
    size_t i = g.config.n_devices++;
    char identity[32];
    struct error e = {0};

    snprintf(g.ids[i], sizeof(g.ids[i]), "d%zu", i);
    snprintf(identity, sizeof(identity), "child-%zu", i);
    g.devices[i] =
        (struct config_device){.id = g.ids[i], .uplink = (char *)"cloud", .driver = (char *)"sim", .enabled = true};
    g.list[i] = &g.devices[i];
    if (key > 0 && scratch_put(g.scratch, g.ids[i], VAULT_MAIN, identity, key, &e) < 0)
        fail_msg("%s", e.text);
}

static int setup(void **state)
{
    uint8_t key[32];
    struct secret *first;

    scratch_setup(state);
    g = (struct ground){.scratch = *state};
    first = scratch_key(g.scratch, 1, 32);
    memcpy(key, first->bytes, sizeof(key));
    secret_free(first);
    peer_begin(&g.peer, g.scratch->event, key);
    g.uplink = (struct config_uplink){
        .name = (char *)"cloud", .url = (char *)"coaps://127.0.0.1", .host = (char *)"127.0.0.1", .port = g.peer.port};
    g.uplink.admission.unlimited = true;
    g.uplinks[0] = &g.uplink;
    g.config = (struct config){
        .uplinks = g.uplinks, .n_uplinks = 1, .devices = g.list, .file = (char *)"/etc/gatehouse/gatehouse.json"};
    return 0;
}

static int teardown(void **state)
{
    findings_done(&g.findings);
    peer_end(&g.peer);
    return scratch_teardown(state);
}

static void run(bool vault)
{
    const struct trial trial = {.event = g.scratch->event,
                                .arena = g.scratch->arena,
                                .vault = vault ? g.scratch->vault : NULL,
                                .config = &g.config};
    struct error e = {0};

    if (trial_run(&trial, &g.findings, &e) < 0)
        fail_msg("%s", e.text);
}

static const struct finding *find(enum finding_id id)
{
    for (size_t i = 0; i < g.findings.n; i++)
        if (g.findings.list[i].id == id)
            return &g.findings.list[i];
    return NULL;
}

static void expect(enum finding_id id, const char *subject, const char *cause, const char *mend)
{
    const struct finding *f = find(id);

    if (!f)
        fail_msg("no %s", finding_kinds[id].name);
    assert_string_equal(f->subject, subject);
    if (!strstr(f->cause, cause) || !strstr(f->mend, mend))
        fail_msg("not in it, %s or %s: %s, %s", cause, mend, f->cause, f->mend);
}

static void test_a_good_key_is_shown_once(void **state)
{
    add_device(1);
    run(true);
    expect(FINDING_HANDSHAKE_TRIED, "cloud", "1 of 1 device", "");
    assert_int_equal(g.findings.n, 1);
    run_until(g.scratch->event, g.peer.handshakes == 1);
    assert_int_equal(g.peer.requests, 0);
}

static void test_a_refusal_is_believed_when_it_comes_twice(void **state)
{
    g.peer.unknown = true;
    add_device(1);
    run(true);
    expect(FINDING_HANDSHAKE_TRIED, "cloud", "0 of 1 device", "");
    assert_int_equal(g.findings.count[FINDING_KEY_REFUSED] + g.findings.count[FINDING_IDENTITY_UNKNOWN], 1);
    assert_non_null(strstr(g.findings.list[0].mend, "systemctl start gatehouse && gatehousectl key set d0"));
}

static void test_the_way_that_all_share_is_tried_once(void **state)
{
    close(g.peer.fd);
    g.peer.io = sd_event_source_disable_unref(g.peer.io);
    g.peer.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    add_device(1);
    add_device(2);
    run(true);
    expect(FINDING_PORT_CLOSED, "cloud", "127.0.0.1", "systemctl restart gatehouse");
    expect(FINDING_HANDSHAKE_TRIED, "cloud", "0 of 1 device", "");
}

static void test_keys_that_are_not_there_are_no_tries(void **state)
{
    add_device(0);
    run(true);
    expect(FINDING_KEY_MISSING, "d0", "no key", "gatehousectl key set d0");
    assert_null(find(FINDING_HANDSHAKE_TRIED));
}

static void test_a_device_that_is_disabled_is_left_alone(void **state)
{
    add_device(1);
    g.devices[0].enabled = false;
    run(true);
    expect(FINDING_DEVICE_DISABLED, "d0", "enabled", "");
    assert_int_equal(g.peer.handshakes, 0);
}

static void test_a_staged_key_is_not_shown(void **state)
{
    struct vault_change *c;
    struct error e = {0};

    add_device(0);
    c = vault_change_new(g.scratch->vault, "d0", "cloud");
    scratch_put_in(c, g.scratch, VAULT_BACKUP, "staged", 1, NULL);
    assert_int_equal(vault_commit_sync(g.scratch->vault, c, &e), 0);
    run(true);
    expect(FINDING_KEY_MISSING, "d0", "no key", "");
    assert_int_equal(g.peer.handshakes, 0);
}

static void test_without_a_vault_the_way_is_looked_at(void **state)
{
    add_device(1);
    run(false);
    assert_int_equal(g.findings.n, 0);
    close(g.peer.fd);
    g.peer.io = sd_event_source_disable_unref(g.peer.io);
    g.peer.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    run(false);
    expect(FINDING_PORT_CLOSED, "cloud", "127.0.0.1", "systemctl restart gatehouse");
}

/* The number behind child-N, as add_device() gave it. */
static void key_of(const char *identity, uint8_t ret[32])
{
    struct secret *key = scratch_key(g.scratch, (unsigned)atoi(identity + strlen("child-")) + 1, 32);

    memcpy(ret, key->bytes, 32);
    secret_free(key);
}

static void test_devices_beyond_the_bound_are_counted(void **state)
{
    for (unsigned i = 0; i < ALL_DEVICES; i++)
        add_device(i + 1);
    g.peer.key_of = key_of;
    run(true);
    expect(FINDING_NOT_LOOKED, "cloud", "2 more devices", "");
    run_until(g.scratch->event, g.peer.handshakes == CHECK_TRIES);
}

#define WITH_PEER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PEER(test_a_good_key_is_shown_once),
        WITH_PEER(test_a_refusal_is_believed_when_it_comes_twice),
        WITH_PEER(test_the_way_that_all_share_is_tried_once),
        WITH_PEER(test_keys_that_are_not_there_are_no_tries),
        WITH_PEER(test_a_device_that_is_disabled_is_left_alone),
        WITH_PEER(test_a_staged_key_is_not_shown),
        WITH_PEER(test_without_a_vault_the_way_is_looked_at),
        WITH_PEER(test_devices_beyond_the_bound_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
