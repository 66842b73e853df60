/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The form of samples on disk: what is written is read, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "spool/record.h"
#include "spool/rows.h"

#include <cmocka.h>
#include <math.h>
#include <string.h>

#define REAL (UINT64_C(1700000000) * USEC_PER_SEC)

static const struct sample samples[] = {
    {"flow_temp", REAL + 1, {SAMPLE_DOUBLE, .d = -0.1}, "Cel", 0},
    {"b", REAL + 1, {SAMPLE_BOOL, .b = true}, "", SAMPLE_BAD},
    {"flow_temp", REAL - USEC_PER_HOUR, {SAMPLE_DOUBLE, .d = 1e300}, "Cel", SAMPLE_STALE | SAMPLE_OUT_OF_RANGE},
    {"c", 17, {SAMPLE_INT, .x = INT64_MIN}, "W", SAMPLE_BOOTTIME},
    {"d", UINT64_MAX, {SAMPLE_UINT, .t = UINT64_MAX}, "a unit, with spaces and \xc2\xb0", SAMPLE_QUALITY_ALL},
    {"b", 0, {SAMPLE_STRING, .s = "text \xe2\x82\xac\n"}, "", 0},
    {"b", REAL + 9, {SAMPLE_STRING, .s = ""}, "", 0},
};
static const uint16_t numbers[] = {7, 0, 7, 3, 2, 0, 0};

static void encode(struct record_buffer *b, size_t n)
{
    const struct record_head head = {.boot = 3, .arrived = 4000000000, .last = samples[n - 1].time};
    struct record_points points = {.n = 0};
    uint64_t previous = head.last;

    assert_int_equal(record_begin(b, &head), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(record_add(b, &points, numbers[i], &samples[i], &previous), 1);
}

static int compare(const struct sample *s, void *userdata)
{
    size_t *at = userdata;
    const struct sample *expected = &samples[*at % ELEMENTSOF(samples)];

    ++*at;
    assert_string_equal(s->point, expected->point);
    assert_string_equal(s->unit, expected->unit);
    assert_int_equal(s->time, expected->time);
    assert_int_equal(s->quality, expected->quality);
    assert_int_equal(s->value.type, expected->value.type);
    if (s->value.type == SAMPLE_STRING)
        assert_string_equal(s->value.s, expected->value.s);
    else if (s->value.type == SAMPLE_BOOL)
        assert_true(s->value.b == expected->value.b);
    else
        assert_int_equal(s->value.t, expected->value.t);
    return 0;
}

static int nothing(const struct sample *s, void *userdata)
{
    assert_true(sample_value_valid(&s->value) && sample_unit_valid(s->unit));
    return 0;
}

static void test_there_and_back(void **state)
{
    struct record_buffer b = {0};
    struct record_head head;
    size_t n = 0;

    encode(&b, ELEMENTSOF(samples));
    assert_int_equal(record_head(b.data, MIN_OF(b.size, (size_t)RECORD_HEAD_MAX), &head), 0);
    assert_true(head.boot == 3 && head.arrived == 4000000000 && head.last == REAL + 9);
    assert_int_equal(record_decode(b.data, b.size, ELEMENTSOF(samples), compare, &n), 0);
    assert_int_equal(n, ELEMENTSOF(samples));
    record_buffer_done(&b);
}

/* Whatever is cut off, added or changed: an error, or samples that are valid. */
static void test_damage(void **state)
{
    struct record_buffer b = {0};

    encode(&b, ELEMENTSOF(samples));
    for (size_t size = 0; size < b.size; size++)
        assert_int_equal(record_decode(b.data, size, ELEMENTSOF(samples), nothing, NULL), -EBADMSG);
    assert_int_equal(record_decode(b.data, b.size, ELEMENTSOF(samples) - 1, nothing, NULL), -EBADMSG);
    assert_int_equal(record_decode(b.data, b.size, ELEMENTSOF(samples) + 1, nothing, NULL), -EBADMSG);
    for (size_t i = 0; i < b.size; i++)
        for (int bit = 0; bit < 8; bit++) {
            b.data[i] ^= (uint8_t)(1 << bit);
            (void)record_decode(b.data, b.size, ELEMENTSOF(samples), nothing, NULL);
            b.data[i] ^= (uint8_t)(1 << bit);
        }
    b.data[0] = 2; /* a later version */
    assert_int_equal(record_decode(b.data, b.size, ELEMENTSOF(samples), nothing, NULL), -EBADMSG);
    record_buffer_done(&b);
}

/* What a sample costs on disk, which the documentation promises to be small. */
static void test_compact(void **state)
{
    struct record_buffer b = {0};
    const struct record_head head = {.boot = 1, .arrived = 1000, .last = REAL};
    struct record_points points = {.n = 0};
    uint64_t previous = REAL;

    assert_int_equal(record_begin(&b, &head), 0);
    for (uint64_t i = 0; i < 100; i++) {
        const struct sample s = {"p", REAL + i * 100 * USEC_PER_MSEC, {SAMPLE_DOUBLE, .d = 20.5}, "Cel", 0};

        assert_int_equal(record_add(&b, &points, 0, &s, &previous), 1);
    }
    assert_true(b.size <= 100 * 14);
    record_buffer_done(&b);
}

/* The list of rows: what enters leaves, in order, and in few bytes. */
static void test_rows(void **state)
{
    struct spool_rows rows = {0};
    struct spool_row row, walked;
    uint64_t in = 0, out = 0;
    size_t at = 0;

    for (int round = 0; round < 300; round++) {
        for (int k = 0; k < (round * 7) % 40; k++, in++)
            assert_int_equal(spool_rows_push(&rows, &(struct spool_row){in * 900 + 5, (uint32_t)(in % 250) + 1, 30,
                                                                        in % 50 == 7 ? 3 : (uint32_t)in}),
                             0);
        for (int k = 0; k < (round * 5) % 39 && out < in; k++, out++) {
            assert_true(spool_rows_first(&rows, &row));
            assert_int_equal(row.seq, out * 900 + 5);
            assert_int_equal(row.n, out % 250 + 1);
            assert_int_equal(row.size, 30);
            assert_int_equal(row.arrived, out % 50 == 7 ? 3 : out);
            spool_rows_pop(&rows);
        }
        assert_int_equal(rows.count, in - out);
    }
    /* What left last comes back. */
    for (unsigned n = 1; n <= 40; n += 13) {
        struct spool_row back[40];

        for (unsigned k = 0; k < n; k++) {
            assert_true(spool_rows_first(&rows, &back[k]));
            spool_rows_pop(&rows);
        }
        assert_int_equal(spool_rows_prepend(&rows, back, n), 0);
        assert_int_equal(rows.count, in - out);
    }
    for (uint64_t i = out; spool_rows_next(&rows, &at, &walked); i++)
        assert_int_equal(walked.seq, i * 900 + 5);
    assert_true(rows.end - rows.begin <= (in - out) * 12);
    for (; out < in; out++) {
        assert_true(spool_rows_first(&rows, &row));
        assert_int_equal(row.seq, out * 900 + 5);
        assert_int_equal(row.n, out % 250 + 1);
        assert_int_equal(row.arrived, out % 50 == 7 ? 3 : out);
        spool_rows_pop(&rows);
        if (out % 3 == 0) {
            assert_int_equal(spool_rows_prepend(&rows, &row, 1), 0);
            spool_rows_pop(&rows);
        }
    }
    assert_false(spool_rows_first(&rows, &row));
    assert_null(rows.data);
    assert_int_equal(rows.samples, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_compact),
        cmocka_unit_test(test_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
