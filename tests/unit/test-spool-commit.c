/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When a sample is safe, and what a restart finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "spool-numbers.h"
#include "spool-scratch.h"
#include "spool/store-internal.h"

/* What is left after the agent was killed, by durability and line. */
static void test_durabilities(void **state)
{
    static const struct {
        enum spool_durability durability;
        bool up;
        int64_t left;
    } table[] = {
        {SPOOL_ALWAYS, false, 10}, {SPOOL_ALWAYS, true, 10}, {SPOOL_OUTAGE, false, 10},
        {SPOOL_OUTAGE, true, 0},   {SPOOL_MEMORY, false, 0}, {SPOOL_MEMORY, true, 0},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        struct scratch x;
        struct stat st;

        scratch_init(&x, table[i].durability);
        spool_line(spool_device(x.spool, "d"), table[i].up);
        for (int64_t k = 0; k < 10; k++)
            assert_int_equal(put(&x, "d", k), 1);
        assert_int_equal(stat(x.path, &st) >= 0, table[i].durability != SPOOL_MEMORY);
        if (table[i].durability != SPOOL_MEMORY)
            assert_int_equal(st.st_mode & 0777, 0600);
        scratch_kill(&x);
        scratch_start(&x);
        assert_int_equal(counts_of(&x, "d").queued, table[i].left);
        expect(&x, "d", 0, table[i].left);
        scratch_done(&x);
    }
}

/* The line goes: what was queued is written first, in order. Old samples, and many, are written while it is up. */
static void test_outage(void **state)
{
    struct error e = {0};
    struct scratch x;
    struct spool_device *d;

    scratch_init(&x, SPOOL_OUTAGE);
    d = spool_device(x.spool, "d");
    spool_line(d, true);
    put(&x, "d", 0);
    spool_tick(x.spool, NOW + 3 * USEC_PER_SEC);
    assert_int_equal(x.spool->account.disk, 0);
    spool_tick(x.spool, NOW + 4 * USEC_PER_SEC);
    assert_true(x.spool->account.disk > 0); /* within 5 s */
    put(&x, "d", 1);
    spool_line(d, false);
    assert_int_equal(segments_unwritten(&d->segments), 0);
    put(&x, "d", 2);
    spool_line(d, true);
    for (int64_t k = 3; x.spool->account.unwritten > 0 || k < 10; k++) {
        put(&x, "d", k);
        assert_true(x.spool->account.unwritten_bytes <= SPOOL_UNWRITTEN_BYTES + 4096);
        assert_true(k < 1000000);
    }
    /* An accepted sample is not written when its time comes. */
    expect(&x, "d", 0, (int64_t)counts_of(&x, "d").queued);
    assert_int_equal(x.spool->account.disk, 0);
    put(&x, "d", 0);
    spool_accept(d, 1);
    spool_tick(x.spool, NOW + 60 * USEC_PER_SEC);
    assert_int_equal(x.spool->account.disk, 0);
    assert_int_equal(spool_flush(x.spool, &e), 0);
    assert_null(d->stored);
    scratch_done(&x);
}

/* An outage's samples stand on disk; in memory is what is sent next. */
static void test_window(void **state)
{
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    for (int64_t k = 0; k < 20000; k++)
        assert_int_equal(put(&x, "d", k), 1);
    assert_int_equal(counts_of(&x, "d").queued, 20000);
    assert_true(x.spool->account.memory <= (SPOOL_WINDOW_MAX + 64) * 26);
    assert_true(spool_device(x.spool, "d")->stored->rows.rest.room <= 20000 * 8);
    expect(&x, "d", 0, 10000);
    scratch_kill(&x);
    scratch_start(&x);
    /* The place is committed at times only: some come again, none is missing. */
    assert_true(counts_of(&x, "d").queued >= 10000);
    expect(&x, "d", 20000 - (int64_t)counts_of(&x, "d").queued, 20000);
    assert_true(x.more_of_all > 0);
    scratch_done(&x);
}

/* The end writes how far the cloud is, within a row too, and what was counted. */
static void test_cursor(void **state)
{
    struct sample samples[100];
    struct error e = {0};
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    for (int i = 0; i < 100; i++)
        samples[i] = number("p", REAL + (uint64_t)i, i);
    spool_append(spool_device(x.spool, "d"), NOW, samples, 100, NULL, NULL);
    expect(&x, "d", 0, 0);
    spool_accept(spool_device(x.spool, "d"), 30);
    spool_reject(spool_device(x.spool, "d"), 1, "4.00");
    assert_int_equal(spool_flush(x.spool, &e), 0);
    scratch_kill(&x);
    scratch_start(&x);
    assert_int_equal(counts_of(&x, "d").queued, 69);
    assert_int_equal(counts_of(&x, "d").rejected, 1);
    expect(&x, "d", 31, 100);
    scratch_done(&x);
}

