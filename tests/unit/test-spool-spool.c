/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue of samples in memory: order, bounds, shares, times, and that every byte is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "spool/spool.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW (UINT64_C(1000) * USEC_PER_SEC)
#define REAL (UINT64_C(1700000000) * USEC_PER_SEC)
#define OFFSET ((int64_t)(REAL - NOW))

static struct spool *new_spool(uint64_t max_bytes, uint64_t max_age)
{
    struct spool *s;

    assert_int_equal(
        spool_new(&(struct spool_settings){max_bytes, max_age, SPOOL_MEMORY}, &(struct spool_options){0}, &s, NULL), 0);
    return s;
}

static struct spool *large(void)
{
    return new_spool(SPOOL_MEMORY_MAX, 7 * USEC_PER_DAY);
}

static struct sample number(const char *point, uint64_t time, int64_t x)
{
    return (struct sample){.point = point, .time = time, .value = {.type = SAMPLE_INT, .x = x}, .unit = "Cel"};
}

static void append(struct spool_device *d, struct sample sample)
{
    spool_append(d, NOW, &sample, 1, NULL, NULL);
}

static struct spool_counts counts(const struct spool_device *d)
{
    struct spool_counts c;

    spool_device_counts(d, &c);
    return c;
}

static struct spool_counts totals(const struct spool *s)
{
    struct spool_counts c;

    spool_counts(s, &c);
    return c;
}

static void done(int r, void *userdata)
{
    assert_int_equal(r, 0);
    ++*(int *)userdata;
}

static void test_order_and_values(void **state)
{
    _cleanup_(spool_freep) struct spool *s = large();
    struct spool_device *d = spool_device(s, "boiler-1"), *other = spool_device(s, "boiler-2");
    char text[] = "open";
    const struct sample in[] = {
        {"a", REAL + 1, {SAMPLE_BOOL, .b = true}, "", 0},
        {"b", REAL + 2, {SAMPLE_INT, .x = INT64_MIN}, "W", SAMPLE_BAD},
        {"c", REAL + 3, {SAMPLE_UINT, .t = UINT64_MAX}, "W", SAMPLE_STALE},
        {"d", REAL + 4, {SAMPLE_DOUBLE, .d = 0.1}, "Cel", SAMPLE_OUT_OF_RANGE},
        {"e", REAL + 5, {SAMPLE_STRING, .s = text}, "", 0},
        {"a", REAL + 6, {SAMPLE_BOOL, .b = false}, "", 0},
    };
    struct sample out[8];
    int called = 0;

    assert_ptr_equal(spool_device(s, "boiler-1"), d);
    spool_append(d, NOW, in, ELEMENTSOF(in), done, &called);
    append(other, number("a", REAL, 1));
    assert_int_equal(called, 1);
    text[0] = 'X'; /* copied */
    assert_int_equal(spool_peek(d, NOW, 0, out, 8), 6);
    for (size_t i = 0; i < ELEMENTSOF(in); i++) {
        assert_string_equal(out[i].point, in[i].point);
        assert_string_equal(out[i].unit, in[i].unit);
        assert_int_equal(out[i].time, in[i].time);
        assert_int_equal(out[i].quality, in[i].quality);
        assert_int_equal(out[i].value.type, in[i].value.type);
    }
    assert_true(out[0].value.b && !out[5].value.b);
    assert_true(out[1].value.x == INT64_MIN && out[2].value.t == UINT64_MAX && out[3].value.d == 0.1);
    assert_string_equal(out[4].value.s, "open");
    assert_int_equal(spool_peek(d, NOW, 4, out, 8), 2);
    assert_string_equal(out[0].point, "e");
    assert_int_equal(spool_peek(d, NOW, 6, out, 8), 0);
    assert_int_equal(spool_peek(d, NOW, 0, out, 2), 2);
}

