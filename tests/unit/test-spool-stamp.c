/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times of samples over boots without a clock, clocks that are set late, and clocks that jump. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "spool-scratch.h"

#define SECOND ((int64_t)USEC_PER_SEC)

static void put(struct scratch *x, const char *point, uint64_t time, bool boottime, int64_t value)
{
    struct sample s = number(point, time, value);

    s.quality = boottime ? SAMPLE_BOOTTIME : 0;
    /* When it arrives decides how late a boot whose clock was never set can have been. */
    spool_append(spool_device(x->spool, "d"), boottime ? time : NOW, &s, 1, NULL, NULL);
}

/* The times of all that is there, by value; -1 for what is not, or waits. */
static void times(struct scratch *x, int64_t *ret, size_t n)
{
    struct spool_device *d = spool_device(x->spool, "d");
    struct sample out[64];
    size_t found = spool_peek(d, NOW, 0, out, ELEMENTSOF(out));

    if (found == 0)
        found = spool_peek(d, NOW, 0, out, ELEMENTSOF(out));
    for (size_t i = 0; i < n; i++)
        ret[i] = -1;
    for (size_t i = 0; i < found; i++) {
        assert_true(out[i].value.x < (int64_t)n);
        assert_int_equal(out[i].quality & SAMPLE_BOOTTIME, 0);
        ret[out[i].value.x] = (int64_t)(out[i].time - REAL);
    }
}

static void next_boot(struct scratch *x)
{
    scratch_kill(x);
    x->boot++;
    scratch_start(x);
}

/* The clock is set after a restart in the same boot, and stays as it was said first. */
static void test_same_boot(void **state)
{
    struct scratch x;
    int64_t t[3];

    scratch_init(&x, SPOOL_ALWAYS);
    put(&x, "p", NOW, true, 0);
    put(&x, "p", NOW, true, 1);
    times(&x, t, 2);
    assert_true(t[0] == -1 && t[1] == -1);
    scratch_kill(&x);
    scratch_start(&x);
    times(&x, t, 2);
    assert_true(t[0] == -1 && t[1] == -1);
    assert_int_equal(counts_of(&x, "d").queued, 2);
    x.more = x.more_of_all = 0;
    spool_stamp(x.spool, (int64_t)(REAL - NOW), true);
    assert_true(x.more == 0 && x.more_of_all == 1); /* there may be ten thousand */
    put(&x, "p", NOW + 5, true, 2);
    times(&x, t, 3);
    assert_true(t[0] == 0 && t[1] == 1 && t[2] == 5);
    /* Another agent measures another relation: what was sent once has the same time. */
    scratch_kill(&x);
    scratch_start(&x);
    spool_stamp(x.spool, (int64_t)(REAL - NOW) + 12345, true);
    times(&x, t, 3);
    assert_true(t[0] == 0 && t[1] == 1 && t[2] == 5);
    scratch_done(&x);
}

/* It is set before it is known what the file says of this boot. What a driver hands over again, since the agent was
 * killed before it had answered, may have been sent with the time that the file's relation gives it. */
static void test_while_opening(void **state)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    struct scratch x;
    int64_t t[4];

    scratch_init(&x, SPOOL_ALWAYS);
    spool_stamp(x.spool, (int64_t)(REAL - NOW), true);
    put(&x, "p", NOW, true, 0);
    scratch_kill(&x);
    assert_int_equal(sd_event_new(&event), 0);
    x.event = event;
    scratch_start(&x);
    put(&x, "p", NOW + 5, true, 1);
    assert_int_equal(x.spool->state, SPOOL_OPENING);
    spool_stamp(x.spool, (int64_t)(REAL - NOW) + 12345, true);
    assert_true(spool_stamped(x.spool));
    put(&x, "p", NOW + 6, true, 2);
    while (x.spool->state != SPOOL_OPEN)
        assert_true(sd_event_run(event, 10 * USEC_PER_MSEC) >= 0);
    put(&x, "p", NOW + 7, true, 3);
    times(&x, t, 4);
    while (t[3] < 0) { /* what is on disk is read meanwhile */
        assert_true(sd_event_run(event, 10 * USEC_PER_MSEC) >= 0);
        times(&x, t, 4);
    }
    assert_true(t[0] == 0 && t[1] == 5 && t[2] == 6 && t[3] == 7);
    scratch_done(&x);
}

