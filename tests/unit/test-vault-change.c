/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes and commits: what is put is found again after a reopen, what fails leaves no trace, nothing is held twice. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

static void test_put_swap_forget(void **state)
{
    struct scratch *s = *state;
    const struct vault_credential *c;
    struct vault_entry *entry;
    struct vault_change *change;
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    size_t n;

    assert_int_equal(scratch_put(s, "boiler-1", VAULT_MAIN, "id-1", 1, NULL), 0);
    assert_int_equal(scratch_put(s, "boiler-1", VAULT_BACKUP, "id-2", 2, NULL), 0);
    entry = vault_find(s->vault, "boiler-1", "cloud");
    c = vault_credential(entry, VAULT_MAIN);
    assert_string_equal(c->identity, "id-1");
    assert_int_equal(strlen(c->fingerprint), 16);
    strcpy(fingerprint, c->fingerprint);

    change = vault_change_new(s->vault, "boiler-1", "cloud");
    vault_change_swap(change);
    vault_change_cloud_id(change, VAULT_MAIN, "cloud-77");
    vault_change_counter(change, 7);
    vault_change_counter(change, 5);
    vault_change_authenticated(change, VAULT_BACKUP, 1234567);
    vault_change_rotation(change, "state", 5);
    assert_int_equal(vault_commit_sync(s->vault, change, NULL), 0);

    for (int again = 0; again < 2; again++) {
        entry = vault_find(s->vault, "boiler-1", "cloud");
        c = vault_credential(entry, VAULT_MAIN);
        assert_string_equal(c->identity, "id-2");
        assert_string_equal(c->cloud_id, "cloud-77");
        assert_true(c->generation == 2);
        c = vault_credential(entry, VAULT_BACKUP);
        assert_string_equal(c->identity, "id-1");
        assert_string_equal(c->fingerprint, fingerprint);
        assert_true(c->last_authenticated == 1234567);
        assert_true(vault_identity_counter(entry) == 7);
        assert_memory_equal(vault_rotation(entry, &n), "state", 5);
        assert_int_equal(n, 5);
        scratch_expect_key(s, "boiler-1", VAULT_MAIN, 2);
        scratch_expect_key(s, "boiler-1", VAULT_BACKUP, 1);
        scratch_reopen(s);
    }

    change = vault_change_new(s->vault, "boiler-1", "cloud");
    vault_change_forget(change, VAULT_BACKUP);
    vault_change_rotation(change, NULL, 0);
    assert_int_equal(vault_commit_sync(s->vault, change, NULL), 0);
    scratch_reopen(s);
    entry = vault_find(s->vault, "boiler-1", "cloud");
    assert_false(vault_credential(entry, VAULT_BACKUP)->present);
    assert_null(vault_rotation(entry, &n));
    scratch_expect_key(s, "boiler-1", VAULT_MAIN, 2);
}

static void test_remove_keeps_counters(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c;
    struct vault_entry *entry;

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "id-9", 1, NULL), 0);
    c = vault_change_new(s->vault, "a", "cloud");
    vault_change_counter(c, 9);
    vault_change_remove(c);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    assert_null(vault_find(s->vault, "a", "cloud"));
    assert_null(vault_next(s->vault, NULL));
    assert_int_equal(vault_entries(s->vault), 0);
    scratch_reopen(s);
    assert_null(vault_find(s->vault, "a", "cloud"));
    /* Its identity is free again, its key never. */
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "id-9", 1, NULL), -EEXIST);
    assert_int_equal(scratch_put(s, "b", VAULT_MAIN, "id-9", 1, NULL), -EEXIST);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "id-9", 2, NULL), 0);
    entry = vault_find(s->vault, "a", "cloud");
    assert_true(vault_identity_counter(entry) == 9);
    assert_true(vault_credential(entry, VAULT_MAIN)->generation == 2);
    assert_int_equal(vault_entries(s->vault), 1);
}

static void expect_refused(struct scratch *s, const char *device, enum vault_slot slot, const char *identity,
                           unsigned number, int r, const char *named)
{
    struct error e = {0};

    assert_int_equal(scratch_put(s, device, slot, identity, number, &e), r);
    if (!strstr(e.text, named))
        fail_msg("'%s' does not name %s", e.text, named);
}

