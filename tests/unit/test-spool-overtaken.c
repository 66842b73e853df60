/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Only the latest value of each point is wanted: what leaves the queue, what stays, and that what stays is safe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "spool-scratch.h"

static const char *const points[] = {"a", "b", "c"};

/* One sample of each point; whether they are safe when this returns. */
static int round_of(struct scratch *x, int64_t i)
{
    struct sample samples[ELEMENTSOF(points)];
    int answer = 0;

    for (size_t k = 0; k < ELEMENTSOF(points); k++)
        samples[k] = number(points[k], REAL + (uint64_t)i, i);
    spool_append(spool_device(x->spool, "d"), NOW, samples, ELEMENTSOF(points), on_answer, &answer);
    return answer;
}

/* What is passed over leaves these values of a, b and c, and nothing else. */
static void expect_left(struct scratch *x, int64_t value)
{
    struct spool_device *d = spool_device(x->spool, "d");
    struct sample out[16];
    size_t n;

    do
        (void)spool_peek(d, NOW, 0, out, 1); /* more is read back */
    while (spool_pass_over(d, 100) > 0);
    n = spool_peek(d, NOW, 0, out, ELEMENTSOF(out));
    assert_int_equal(n, ELEMENTSOF(points));
    for (size_t k = 0; k < n; k++) {
        assert_string_equal(out[k].point, points[k]);
        assert_int_equal(out[k].value.x, value);
    }
    assert_int_equal(counts_of(x, "d").queued, ELEMENTSOF(points));
}

/* The same, and they may go in one pack. */
static void expect_last(struct scratch *x, int64_t value)
{
    expect_left(x, value);
    for (size_t k = 0; k < ELEMENTSOF(points); k++)
        assert_false(spool_overtaken(spool_device(x->spool, "d"), k));
}

/* An outage of 2,000 rounds, passed over as they come, leaves a round; what was answered as safe outlives a crash. */
static void test_outage(void **state)
{
    static const enum spool_durability durabilities[] = {SPOOL_ALWAYS, SPOOL_OUTAGE, SPOOL_MEMORY};

    for (size_t i = 0; i < ELEMENTSOF(durabilities); i++) {
        struct scratch x;
        struct spool_counts c;

        scratch_init(&x, durabilities[i]);
        for (int64_t k = 1; k <= 2000; k++) {
            assert_int_equal(round_of(&x, k), 1);
            (void)spool_pass_over(spool_device(x.spool, "d"), 100);
            assert_true(counts_of(&x, "d").queued <= 2 * ELEMENTSOF(points));
        }
        expect_last(&x, 2000);
        c = counts_of(&x, "d");
        assert_true(c.accepted == 0 && c.dropped == 0 && c.rejected == 0);
        if (durabilities[i] != SPOOL_MEMORY) {
            scratch_kill(&x);
            scratch_start(&x);
            expect_last(&x, 2000);
        }
        scratch_done(&x);
    }
}

/* What an earlier run left is passed over as well, though nothing newer has come yet. */
static void test_earlier_run(void **state)
{
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    for (int64_t k = 1; k <= 1000; k++)
        assert_int_equal(round_of(&x, k), 1);
    scratch_kill(&x);
    scratch_start(&x);
    expect_last(&x, 1000);
    scratch_done(&x);
}

/* A point that reports seldom keeps its value, and those behind it, of which only the last is sent. */
static void test_slow_point(void **state)
{
    struct scratch x;
    struct spool_device *d;
    struct sample s = number("slow", REAL, 7);

    scratch_init(&x, SPOOL_ALWAYS);
    d = spool_device(x.spool, "d");
    spool_append(d, NOW, &s, 1, NULL, NULL);
    for (int64_t k = 1; k <= 5; k++)
        round_of(&x, k);
    assert_int_equal(spool_pass_over(d, 100), 0);
    assert_false(spool_overtaken(d, 0));
    for (size_t k = 1; k <= 4 * ELEMENTSOF(points); k++)
        assert_true(spool_overtaken(d, k));
    assert_false(spool_overtaken(d, 4 * ELEMENTSOF(points) + 1));
    spool_hold(d, 1);
    spool_accept(d, 1);
    expect_last(&x, 5);
    scratch_done(&x);
}

/* What is under way stays, and what has no time yet is compared with nothing. */
static void test_held_and_undated(void **state)
{
    struct sample s = number("a", 5, 1);
    struct scratch x;
    struct spool_device *d;

    scratch_init(&x, SPOOL_ALWAYS);
    d = spool_device(x.spool, "d");
    round_of(&x, 1);
    spool_hold(d, 1);
    round_of(&x, 2);
    assert_int_equal(spool_pass_over(d, 100), 0);
    spool_hold(d, 0);
    expect_last(&x, 2);
    spool_forget(d);
    d = spool_device(x.spool, "d");
    s.quality = SAMPLE_BOOTTIME;
    for (unsigned i = 0; i < 3; i++, s.time++)
        spool_append(d, NOW, &s, 1, NULL, NULL);
    assert_int_equal(spool_pass_over(d, 100), 0);
    spool_stamp(x.spool, (int64_t)REAL, true);
    assert_int_equal(spool_pass_over(d, 100), 2);
    scratch_done(&x);
}