/* What waits for its time in memory and on disk, in this order, is stamped as one. */
static void test_in_memory_too(void **state)
{
    struct scratch x;
    int64_t t[4];

    scratch_init(&x, SPOOL_OUTAGE);
    put(&x, "p", NOW, true, 0);
    spool_line(spool_device(x.spool, "d"), true);
    put(&x, "p", NOW + 7, true, 1);
    spool_stamp(x.spool, (int64_t)(REAL - NOW), true);
    put(&x, "p", REAL + 5, false, 2); /* not before the one before it */
    put(&x, "q", REAL + 5, false, 3);
    times(&x, t, 4);
    assert_true(t[0] == 0 && t[1] == 7 && t[2] == 8 && t[3] == 5);
    scratch_done(&x);
}

/* A later call, by a better clock, is for what comes then; the times of a point rise all the same. */
static void test_again(void **state)
{
    struct scratch x;
    int64_t t[8];

    scratch_init(&x, SPOOL_ALWAYS);
    put(&x, "p", NOW, true, 0);
    spool_stamp(x.spool, (int64_t)(REAL - NOW), true);
    put(&x, "p", NOW + 5, true, 1);
    spool_stamp(x.spool, (int64_t)(REAL - NOW) + 100, true);
    put(&x, "p", NOW + 10, true, 2);
    spool_stamp(x.spool, (int64_t)(REAL - NOW) - 100, true);
    put(&x, "p", NOW + 15, true, 3);
    put(&x, "q", NOW + 20, true, 4);
    times(&x, t, 5);
    assert_true(t[0] == 0 && t[1] == 5 && t[2] == 110 && t[3] == 111 && t[4] == -80);
    /* In the same boot, another agent: what was not sent has the times that it had. */
    scratch_kill(&x);
    scratch_start(&x);
    spool_stamp(x.spool, (int64_t)(REAL - NOW) - 7, true);
    put(&x, "r", NOW + 30, true, 5);
    times(&x, t, 6);
    assert_true(t[0] == 0 && t[1] == 5 && t[2] == 110 && t[3] == 111 && t[4] == -80 && t[5] == 30);
    /* It was wrong by days. */
    scratch_kill(&x);
    scratch_start(&x);
    put(&x, "q", NOW + 25, true, 6);
    spool_stamp(x.spool, (int64_t)(REAL - NOW) + 3 * (int64_t)USEC_PER_DAY, true);
    put(&x, "r", NOW + 40, true, 7);
    times(&x, t, 8);
    assert_true(t[4] == -80 && t[5] == 30 && t[6] == 25 && t[7] == 3 * (int64_t)USEC_PER_DAY + 40);
    scratch_done(&x);
}

/* A boot whose clock was set: known for ever. One whose clock was not: as late as can be. */
/* A cloud told the time, wrong by a month: that makes nothing too old that other boots have left, nor is what comes in
 * this boot too old in the next. */
static void test_unsure(void **state)
{
    struct scratch x;
    int64_t t[3];

    scratch_init(&x, SPOOL_ALWAYS);
    spool_stamp(x.spool, (int64_t)(REAL - NOW), true);
    put(&x, "p", REAL, false, 0);
    next_boot(&x);
    spool_stamp(x.spool, (int64_t)(REAL - NOW) + 30 * (int64_t)USEC_PER_DAY, false);
    put(&x, "p", REAL + USEC_PER_DAY, false, 1);
    times(&x, t, 2);
    assert_int_equal(t[0], 0);
    assert_int_equal(counts_of(&x, "d").queued, 2);
    next_boot(&x);
    spool_stamp(x.spool, (int64_t)(REAL - NOW) + 60 * (int64_t)USEC_PER_DAY, true);
    put(&x, "p", REAL + 2 * USEC_PER_DAY, false, 2);
    /* Of the boots that are sure the older has a sample that is too old. */
    times(&x, t, 3);
    assert_int_equal(t[0], -1);
    assert_int_equal(t[1], (int64_t)USEC_PER_DAY);
    assert_int_equal(counts_of(&x, "d").dropped, 1);
    scratch_done(&x);
}