static void test_uniqueness(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c;

    assert_int_equal(scratch_put(s, "boiler-1", VAULT_MAIN, "id-1", 1, NULL), 0);
    for (int again = 0; again < 2; again++) {
        expect_refused(s, "boiler-2", VAULT_MAIN, "id-2", 1, -EEXIST, "boiler-1");
        expect_refused(s, "boiler-2", VAULT_MAIN, "id-1", 2, -EADDRINUSE, "boiler-1");
        expect_refused(s, "boiler-1", VAULT_BACKUP, "id-2", 1, -EEXIST, "boiler-1");
        expect_refused(s, "boiler-1", VAULT_BACKUP, "id-1", 2, -EADDRINUSE, "boiler-1");
        scratch_reopen(s);
    }
    /* A retired key stays taken, the identity that it had does not; a mistyped identity can be mended with its key. */
    assert_int_equal(scratch_put(s, "boiler-1", VAULT_MAIN, "id-1b", 1, NULL), 0);
    assert_int_equal(scratch_put(s, "boiler-1", VAULT_MAIN, "id-3", 3, NULL), 0);
    for (int again = 0; again < 2; again++) {
        expect_refused(s, "boiler-2", VAULT_MAIN, "id-2", 1, -EEXIST, "boiler-1");
        expect_refused(s, "boiler-1", VAULT_MAIN, "id-3", 1, -EEXIST, "boiler-1");
        scratch_reopen(s);
    }
    assert_int_equal(scratch_put(s, "boiler-2", VAULT_MAIN, "id-1", 4, NULL), 0);
    scratch_expect_key(s, "boiler-1", VAULT_MAIN, 3);

    /* A registrar that replaces has one identity for both slots. */
    for (int shares = 0; shares < 2; shares++) {
        _cleanup_(secret_freep) struct secret *key = scratch_key(s, 5, 32);

        c = vault_change_new(s->vault, "boiler-2", "cloud");
        assert_int_equal(
            vault_change_put(c, VAULT_BACKUP, "id-1", VAULT_PSK, key, shares ? VAULT_SHARES_IDENTITY : 0, NULL),
            shares ? 0 : -EADDRINUSE);
        assert_int_equal(vault_commit_sync(s->vault, c, NULL), shares ? 0 : -EADDRINUSE);
    }
    c = vault_change_new(s->vault, "boiler-2", "cloud");
    vault_change_swap(c);
    vault_change_forget(c, VAULT_BACKUP);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    expect_refused(s, "boiler-3", VAULT_MAIN, "id-1", 6, -EADDRINUSE, "boiler-2");
}

static void test_uniqueness_across_encodings(void **state)
{
    struct scratch *s = *state;
    _cleanup_(secret_freep) struct secret *text = NULL, *bytes = NULL;
    struct vault_change *c;

    /* The same key bytes from base64 and from hex collide; the text of that hex is another key. */
    assert_int_equal(secret_new(s->arena, &text), 0);
    assert_int_equal(secret_new(s->arena, &bytes), 0);
    memcpy(text->bytes, "8f3a01b2c4d5e6978899a0b1c2d3e4f5", text->size = 32);
    memcpy(bytes->bytes, "\x8f\x3a\x01\xb2\xc4\xd5\xe6\x97\x88\x99\xa0\xb1\xc2\xd3\xe4\xf5", bytes->size = 16);
    c = vault_change_new(s->vault, "a", "cloud");
    assert_int_equal(vault_change_put(c, VAULT_MAIN, "a", VAULT_PSK, bytes, 0, NULL), 0);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    c = vault_change_new(s->vault, "b", "cloud");
    assert_int_equal(vault_change_put(c, VAULT_MAIN, "b", VAULT_PSK, bytes, 0, NULL), -EEXIST);
    vault_change_free(c);
    c = vault_change_new(s->vault, "b", "cloud");
    assert_int_equal(vault_change_put(c, VAULT_MAIN, "b", VAULT_PSK, text, 0, NULL), 0);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
}

