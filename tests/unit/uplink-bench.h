/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One child's session to a peer in the event loop of the test, and what its owner is told. Included after
 * vault-scratch.h and a peer's header. */

#include "base/worker.h"
#include "uplink/session.h"

struct bench {
    struct scratch *scratch;
    sd_event *event;
    struct workers *workers;
    struct uplink *uplink;
    struct uplink_session *session;
    struct vault_entry *entry;
    enum uplink_state state;
    char reason[512];
    enum uplink_result result;
    bool full;
    unsigned states, results;
    unsigned answers, notifications;
    int r;
    uint8_t code;
    char payload[256];
};

static void bench_state(void *userdata, enum uplink_state state, const char *reason)
{
    struct bench *b = userdata;

    b->state = state;
    b->states++;
    snprintf(b->reason, sizeof(b->reason), "%s", reason);
}

static void bench_result(void *userdata, enum uplink_result result, bool full, const char *reason)
{
    struct bench *b = userdata;

    b->result = result;
    b->full = full;
    b->results++;
}

static int bench_introduce(void *userdata, struct uplink_introduction *ret)
{
    *ret = (struct uplink_introduction){.client_id = strdup("boiler-1")};
    return ret->client_id ? 0 : -ENOMEM;
}

static const struct uplink_session_ops bench_ops = {
    .state = bench_state, .result = bench_result, .introduce = bench_introduce};

static inline void bench_done(int r, const struct uplink_response *response, void *userdata)
{
    struct bench *b = userdata;

    b->answers++;
    b->r = r;
    if (r < 0)
        return;
    b->code = response->code;
    snprintf(b->payload, sizeof(b->payload), "%.*s", (int)response->payload_size, (const char *)response->payload);
}

static inline void bench_notified(int r, const struct uplink_response *response, void *userdata)
{
    struct bench *b = userdata;

    b->notifications++;
    b->r = r;
    if (r >= 0)
        snprintf(b->payload, sizeof(b->payload), "%.*s", (int)response->payload_size, (const char *)response->payload);
}

/* The credential number 1 in slot main of boiler-1. */
static inline void bench_begin(struct bench *b, struct scratch *scratch, const struct uplink_options *options)
{
    struct error e = {0};

    *b = (struct bench){.scratch = scratch, .event = scratch->event};
    if (scratch_put(scratch, "boiler-1", VAULT_MAIN, "child-1", 1, &e) < 0)
        fail_msg("%s", e.text);
    b->entry = vault_find(scratch->vault, "boiler-1", "cloud");
    assert_non_null(b->entry);
    assert_int_equal(workers_new(b->event, 1, &b->workers), 0);
    if (uplink_new(b->event, b->workers, scratch->vault, options, &b->uplink, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(uplink_session_new(b->uplink, &bench_ops, b, &b->session), 0);
}

static inline void bench_end(struct bench *b)
{
    b->session = uplink_session_free(b->session);
    b->uplink = uplink_free(b->uplink);
    b->workers = workers_free(b->workers);
}

static inline void bench_key(struct scratch *scratch, unsigned number, uint8_t ret[32])
{
    struct secret *key = scratch_key(scratch, number, 32);

    memcpy(ret, key->bytes, 32);
    secret_free(key);
}