static void test_boots(void **state)
{
    /* Each boot: its samples at 100 s and 103 s after it began; whether its clock was set, and to what. */
    static const struct {
        bool set[3];
        int64_t offsets[3]; /* from REAL, seconds, of the beginning of the boot */
        int64_t times[3];   /* of the first sample of each */
        unsigned unset;
    } table[] = {
        {{true, true, true}, {0, 1000, 2000}, {100, 1100, 2100}, 0},
        {{false, false, true}, {0, 0, 2000}, {2000 - 105 - 105 + 100, 2000 - 105 + 100, 2100}, 2},
        {{true, false, true}, {0, 0, 2000}, {100, 1995, 2100}, 1},
        {{false, true, true}, {0, 1000, 2000}, {995, 1100, 2100}, 1},
        /* The clock was set back between two boots: nothing is moved for it. */
        {{true, false, true}, {5000, 0, 2000}, {5100, 1995, 2100}, 1},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        struct scratch x;
        int64_t t[6];

        scratch_init(&x, SPOOL_ALWAYS);
        for (int boot = 0; boot < 3; boot++) {
            if (boot > 0)
                next_boot(&x);
            put(&x, "p", 100 * USEC_PER_SEC, true, 2 * boot);
            put(&x, "p", 103 * USEC_PER_SEC, true, 2 * boot + 1);
            if (table[i].set[boot])
                spool_stamp(x.spool, (int64_t)REAL + table[i].offsets[boot] * SECOND, true);
        }
        for (int again = 0; again < 2; again++) {
            times(&x, t, 6);
            for (int boot = 0; boot < 3; boot++) {
                if (t[2 * boot] != table[i].times[boot] * SECOND)
                    fail_msg("row %zu, boot %d: %lld", i, boot, (long long)(t[2 * boot] / SECOND));
                assert_int_equal(t[2 * boot + 1], t[2 * boot] + 3 * SECOND);
            }
            assert_int_equal(x.unset, table[i].unset);
            /* And so for ever. */
            next_boot(&x);
            spool_stamp(x.spool, (int64_t)REAL + 9000 * SECOND, true);
        }
        scratch_done(&x);
    }
}

/* While the clock is not set, samples of an earlier boot wait too, and what is behind them. */
static void test_waits(void **state)
{
    struct scratch x;
    int64_t t[2];

    scratch_init(&x, SPOOL_ALWAYS);
    put(&x, "p", NOW, true, 0);
    next_boot(&x);
    put(&x, "p", NOW, true, 1);
    times(&x, t, 2);
    assert_true(t[0] == -1 && t[1] == -1);
    assert_int_equal(counts_of(&x, "d").queued, 2);
    next_boot(&x);
    spool_stamp(x.spool, (int64_t)REAL, true);
    times(&x, t, 2);
    assert_true(t[0] < t[1] && t[1] == -2 * SECOND);
    scratch_done(&x);
}

/* Clock jumps, with and without a restart of the agent between: (time handed over, time sent). */
static void test_jumps(void **state)
{
    static const struct {
        uint64_t in;
        int64_t out;
        bool restart;
    } table[] = {
        {REAL, 0, false},
        {REAL + 10, 10, false},
        {REAL - USEC_PER_SEC / 2, 11, false},                       /* a small step back */
        {REAL - USEC_PER_HOUR, -(int64_t)USEC_PER_HOUR, false},     /* a large one */
        {REAL - USEC_PER_HOUR, -(int64_t)USEC_PER_HOUR + 1, false}, /* strictly on from there */
        {REAL + USEC_PER_DAY, (int64_t)USEC_PER_DAY, false},        /* ahead */
        {REAL + 20, 20, false},                                     /* and back */
        {REAL + 20, 20, true}, /* handed over again to the next agent: the same sample */
        {REAL + 30, 30, true},
    };
    struct scratch x;
    int64_t t[ELEMENTSOF(table)];

    scratch_init(&x, SPOOL_ALWAYS);
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        if (table[i].restart) {
            scratch_kill(&x);
            scratch_start(&x);
        }
        put(&x, "p", table[i].in, false, (int64_t)i);
    }
    for (int again = 0; again < 2; again++) {
        times(&x, t, ELEMENTSOF(table));
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
            if (t[i] != table[i].out)
                fail_msg("row %zu: %lld", i, (long long)t[i]);
        scratch_kill(&x);
        scratch_start(&x);
    }
    scratch_done(&x);
}

/* Ages of an earlier boot's samples count, where they are known. */
static void test_age(void **state)
{
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    put(&x, "p", NOW, true, 0);
    spool_stamp(x.spool, (int64_t)REAL, true);
    x.settings.max_age = USEC_PER_DAY;
    next_boot(&x);
    spool_stamp(x.spool, (int64_t)(REAL + 3 * USEC_PER_DAY), true);
    assert_int_equal(counts_of(&x, "d").queued, 1);
    struct sample out;
    assert_int_equal(spool_peek(spool_device(x.spool, "d"), NOW, 0, &out, 1), 0);
    assert_int_equal(counts_of(&x, "d").dropped, 1);
    scratch_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_boot),     cmocka_unit_test(test_in_memory_too), cmocka_unit_test(test_again),
        cmocka_unit_test(test_while_opening), cmocka_unit_test(test_unsure),        cmocka_unit_test(test_boots),
        cmocka_unit_test(test_waits),         cmocka_unit_test(test_jumps),         cmocka_unit_test(test_age),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