/* Under every durability but `memory` the end writes what is there, and a restart with another one sends it. */
static void test_other_durability(void **state)
{
    static const enum spool_durability table[][2] = {
        {SPOOL_OUTAGE, SPOOL_MEMORY}, {SPOOL_ALWAYS, SPOOL_OUTAGE}, {SPOOL_OUTAGE, SPOOL_ALWAYS}};

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        struct error e = {0};
        struct scratch x;

        scratch_init(&x, table[i][0]);
        spool_line(spool_device(x.spool, "d"), true);
        for (int64_t k = 0; k < 300; k++)
            put(&x, "d", k);
        assert_int_equal(spool_flush(x.spool, &e), 0);
        scratch_kill(&x);
        x.settings.durability = table[i][1];
        scratch_start(&x);
        put(&x, "d", 300);
        expect(&x, "d", 0, 301);
        assert_int_equal(spool_flush(x.spool, &e), 0);
        scratch_kill(&x);
        scratch_start(&x);
        assert_int_equal(counts_of(&x, "d").queued, 0);
        /* In memory only: an empty file is removed. */
        assert_int_equal(access(x.path, F_OK) < 0, table[i][1] == SPOOL_MEMORY);
        scratch_done(&x);
    }
}

static void test_reload(void **state)
{
    struct error e = {0};
    struct scratch x;
    int answer = 0;

    scratch_init(&x, SPOOL_MEMORY);
    for (int64_t k = 0; k < 5; k++)
        put(&x, "d", k);
    x.settings.durability = SPOOL_ALWAYS;
    assert_int_equal(spool_set(x.spool, &x.settings, &e), 0);
    assert_int_equal(segments_unwritten(&spool_device(x.spool, "d")->segments), 0);
    put(&x, "d", 5);
    x.settings.durability = SPOOL_MEMORY;
    assert_int_equal(spool_set(x.spool, &x.settings, &e), 0);
    answer = put(&x, "d", 6);
    assert_int_equal(answer, 1);
    assert_int_equal(segments_unwritten(&spool_device(x.spool, "d")->segments), 1);
    x.settings.durability = SPOOL_OUTAGE;
    assert_int_equal(spool_set(x.spool, &x.settings, &e), 0);
    scratch_kill(&x);
    scratch_start(&x);
    expect(&x, "d", 0, 7);
    scratch_done(&x);
}

/* Beyond the bound the largest share gives way, its oldest first, on disk as in memory. */
static void test_shares(void **state)
{
    struct scratch x;
    uint64_t dropped;

    scratch_init(&x, SPOOL_ALWAYS);
    x.settings.max_bytes = 100000;
    assert_int_equal(spool_set(x.spool, &x.settings, NULL), 0);
    for (int64_t k = 0; k < 100; k++)
        put(&x, "quiet", k);
    for (int64_t k = 0; k < 10000; k++)
        put(&x, "loud", k);
    dropped = counts_of(&x, "loud").dropped;
    assert_true(x.spool->account.disk <= 100000 && dropped > 5000 && dropped < 8500);
    assert_int_equal(counts_of(&x, "quiet").dropped, 0);
    assert_int_equal(counts_of(&x, "loud").queued + dropped, 10000);
    /* Smaller bounds take effect at once, and also on what a restart finds. */
    x.settings.max_bytes = 65536;
    assert_int_equal(spool_set(x.spool, &x.settings, NULL), 0);
    assert_true(x.spool->account.disk <= 65536);
    put(&x, "quiet", 100);
    dropped = counts_of(&x, "loud").dropped;
    scratch_kill(&x);
    scratch_start(&x);
    assert_int_equal(counts_of(&x, "loud").dropped, dropped);
    assert_int_equal(counts_of(&x, "loud").queued + dropped, 10000);
    expect(&x, "loud", (int64_t)dropped, 10000);
    expect(&x, "quiet", 0, 101);
    scratch_done(&x);
}

/* What is under way stays while all else is dropped. */
static void test_held(void **state)
{
    struct scratch x;
    struct sample out[300];
    struct spool_device *d;

    scratch_init(&x, SPOOL_ALWAYS);
    d = spool_device(x.spool, "d");
    for (int64_t k = 0; k < 2000; k++)
        put(&x, "d", k);
    assert_int_equal(spool_peek(d, NOW, 0, out, 200), 200);
    spool_hold(d, 200);
    x.settings.max_bytes = 20000;
    assert_int_equal(spool_set(x.spool, &x.settings, NULL), 0);
    assert_int_equal(spool_peek(d, NOW, 0, out, 201), 201);
    for (int i = 0; i < 200; i++)
        assert_int_equal(out[i].value.x, i);
    assert_true(out[200].value.x > 1000);
    /* Or is too old. */
    for (int64_t k = 2000; k < 2400; k++)
        put(&x, "d", k);
    assert_int_equal(spool_peek(d, NOW + SPOOL_AGE_DEFAULT + 2 * USEC_PER_SEC, 0, out, 300), 200);
    assert_int_equal(counts_of(&x, "d").queued, 200);
    assert_int_equal(out[199].value.x, 199);
    put(&x, "d", 2400);
    spool_accept(d, 200);
    assert_int_equal(spool_peek(d, NOW, 0, out, 1), 1);
    assert_true(out[0].value.x == 2401 - (int64_t)counts_of(&x, "d").queued);
    scratch_done(&x);
}