static void test_uniqueness_of_what_waits(void **state)
{
    struct scratch *s = *state;
    struct vault_change *first = vault_change_new(s->vault, "a", "cloud"), *second;
    struct error e = {0};

    assert_int_equal(scratch_put_in(first, s, VAULT_MAIN, "id", 1, NULL), 0);
    second = vault_change_new(s->vault, "b", "cloud");
    assert_int_equal(scratch_put_in(second, s, VAULT_MAIN, "other", 1, &e), -EEXIST);
    assert_non_null(strstr(e.text, "device a "));
    vault_change_free(second);
    second = vault_change_new(s->vault, "b", "cloud");
    assert_int_equal(scratch_put_in(second, s, VAULT_MAIN, "id", 2, &e), -EADDRINUSE);
    vault_change_free(second);
    /* What is never committed holds nothing. */
    vault_change_free(first);
    assert_int_equal(scratch_put(s, "b", VAULT_MAIN, "id", 1, NULL), 0);
    /* Two slots, one identity, in one change. */
    first = vault_change_new(s->vault, "c", "cloud");
    scratch_put_in(first, s, VAULT_MAIN, "same", 3, NULL);
    scratch_put_in(first, s, VAULT_BACKUP, "same", 4, NULL);
    assert_int_equal(vault_commit_sync(s->vault, first, NULL), -EADDRINUSE);
    assert_null(vault_find(s->vault, "c", "cloud"));
}

static const struct {
    const char *name, *identity;
    size_t identity_size, key_size;
    int r;
} forms[] = {
    {"shortest", "i", 0, 16, 0},
    {"longest", NULL, 128, 64, 0},
    {"utf-8 and colon", "gerät:7@projekt", 0, 32, 0},
    {"key too short", "i", 0, 15, -EINVAL},
    {"key too long", "i", 0, 65, -EINVAL},
    {"no identity", "", 0, 32, -EINVAL},
    {"identity too long", NULL, 129, 32, -EINVAL},
    {"control character", "a\nb", 0, 32, -EINVAL},
    {"C1 control character", "a\xc2\x85", 0, 32, -EINVAL},
    {"overlong", "a\xc0\xaf", 0, 32, -EINVAL},
    {"cut off", "a\xe2\x82", 0, 32, -EINVAL},
};

static void test_forms(void **state)
{
    struct scratch *s = *state;

    for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
        _cleanup_(secret_freep) struct secret *key = scratch_key(s, (unsigned)i + 1, forms[i].key_size), *back = NULL;
        struct vault_change *c = vault_change_new(s->vault, "device", "cloud");
        char identity[256];

        if (forms[i].identity)
            strcpy(identity, forms[i].identity);
        else
            memset(identity, 'x', forms[i].identity_size), identity[forms[i].identity_size] = 0;
        if (vault_change_put(c, VAULT_MAIN, identity, VAULT_PSK, key, 0, NULL) != forms[i].r)
            fail_msg("%s", forms[i].name);
        assert_int_equal(vault_commit_sync(s->vault, c, NULL), forms[i].r);
        if (forms[i].r < 0)
            continue;
        scratch_reopen(s);
        assert_int_equal(vault_key_open(s->vault, vault_find(s->vault, "device", "cloud"), VAULT_MAIN, &back, NULL), 0);
        assert_int_equal(back->size, forms[i].key_size);
        assert_memory_equal(back->bytes, key->bytes, key->size);
    }
}

static void test_weak_refused_unless_forced(void **state)
{
    struct scratch *s = *state;
    _cleanup_(secret_freep) struct secret *key = NULL;

    assert_int_equal(secret_new(s->arena, &key), 0);
    key->size = 32;
    for (int force = 0; force < 2; force++) {
        struct vault_change *c = vault_change_new(s->vault, "a", "cloud");

        vault_change_put(c, VAULT_MAIN, "id", VAULT_PSK, key, force ? VAULT_FORCE_WEAK : 0, NULL);
        assert_int_equal(vault_commit_sync(s->vault, c, NULL), force ? 0 : -EKEYREJECTED);
    }
}

static void test_steps_that_cannot_be(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c;
    uint8_t big[VAULT_ROTATION_MAX + 1] = {0};

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "id", 1, NULL), 0);
    c = vault_change_new(s->vault, "a", "cloud");
    vault_change_swap(c);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), -ENOENT);
    c = vault_change_new(s->vault, "a", "cloud");
    vault_change_cloud_id(c, VAULT_BACKUP, "x");
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), -ENOENT);
    c = vault_change_new(s->vault, "a", "cloud");
    assert_int_equal(vault_change_rotation(c, big, sizeof(big)), -EMSGSIZE);
    vault_change_forget(c, VAULT_MAIN);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), -EMSGSIZE);
    c = vault_change_new(s->vault, "../a", "cloud");
    assert_int_equal(scratch_put_in(c, s, VAULT_MAIN, "id-2", 2, NULL), -EINVAL);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), -EINVAL);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
}

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