/* What enters leaves, in order, whatever the sizes of the steps; and nothing is left. */
static void test_drain(void **state)
{
    _cleanup_(spool_freep) struct spool *s = large();
    struct spool_device *d = spool_device(s, "x");
    struct sample out[64];
    int64_t in = 0, next = 0;

    srand(1);
    for (int round = 0; round < 2000; round++) {
        size_t n;

        for (int k = rand() % 40; k > 0; k--, in++)
            append(d, in % 7 ? number("p", REAL + (uint64_t)in, in)
                             : (struct sample){"s", REAL + (uint64_t)in, {SAMPLE_STRING, .s = "text"}, "", 0});
        n = spool_peek(d, NOW, 0, out, (size_t)(rand() % 64));
        for (size_t i = 0; i < n; i++, next++)
            assert_int_equal(out[i].time, REAL + (uint64_t)next);
        spool_accept(d, n);
    }
    spool_accept(d, SPOOL_DEVICE_SAMPLES_MAX);
    assert_int_equal(counts(d).accepted, in);
    assert_int_equal(counts(d).queued, 0);
    assert_int_equal(counts(d).bytes, 0);
    assert_int_equal(totals(s).bytes, 0);
    assert_int_equal(totals(s).queued, 0);
    assert_int_equal(totals(s).accepted, in);
    assert_int_equal(totals(s).dropped, 0);
}

/* The memory of a numeric sample, which the documentation promises to be small. */
static void test_compact(void **state)
{
    _cleanup_(spool_freep) struct spool *s = large();
    struct spool_device *d = spool_device(s, "x");

    assert_int_equal(counts(d).bytes, 0);
    for (int i = 0; i < SPOOL_DEVICE_SAMPLES_MAX; i++)
        append(d, number("p", REAL + (uint64_t)i, i));
    assert_int_equal(counts(d).queued, SPOOL_DEVICE_SAMPLES_MAX);
    assert_true(counts(d).bytes <= SPOOL_DEVICE_SAMPLES_MAX * 26);
    append(d, number("p", REAL + SPOOL_DEVICE_SAMPLES_MAX, 0));
    assert_int_equal(counts(d).queued, SPOOL_DEVICE_SAMPLES_MAX);
    assert_int_equal(counts(d).dropped, 1);
}

static void test_largest_share_is_evicted(void **state)
{
    _cleanup_(spool_freep) struct spool *s = new_spool(100000, 7 * USEC_PER_DAY);
    struct spool_device *loud = spool_device(s, "loud"), *quiet = spool_device(s, "quiet");
    struct sample out;

    for (int i = 0; i < 50; i++)
        append(quiet, number("p", REAL + (uint64_t)i, i));
    for (int i = 0; i < 9000; i++)
        append(loud, number("p", REAL + (uint64_t)i, i));
    assert_true(totals(s).bytes <= 100000);
    assert_int_equal(counts(quiet).queued, 50);
    assert_int_equal(counts(quiet).dropped, 0);
    assert_int_equal(counts(loud).queued + counts(loud).dropped, 9000);
    assert_true(counts(loud).dropped > 4000);
    /* The oldest went, and the newest is there. */
    assert_int_equal(spool_peek(loud, NOW, 0, &out, 1), 1);
    assert_int_equal(out.value.x, (int64_t)counts(loud).dropped);
    assert_int_equal(spool_peek(loud, NOW, counts(loud).queued - 1, &out, 1), 1);
    assert_int_equal(out.value.x, 8999);
    /* A quiet one has room at once, at the cost of the loud one. */
    for (int i = 50; i < 1000; i++)
        append(quiet, number("p", REAL + (uint64_t)i, i));
    assert_int_equal(counts(quiet).dropped, 0);
    assert_true(totals(s).bytes <= 100000);
    assert_int_equal(totals(s).queued, counts(loud).queued + counts(quiet).queued);
    assert_int_equal(totals(s).bytes, counts(loud).bytes + counts(quiet).bytes);
    /* Smaller bounds take effect at once. */
    spool_set(s, &(struct spool_settings){20000, 7 * USEC_PER_DAY, SPOOL_MEMORY}, NULL);
    assert_true(totals(s).bytes <= 20000);
}

