/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What had been handed over by a moment is durable at some time, however much follows it, and is not said to be
 * before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

struct log {
    unsigned calls;
    int last;
};

static void on_done(int r, const struct error *e, void *userdata)
{
    struct log *log = userdata;

    log->calls++;
    log->last = r;
}

static void hand_over(struct scratch *s, const char *device, unsigned seed, struct log *log)
{
    struct vault_change *c = vault_change_new(s->vault, device, "cloud");

    scratch_put_in(c, s, VAULT_MAIN, device, seed, NULL);
    assert_int_equal(vault_commit(s->vault, c, on_done, log), 0);
}

/* Each end hands over the next, so that something is open at every look. */
struct flow {
    struct scratch *s;
    unsigned changes;
    bool over;
};

static void flow_on(int r, const struct error *e, void *userdata)
{
    struct flow *flow = userdata;
    struct vault_change *c;

    assert_int_equal(r, 0);
    if (flow->over)
        return;
    flow->changes++;
    c = vault_change_new(flow->s->vault, "flow", "cloud");
    vault_change_swap(c);
    assert_int_equal(vault_commit(flow->s->vault, c, flow_on, flow), 0);
}

static void run_until_idle(struct scratch *s)
{
    while (vault_pending(s->vault) > 0)
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
}

static void test_flow(void **state)
{
    struct scratch *s = *state;
    struct vault_handed handed = vault_handed(s->vault);
    struct flow flow = {s, 0, false};
    struct log log = {0};
    unsigned before;

    assert_true(vault_settled(s->vault, &handed));
    assert_int_equal(scratch_put(s, "flow", VAULT_MAIN, "id-1", 1, NULL), 0);
    assert_int_equal(scratch_put(s, "flow", VAULT_BACKUP, "id-2", 2, NULL), 0);
    flow_on(0, NULL, &flow);
    assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0); /* the first is on the worker */
    hand_over(s, "a", 'a', &log);
    handed = vault_handed(s->vault);
    before = flow.changes;
    while (!vault_settled(s->vault, &handed)) {
        assert_int_equal(log.calls, 0);
        assert_true(flow.changes <= before + 1);
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
    }
    assert_int_equal(log.calls, 1);
    assert_int_equal(log.last, 0);
    assert_true(vault_pending(s->vault) > 0);
    flow.over = true;
    run_until_idle(s);
    assert_true(vault_settled(s->vault, &handed));
}

/* Blocks the caller for one transaction at a time, however much is queued; nothing is left when none is pending. */
static void test_a_shutdown_commits_in_parts(void **state)
{
    struct scratch *s = *state;
    struct log log = {0};
    size_t queued = 2 * VAULT_BATCH_MAX + 1, left;
    char device[16];

    for (unsigned i = 0; i < queued; i++) {
        snprintf(device, sizeof(device), "d%u", i);
        hand_over(s, device, i, &log);
    }
    while ((left = vault_pending(s->vault)) > 0) {
        assert_int_equal(vault_flush_batch(s->vault), 0);
        assert_true(vault_pending(s->vault) < left);
        assert_true(left - vault_pending(s->vault) <= VAULT_BATCH_MAX);
    }
    assert_int_equal(log.calls, queued);
    assert_int_equal(log.last, 0);
    assert_int_equal(vault_flush_batch(s->vault), 0);
}

/* One that comes later goes first: that is not the end of what was there before. */
static void test_rekey_overtakes(void **state)
{
    struct scratch *s = *state;
    struct vault_handed before, after;
    struct log log = {0}, rekey = {0};
    struct error e = {0};

    hand_over(s, "a", 'a', &log);
    before = vault_handed(s->vault);
    assert_int_equal(vault_rekey(s->vault, scratch_key(s, 9, KEYFILE_SIZE), on_done, &rekey, &e), 0);
    after = vault_handed(s->vault);
    while (rekey.calls == 0)
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
    assert_int_equal(rekey.last, 0);
    assert_int_equal(log.calls, 0);
    assert_false(vault_settled(s->vault, &before));
    while (log.calls == 0)
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
    assert_true(vault_settled(s->vault, &before) && vault_settled(s->vault, &after));
    assert_int_equal(vault_pending(s->vault), 0);
}

/* A rekey is waited for as well, and what fails has ended, too. */
static void test_rekey_and_failure(void **state)
{
    struct scratch *s = *state;
    struct vault_handed handed;
    struct log log = {0}, rekey = {0};
    struct vault_change *c;
    struct error e = {0};

    assert_int_equal(vault_rekey(s->vault, scratch_key(s, 9, KEYFILE_SIZE), on_done, &rekey, &e), 0);
    handed = vault_handed(s->vault);
    assert_false(vault_settled(s->vault, &handed));
    run_until_idle(s);
    assert_true(vault_settled(s->vault, &handed));
    c = vault_change_new(s->vault, "none", "cloud");
    vault_change_swap(c);
    assert_int_equal(vault_commit(s->vault, c, on_done, &log), 0);
    handed = vault_handed(s->vault);
    assert_false(vault_settled(s->vault, &handed));
    run_until_idle(s);
    assert_int_equal(log.last, -ENOENT);
    assert_true(vault_settled(s->vault, &handed));
}

#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_flow),
        SCRATCH_TEST(test_a_shutdown_commits_in_parts),
        SCRATCH_TEST(test_rekey_overtakes),
        SCRATCH_TEST(test_rekey_and_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