static void run_until_idle(struct scratch *s)
{
    while (vault_pending(s->vault) > 0)
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
}

/* Those on the same way at once come together in one transaction; who is alone does not wait for ever. */
static void test_gathered(void **state)
{
    struct scratch *s = *state;
    struct vault_stats before, after;
    struct log log = {0};
    struct vault_change *c;

    vault_stats(s->vault, &before);
    vault_gather(s->vault, 3, 60 * USEC_PER_SEC);
    for (unsigned i = 1; i <= 3; i++) {
        char device[16];

        /* A turn of the loop between each and the next. */
        while (sd_event_run(s->event, 0) > 0)
            ;
        assert_int_equal(log.calls, 0);
        snprintf(device, sizeof(device), "d%u", i);
        c = vault_change_new(s->vault, device, "cloud");
        scratch_put_in(c, s, VAULT_MAIN, device, i, NULL);
        assert_int_equal(vault_commit(s->vault, c, on_done, &log), 0);
    }
    run_until_idle(s);
    vault_stats(s->vault, &after);
    assert_int_equal(after.commits - before.commits, 1);
    assert_int_equal(log.calls, 3);
    vault_gather(s->vault, 3, USEC_PER_MSEC);
    c = vault_change_new(s->vault, "d4", "cloud");
    scratch_put_in(c, s, VAULT_MAIN, "d4", 4, NULL);
    assert_int_equal(vault_commit(s->vault, c, on_done, &log), 0);
    run_until_idle(s);
    assert_int_equal(log.calls, 4);
    /* What waits when nobody else will come any more goes at once. */
    vault_gather(s->vault, 3, 60 * USEC_PER_SEC);
    c = vault_change_new(s->vault, "d5", "cloud");
    scratch_put_in(c, s, VAULT_MAIN, "d5", 5, NULL);
    assert_int_equal(vault_commit(s->vault, c, on_done, &log), 0);
    vault_gather(s->vault, 1, 0);
    run_until_idle(s);
    assert_int_equal(log.calls, 5);
    assert_int_equal(log.last, 0);
}

/* What is of no device has a place of its own, which no device can have. */
static void test_fleet_entry(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c = vault_change_new(s->vault, VAULT_FLEET, VAULT_FLEET);
    size_t n;

    vault_change_rotation(c, "record", 6);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    scratch_reopen(s);
    assert_non_null(vault_find(s->vault, VAULT_FLEET, VAULT_FLEET));
    assert_memory_equal(vault_rotation(vault_find(s->vault, VAULT_FLEET, VAULT_FLEET), &n), "record", 6);
    assert_int_equal(vault_verify_sync(s->vault, &(struct vault_verify_handler){0}, NULL), 0);
    c = vault_change_new(s->vault, VAULT_FLEET, VAULT_FLEET);
    vault_change_remove(c);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    scratch_reopen(s);
    assert_null(vault_find(s->vault, VAULT_FLEET, VAULT_FLEET));
    c = vault_change_new(s->vault, VAULT_FLEET, "cloud");
    vault_change_rotation(c, "record", 6);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), -EINVAL);
    c = vault_change_new(s->vault, "d1", VAULT_FLEET);
    vault_change_rotation(c, "record", 6);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), -EINVAL);
}

static void test_grouped(void **state)
{
    struct scratch *s = *state;
    struct vault_stats before, after;
    struct log log = {0}, bad = {0};
    struct vault_change *c;

    vault_stats(s->vault, &before);
    for (unsigned i = 1; i <= 1000; i++) {
        char device[16];

        snprintf(device, sizeof(device), "d%u", i);
        c = vault_change_new(s->vault, device, "cloud");
        scratch_put_in(c, s, VAULT_MAIN, device, i, NULL);
        assert_int_equal(vault_commit(s->vault, c, on_done, &log), 0);
    }
    /* One that cannot be, in the midst of them, and a second change to the same entry. */
    c = vault_change_new(s->vault, "d1", "cloud");
    vault_change_swap(c);
    vault_commit(s->vault, c, on_done, &bad);
    c = vault_change_new(s->vault, "d1", "cloud");
    scratch_put_in(c, s, VAULT_BACKUP, "d1-b", 5000, NULL);
    vault_commit(s->vault, c, on_done, &log);
    c = vault_change_new(s->vault, "d1", "cloud");
    vault_change_swap(c);
    vault_commit(s->vault, c, on_done, &log);
    assert_int_equal(log.calls, 0);
    assert_null(vault_find(s->vault, "d1", "cloud"));
    assert_int_equal(vault_pending(s->vault), 1003);
    run_until_idle(s);
    assert_int_equal(log.calls, 1002);
    assert_int_equal(log.last, 0);
    assert_int_equal(bad.last, -ENOENT);
    vault_stats(s->vault, &after);
    assert_int_equal(after.commits - before.commits, (1003 + VAULT_BATCH_MAX - 1) / VAULT_BATCH_MAX);
    assert_int_equal(after.changes - before.changes, 1002);
    assert_int_equal(vault_entries(s->vault), 1000);
    scratch_reopen(s);
    scratch_expect_key(s, "d1", VAULT_MAIN, 5000);
    scratch_expect_key(s, "d1", VAULT_BACKUP, 1);
    scratch_expect_key(s, "d1000", VAULT_MAIN, 1000);
}