/* Many devices with unequal shares: the heap must find the largest each time. */
static void test_shares_level_out(void **state)
{
    enum { DEVICES = 200 };
    _cleanup_(spool_freep) struct spool *s = new_spool(1000000, 7 * USEC_PER_DAY);
    struct spool_device *d[DEVICES];
    uint64_t most = 0, least = UINT64_MAX, queued = 0, bytes = 0;
    char id[16];

    srand(2);
    for (int i = 0; i < DEVICES; i++) {
        sprintf(id, "d%d", i);
        d[i] = spool_device(s, id);
    }
    for (int k = 0; k < 200000; k++)
        append(d[rand() % DEVICES], number("p", REAL + (uint64_t)k, k));
    for (int i = 0; i < DEVICES; i++) {
        most = MAX_OF(most, counts(d[i]).bytes);
        least = MIN_OF(least, counts(d[i]).bytes);
        queued += counts(d[i]).queued;
        bytes += counts(d[i]).bytes;
        sprintf(id, "d%d", i);
        assert_ptr_equal(spool_device(s, id), d[i]);
    }
    assert_true(most - least <= 2 * 64 * 25);
    assert_int_equal(queued, totals(s).queued);
    assert_int_equal(bytes, totals(s).bytes);
    assert_true(bytes <= 1000000 && bytes > 950000);
    for (int i = 0; i < DEVICES; i++)
        spool_forget(d[i]);
    assert_int_equal(totals(s).queued, 0);
    assert_int_equal(totals(s).bytes, 0);
    assert_int_equal(totals(s).dropped, 200000);
}

/* What is under way is neither evicted nor aged, so that an answer releases what was sent. */
static void test_held(void **state)
{
    _cleanup_(spool_freep) struct spool *s = new_spool(10000, 100 * USEC_PER_SEC);
    struct spool_device *d = spool_device(s, "x");
    struct sample out[20];

    for (int i = 0; i < 20; i++)
        append(d, i % 2 ? number("p", REAL + (uint64_t)i, i)
                        : (struct sample){"s", REAL + (uint64_t)i, {SAMPLE_STRING, .s = "a text"}, "", 0});
    spool_hold(d, 10);
    for (int i = 20; i < 3000; i++)
        append(d, number("p", REAL + (uint64_t)i, i));
    assert_int_equal(spool_peek(d, NOW, 0, out, 11), 11);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(out[i].time, REAL + i);
    assert_true(out[10].time > REAL + 2000);
    /* All else is too old. */
    assert_int_equal(spool_peek(d, NOW + 1000 * USEC_PER_SEC, 0, out, 11), 10);
    assert_int_equal(out[9].time, REAL + 9);
    for (int i = 0; i < 20; i++)
        append(d, number("p", REAL + 4000 + (uint64_t)i, i));
    spool_accept(d, 4);
    spool_reject(d, 1, "4.00");
    assert_int_equal(spool_peek(d, NOW, 0, out, 6), 6);
    assert_int_equal(out[0].time, REAL + 5);
    assert_int_equal(out[4].time, REAL + 9);
    assert_int_equal(counts(d).accepted, 4);
    assert_int_equal(counts(d).rejected, 1);
    assert_int_equal(counts(d).queued + counts(d).dropped, 3015);
    /* All is held: what is new has no room, and is counted. */
    spool_hold(d, counts(d).queued);
    spool_set(s, &(struct spool_settings){5000, 100 * USEC_PER_SEC, SPOOL_MEMORY}, NULL);
    append(d, number("p", REAL + 5000, 0));
    assert_int_equal(counts(d).queued + counts(d).dropped, 3016);
    spool_hold(d, 0);
    append(d, number("p", REAL + 5001, 0));
    assert_true(totals(s).bytes <= 5000);
}