static void test_age(void **state)
{
    struct scratch x;
    struct sample out;

    scratch_init(&x, SPOOL_ALWAYS);
    for (int64_t k = 0; k < 3000; k++)
        put(&x, "d", k);
    assert_int_equal(spool_peek(spool_device(x.spool, "d"), NOW + SPOOL_AGE_DEFAULT - 10, 0, &out, 1), 1);
    assert_int_equal(spool_peek(spool_device(x.spool, "d"), NOW + SPOOL_AGE_DEFAULT + 2 * USEC_PER_SEC, 0, &out, 1), 0);
    assert_int_equal(counts_of(&x, "d").dropped, 3000);
    assert_int_equal(x.spool->account.disk, 0);
    scratch_done(&x);
}

static void test_forget(void **state)
{
    struct error e = {0};
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    put(&x, "d", 0);
    put(&x, "other", 0);
    spool_forget(spool_device(x.spool, "d"));
    put(&x, "other", 1);
    assert_int_equal(spool_flush(x.spool, &e), 0);
    scratch_kill(&x);
    scratch_start(&x);
    assert_int_equal(counts_of(&x, "d").queued, 0);
    expect(&x, "other", 0, 2);
    scratch_done(&x);
}

/* A device is removed and configured again under the same id, while the file still has rows of it. */
static void test_comes_back(void **state)
{
    struct error e = {0};
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    for (int64_t k = 0; k < 300; k++)
        put(&x, "d", k);
    put(&x, "other", 0);
    for (int64_t k = 0; k < 3; k++) {
        spool_forget(spool_device(x.spool, "d"));
        put(&x, "d", 1000 + k);
        put(&x, "other", 1 + k);
        assert_int_equal(spool_flush(x.spool, &e), 0);
    }
    scratch_kill(&x);
    scratch_start(&x);
    assert_int_equal(x.spool->account.queued, 5);
    expect(&x, "d", 1002, 1003);
    expect(&x, "other", 0, 4);
    scratch_done(&x);
}

/* It is forgotten before the file has been read: what the file has of it goes, what comes to its successor stays. */
static void test_forget_early(void **state)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    const struct sample s = number("p", REAL + 9, 9);
    struct spool_options options;
    struct error e = {0};
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    for (int64_t k = 0; k < 5; k++) {
        put(&x, "d", k);
        put(&x, "again", k);
        put(&x, "other", k);
    }
    scratch_kill(&x);
    assert_int_equal(sd_event_new(&event), 0);
    options = (struct spool_options){.event = event, .path = x.path, .boot = {x.boot}};
    assert_int_equal(spool_new(&x.settings, &options, &x.spool, &e), 0);
    assert_int_equal(x.spool->state, SPOOL_OPENING);
    spool_forget(spool_device(x.spool, "d"));
    spool_forget(spool_device(x.spool, "again"));
    spool_append(spool_device(x.spool, "again"), NOW, &s, 1, NULL, NULL);
    while (x.spool->state == SPOOL_OPENING)
        assert_true(sd_event_run(event, 5 * USEC_PER_SEC) > 0);
    assert_int_equal(counts_of(&x, "d").queued, 0);
    assert_int_equal(counts_of(&x, "again").queued, 1);
    assert_int_equal(counts_of(&x, "other").queued, 5);
    assert_int_equal(spool_flush(x.spool, &e), 0);
    scratch_kill(&x);
    scratch_start(&x);
    assert_int_equal(x.spool->account.queued, 6);
    expect(&x, "again", 9, 10);
    expect(&x, "other", 0, 5);
    scratch_done(&x);
}

/* Forgotten while the file could not be read to its end, whatever was known of it by then. */
static void test_forget_unread(void **state)
{
    for (uint32_t known = 0; known < 2; known++) {
        struct error e = {0};
        struct scratch x;

        scratch_init(&x, SPOOL_ALWAYS);
        put(&x, "d", 0);
        put(&x, "other", 0);
        scratch_kill(&x);
        scratch_start(&x);
        x.spool->state = SPOOL_FAILED;
        spool_device(x.spool, "d")->number *= known;
        spool_forget(spool_device(x.spool, "d"));
        spool_store_free(x.spool->store);
        assert_int_equal(spool_store_new(x.path, &x.spool->store, &e), 0);
        open_begin(x.spool);
        assert_int_equal(x.spool->state, SPOOL_OPEN);
        assert_int_equal(counts_of(&x, "d").queued, 0);
        assert_int_equal(counts_of(&x, "other").queued, 1);
        scratch_done(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durabilities),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_other_durability),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_forget_early),
        cmocka_unit_test(test_forget_unread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