/* A change committed from within `done`, as the rotation does it. */
struct chain {
    struct scratch *s;
    unsigned left;
};

static void on_chain(int r, const struct error *e, void *userdata)
{
    struct chain *chain = userdata;
    struct vault_change *c;

    assert_int_equal(r, 0);
    if (chain->left-- == 0)
        return;
    c = vault_change_new(chain->s->vault, "a", "cloud");
    vault_change_swap(c);
    vault_commit(chain->s->vault, c, on_chain, chain);
}

static void test_chained_and_flushed(void **state)
{
    struct scratch *s = *state;
    struct chain chain = {s, 3};
    struct log log = {0};
    struct vault_change *c;

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "id-1", 1, NULL), 0);
    assert_int_equal(scratch_put(s, "a", VAULT_BACKUP, "id-2", 2, NULL), 0);
    on_chain(0, NULL, &chain);
    run_until_idle(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 2);
    /* Shutdown: what is on the worker and what waits are both kept, without the loop. */
    chain.left = 1;
    on_chain(0, NULL, &chain);
    assert_true(sd_event_run(s->event, 0) >= 0);
    c = vault_change_new(s->vault, "a", "cloud");
    vault_change_forget(c, VAULT_BACKUP);
    vault_commit(s->vault, c, on_done, &log);
    assert_int_equal(vault_flush(s->vault), 0);
    assert_int_equal(vault_pending(s->vault), 0);
    assert_int_equal(log.calls, 1);
    scratch_reopen(s);
    assert_false(vault_credential(vault_find(s->vault, "a", "cloud"), VAULT_BACKUP)->present);
}

/* Its owner goes while the change waits, or is on the worker: nothing is called that could reach it, and it is kept. */
static void test_left(void **state)
{
    static const char *const devices[] = {"a", "b", "c"};
    struct scratch *s = *state;
    struct log logs[ELEMENTSOF(devices)] = {0};
    struct vault_change *c[ELEMENTSOF(devices)];

    for (unsigned i = 0; i < ELEMENTSOF(c); i++) {
        c[i] = vault_change_new(s->vault, devices[i], "cloud");
        scratch_put_in(c[i], s, VAULT_MAIN, devices[i], i + 1, NULL);
        assert_int_equal(vault_commit(s->vault, c[i], on_done, &logs[i]), 0);
    }
    vault_change_leave(c[0]);
    assert_true(sd_event_run(s->event, 0) >= 0); /* begins the transaction */
    vault_change_leave(c[1]);
    vault_change_leave(NULL);
    run_until_idle(s);
    assert_int_equal(logs[0].calls, 0);
    assert_int_equal(logs[1].calls, 0);
    assert_int_equal(logs[2].calls, 1);
    scratch_reopen(s);
    for (unsigned i = 0; i < ELEMENTSOF(c); i++)
        scratch_expect_key(s, devices[i], VAULT_MAIN, i + 1);
}

static void test_closing_answers(void **state)
{
    struct scratch *s = *state;
    struct log log = {0};
    struct vault_change *c = vault_change_new(s->vault, "a", "cloud");

    scratch_put_in(c, s, VAULT_MAIN, "id", 1, NULL);
    vault_commit(s->vault, c, on_done, &log);
    s->vault = vault_free(s->vault);
    assert_int_equal(log.calls, 1);
    assert_int_equal(log.last, -ECANCELED);
    assert_int_equal(scratch_open(s, NULL), 0);
    assert_null(vault_find(s->vault, "a", "cloud"));
}