/* Who has as much as one that is wholly under way gives way before those who have less. */
static void test_equal_shares(void **state)
{
    static const char *const ids[] = {"a", "b", "c"};

    for (size_t held = 0; held < ELEMENTSOF(ids); held++) {
        _cleanup_(spool_freep) struct spool *s = new_spool(90000, 7 * USEC_PER_DAY);
        struct spool_device *d[ELEMENTSOF(ids)], *small;

        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
            d[i] = spool_device(s, ids[i]);
        for (int k = 0; k < 1000; k++)
            for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                append(d[i], number("p", REAL, 1));
        assert_int_equal(totals(s).dropped, 0);
        assert_int_equal(counts(d[0]).bytes, counts(d[2]).bytes);
        spool_hold(d[held], counts(d[held]).queued);
        small = spool_device(s, "small");
        for (int i = 0; i < 950; i++)
            append(small, number("p", REAL + (uint64_t)i, i));
        assert_int_equal(counts(small).dropped, 0);
        assert_true(totals(s).dropped > 0);
        assert_true(totals(s).bytes <= 90000);
    }
}

static void test_age(void **state)
{
    _cleanup_(spool_freep) struct spool *s = new_spool(100000, 100 * USEC_PER_SEC);
    struct spool_device *d = spool_device(s, "x");
    struct sample out[4], in = number("p", REAL, 1);

    spool_append(d, NOW, &in, 1, NULL, NULL);
    in = number("p", REAL + 1, 2);
    spool_append(d, NOW + 50 * USEC_PER_SEC, &in, 1, NULL, NULL);
    assert_int_equal(spool_peek(d, NOW + 100 * USEC_PER_SEC, 0, out, 4), 2);
    assert_int_equal(spool_peek(d, NOW + 102 * USEC_PER_SEC, 0, out, 4), 1);
    assert_int_equal(out[0].value.x, 2);
    assert_int_equal(counts(d).dropped, 1);
    assert_int_equal(spool_peek(d, NOW + 152 * USEC_PER_SEC, 0, out, 4), 0);
    assert_int_equal(totals(s).dropped, 2);
    assert_int_equal(totals(s).bytes, 0);
}

static void test_times_increase(void **state)
{
    static const struct {
        const char *point;
        uint64_t in, out;
    } table[] = {
        {"a", REAL, REAL},
        {"a", REAL, REAL + 1},                                   /* the same again: moved */
        {"a", REAL + 1, REAL + 2},                               /* would now be the same */
        {"b", REAL, REAL},                                       /* another point has its own times */
        {"a", REAL - 500000, REAL + 3},                          /* a small step back: moved */
        {"a", REAL + 3 - USEC_PER_SEC, REAL + 4},                /* just a second */
        {"a", REAL + 3 - USEC_PER_SEC, REAL + 3 - USEC_PER_SEC}, /* over a second: the new clock */
        {"a", REAL + 3 - USEC_PER_SEC, REAL + 4 - USEC_PER_SEC}, /* and strictly on from there */
        {"a", REAL + USEC_PER_HOUR, REAL + USEC_PER_HOUR},
    };
    _cleanup_(spool_freep) struct spool *s = large();
    struct spool_device *d = spool_device(s, "x");
    struct sample out;

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        append(d, number(table[i].point, table[i].in, 0));
        assert_int_equal(spool_peek(d, NOW, 0, &out, 1), 1);
        if (out.time != table[i].out)
            fail_msg("row %zu: %lld", i, (long long)(out.time - REAL));
        /* Also across what has left the queue. */
        spool_accept(d, 1);
    }
}

static struct sample boot(const char *point, uint64_t time, int64_t x)
{
    struct sample sample = number(point, time, x);

    sample.quality = SAMPLE_BOOTTIME | SAMPLE_STALE;
    return sample;
}