/* What can be sent is not given up for what waits for its time, perhaps for ever. */
static void test_dated_before_undated(void **state)
{
    struct sample s = number("a", REAL, 1);
    struct scratch x;
    struct spool_device *d;

    scratch_init(&x, SPOOL_ALWAYS);
    d = spool_device(x.spool, "d");
    spool_append(d, NOW, &s, 1, NULL, NULL);
    s.time = 5;
    s.quality = SAMPLE_BOOTTIME;
    spool_append(d, NOW, &s, 1, NULL, NULL);
    assert_int_equal(spool_pass_over(d, 100), 0);
    spool_stamp(x.spool, (int64_t)REAL, true);
    assert_int_equal(spool_pass_over(d, 100), 1);
    scratch_done(&x);
}

/* The same point under another unit. */
static void test_unit(void **state)
{
    struct sample s = number("a", REAL, 1);
    struct scratch x;
    struct spool_device *d;

    scratch_init(&x, SPOOL_MEMORY);
    d = spool_device(x.spool, "d");
    spool_append(d, NOW, &s, 1, NULL, NULL);
    s.unit = "K";
    s.time++;
    spool_append(d, NOW, &s, 1, NULL, NULL);
    assert_int_equal(spool_pass_over(d, 100), 1);
    assert_int_equal(counts_of(&x, "d").queued, 1);
    scratch_done(&x);
}

/* After a step back of the clock the newest has the smaller time, and stays when the others are read back, and sent. */
static void test_step_back(void **state)
{
    const int64_t second = USEC_PER_SEC;
    struct scratch x;
    struct spool_device *d;
    struct sample out[16];

    scratch_init(&x, SPOOL_ALWAYS);
    assert_int_equal(round_of(&x, 1000 * second), 1);
    scratch_kill(&x);
    scratch_start(&x);
    spool_stamp(x.spool, (int64_t)(REAL - NOW), true);
    assert_int_equal(round_of(&x, 900 * second), 1);
    d = spool_device(x.spool, "d");
    (void)spool_peek(d, NOW, 0, out, 1); /* the others are read back */
    assert_int_equal(spool_peek(d, NOW, 0, out, ELEMENTSOF(out)), 2 * ELEMENTSOF(points));
    spool_hold(d, ELEMENTSOF(points));
    spool_accept(d, ELEMENTSOF(points));
    expect_left(&x, 900 * second);
    assert_int_equal(round_of(&x, 800 * second), 1);
    expect_last(&x, 800 * second);
    scratch_done(&x);
}

/* The same where the newest has another unit. */
static void test_unit_read_back(void **state)
{
    struct sample s = number("a", REAL, 1), out[4];
    struct scratch x;
    struct spool_device *d;

    scratch_init(&x, SPOOL_ALWAYS);
    spool_append(spool_device(x.spool, "d"), NOW, &s, 1, NULL, NULL);
    scratch_kill(&x);
    scratch_start(&x);
    spool_stamp(x.spool, (int64_t)(REAL - NOW), true);
    d = spool_device(x.spool, "d");
    s = number("a", REAL - 10 * USEC_PER_SEC, 2);
    s.unit = "K";
    spool_append(d, NOW, &s, 1, NULL, NULL);
    (void)spool_peek(d, NOW, 0, out, 1);
    assert_int_equal(spool_pass_over(d, 100), 1);
    assert_int_equal(spool_peek(d, NOW, 0, out, ELEMENTSOF(out)), 1);
    assert_string_equal(out[0].unit, "K");
    scratch_done(&x);
}

/* The line is up, so that the newer round is answered while it is in memory alone: the one on disk stays until that is
 * there too, and so a crash leaves one of them. */
static void test_on_disk_before(void **state)
{
    struct scratch x;
    struct spool_device *d;

    scratch_init(&x, SPOOL_OUTAGE);
    d = spool_device(x.spool, "d");
    assert_int_equal(round_of(&x, 1), 1);
    spool_line(d, true);
    assert_int_equal(round_of(&x, 2), 1);
    assert_int_equal(spool_pass_over(d, 100), 0);
    want_care(x.spool, true);
    scratch_kill(&x);
    scratch_start(&x);
    expect_last(&x, 1);
    d = spool_device(x.spool, "d");
    spool_line(d, true);
    assert_int_equal(round_of(&x, 2), 1);
    spool_tick(x.spool, NOW + SPOOL_UNWRITTEN_AGE);
    assert_int_equal(round_of(&x, 3), 1);
    assert_int_equal(spool_pass_over(d, 100), ELEMENTSOF(points)); /* for those that are written meanwhile */
    want_care(x.spool, true);
    scratch_kill(&x);
    scratch_start(&x);
    expect_last(&x, 2);
    scratch_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outage),         cmocka_unit_test(test_earlier_run),
        cmocka_unit_test(test_slow_point),     cmocka_unit_test(test_held_and_undated),
        cmocka_unit_test(test_unit),           cmocka_unit_test(test_dated_before_undated),
        cmocka_unit_test(test_step_back),      cmocka_unit_test(test_on_disk_before),
        cmocka_unit_test(test_unit_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