static void test_forgetting_truncates_the_log(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c;
    struct vault_stats stats;
    char wal[128];
    struct stat st;

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "id", 1, NULL), 0);
    snprintf(wal, sizeof(wal), "%s-wal", s->path);
    assert_int_equal(stat(wal, &st), 0);
    assert_true(st.st_size > 0);
    c = vault_change_new(s->vault, "a", "cloud");
    vault_change_forget(c, VAULT_MAIN);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_size, 0);
    vault_stats(s->vault, &stats);
    assert_int_equal(stats.checkpoints, 1);
}

static void test_opaque_id(void **state)
{
    struct scratch *s = *state;
    char first[OPAQUE_ID_SIZE], again[OPAQUE_ID_SIZE], other[OPAQUE_ID_SIZE];

    assert_int_equal(vault_opaque_id(s->vault, "boiler-1", first), 0);
    assert_int_equal(vault_opaque_id(s->vault, "boiler-2", other), 0);
    scratch_reopen(s);
    assert_int_equal(vault_opaque_id(s->vault, "boiler-1", again), 0);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    assert_int_equal(strspn(first, "abcdefghijklmnopqrstuvwxyz234567"), 10);
    assert_int_equal(strlen(first), 10);
}

static enum vault_registration registration_of(struct scratch *s)
{
    return vault_registration(vault_find(s->vault, "boiler-1", "cloud"));
}

static int set_registration(struct scratch *s, enum vault_registration registration)
{
    struct vault_change *change = vault_change_new(s->vault, "boiler-1", "cloud");

    vault_change_registration(change, registration);
    return vault_commit_sync(s->vault, change, NULL);
}

/* It outlives a restart, and is the main credential's: with that it ends. */
static void test_registration(void **state)
{
    struct scratch *s = *state;
    struct vault_change *change;

    assert_int_equal(set_registration(s, VAULT_REGISTRATION_WAITING), -ENOENT);
    assert_int_equal(scratch_put(s, "boiler-1", VAULT_MAIN, "id-1", 1, NULL), 0);
    assert_int_equal(registration_of(s), VAULT_REGISTERED);
    for (int i = VAULT_REGISTRATION_WAITING; i <= VAULT_REGISTRATION_CONFLICT; i++) {
        assert_int_equal(set_registration(s, (enum vault_registration)i), 0);
        scratch_reopen(s);
        assert_int_equal(registration_of(s), i);
    }
    assert_int_equal(scratch_put(s, "boiler-1", VAULT_BACKUP, "id-2", 2, NULL), 0);
    assert_int_equal(registration_of(s), VAULT_REGISTRATION_CONFLICT);
    change = vault_change_new(s->vault, "boiler-1", "cloud");
    vault_change_swap(change);
    assert_int_equal(vault_commit_sync(s->vault, change, NULL), 0);
    assert_int_equal(registration_of(s), VAULT_REGISTERED);
    assert_int_equal(set_registration(s, VAULT_REGISTRATION_OFFERED), 0);
    change = vault_change_new(s->vault, "boiler-1", "cloud");
    vault_change_forget(change, VAULT_MAIN);
    assert_int_equal(vault_commit_sync(s->vault, change, NULL), 0);
    assert_int_equal(registration_of(s), VAULT_REGISTERED);
    scratch_reopen(s);
    assert_int_equal(registration_of(s), VAULT_REGISTERED);
}

#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_registration),
        SCRATCH_TEST(test_put_swap_forget),
        SCRATCH_TEST(test_remove_keeps_counters),
        SCRATCH_TEST(test_uniqueness),
        SCRATCH_TEST(test_uniqueness_across_encodings),
        SCRATCH_TEST(test_uniqueness_of_what_waits),
        SCRATCH_TEST(test_forms),
        SCRATCH_TEST(test_weak_refused_unless_forced),
        SCRATCH_TEST(test_steps_that_cannot_be),
        SCRATCH_TEST(test_grouped),
        SCRATCH_TEST(test_gathered),
        SCRATCH_TEST(test_fleet_entry),
        SCRATCH_TEST(test_chained_and_flushed),
        SCRATCH_TEST(test_left),
        SCRATCH_TEST(test_closing_answers),
        SCRATCH_TEST(test_forgetting_truncates_the_log),
        SCRATCH_TEST(test_opaque_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