static void test_stamp(void **state)
{
    _cleanup_(spool_freep) struct spool *s = large();
    struct spool_device *d = spool_device(s, "x");
    struct sample out[8];

    append(d, boot("p", NOW + 1, 1));
    append(d, boot("p", NOW + 1, 2));
    append(d, boot("q", NOW + 2, 3));
    /* A driver that already has the time: behind those that wait, and after them. */
    append(d, number("p", REAL - 100, 4));
    assert_false(spool_stamped(s));
    assert_int_equal(spool_peek(d, NOW, 0, out, 8), 0);
    assert_int_equal(counts(d).queued, 4);
    spool_stamp(s, OFFSET, true);
    assert_true(spool_stamped(s));
    append(d, boot("p", NOW + 50, 5));
    append(d, number("p", REAL + 60, 6));
    assert_int_equal(spool_peek(d, NOW, 0, out, 8), 6);
    for (int i = 0; i < 6; i++) {
        static const uint64_t times[] = {REAL + 1, REAL + 2, REAL + 2, REAL + 3, REAL + 50, REAL + 60};

        assert_int_equal(out[i].value.x, i + 1);
        assert_int_equal(out[i].time, times[i]);
        assert_int_equal(out[i].quality & SAMPLE_BOOTTIME, 0);
    }
    assert_int_equal(out[0].quality, SAMPLE_STALE);
}

/* Stamping moves nothing that was ready before. */
static void test_stamp_leaves_the_rest(void **state)
{
    _cleanup_(spool_freep) struct spool *s = large();
    struct spool_device *d = spool_device(s, "x"), *none = spool_device(s, "y");
    struct sample out[4];

    append(none, number("p", REAL, 1));
    append(d, number("p", REAL, 1));
    append(d, boot("p", NOW - USEC_PER_SEC / 2, 2));
    assert_int_equal(spool_peek(d, NOW, 0, out, 4), 1);
    spool_stamp(s, OFFSET, true);
    assert_int_equal(spool_peek(d, NOW, 0, out, 4), 2);
    assert_int_equal(out[0].time, REAL);
    assert_int_equal(out[1].time, REAL + 1);
    assert_int_equal(spool_peek(none, NOW, 0, out, 4), 1);
    assert_int_equal(out[0].time, REAL);
}

static void test_units_change(void **state)
{
    _cleanup_(spool_freep) struct spool *s = large();
    struct spool_device *d = spool_device(s, "x");
    struct sample sample = number("p", REAL, 0), out[3];
    char unit[16];

    for (int i = 0; i < 3 * POINTS_PER_DEVICE_MAX; i++) {
        sprintf(unit, "u%d", i);
        sample.unit = unit;
        append(d, sample);
        if (i >= 2) {
            assert_int_equal(spool_peek(d, NOW, 0, out, 3), 3);
            sprintf(unit, "u%d", i - 2);
            assert_string_equal(out[0].unit, unit);
            /* One point, whatever its unit: times go on. */
            assert_int_equal(out[0].time, REAL + (uint64_t)i - 2);
            assert_int_equal(out[2].time, REAL + (uint64_t)i);
            spool_accept(d, 1);
        }
    }
    assert_int_equal(counts(d).dropped, 0);
}

static void test_too_many_points(void **state)
{
    _cleanup_(spool_freep) struct spool *s = large();
    struct spool_device *d = spool_device(s, "x");
    char name[16];

    for (int i = 0; i < POINTS_PER_DEVICE_MAX + 5; i++) {
        sprintf(name, "p%d", i);
        append(d, number(name, REAL, i));
    }
    assert_int_equal(counts(d).queued, POINTS_PER_DEVICE_MAX);
    assert_int_equal(counts(d).dropped, 5);
    spool_accept(d, 1);
    append(d, number("new", REAL, 0));
    assert_int_equal(counts(d).queued, POINTS_PER_DEVICE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_values),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_compact),
        cmocka_unit_test(test_largest_share_is_evicted),
        cmocka_unit_test(test_shares_level_out),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_equal_shares),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_times_increase),
        cmocka_unit_test(test_stamp),
        cmocka_unit_test(test_stamp_leaves_the_rest),
        cmocka_unit_test(test_units_change),
        cmocka_unit_test(test_too_many_points),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
