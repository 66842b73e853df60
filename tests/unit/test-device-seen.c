/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "device/seen.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const struct sample number = {"a", 1, {SAMPLE_DOUBLE, .d = 1}, "Cel", 0};
static const struct sample other_number = {"a", 2, {SAMPLE_INT, .x = 7}, "Cel", 0};
static const struct sample switched = {"a", 3, {SAMPLE_BOOL, .b = true}, "Cel", 0};
static const struct sample other_unit = {"a", 4, {SAMPLE_BOOL, .b = true}, "", 0};

static void test_news(void **state)
{
    struct seen_points s = {0};

    assert_null(seen_find(&s, "a"));
    assert_true(seen_note(&s, &number, 1));
    assert_false(seen_note(&s, &number, 1));
    assert_false(seen_note(&s, &other_number, 1));
    assert_int_equal(seen_find(&s, "a")->kind, POINT_NUMBER);
    assert_true(seen_note(&s, &switched, 1));
    assert_int_equal(seen_find(&s, "a")->kind, POINT_BOOLEAN);
    assert_false(seen_note(&s, &other_unit, 1));
    assert_true(seen_note(&s, &other_unit, 1));
    assert_string_equal(seen_find(&s, "a")->unit, "");
    assert_null(seen_find(&s, "b"));
    assert_int_equal(s.n, 1);
    seen_done(&s);
}

/* A point that is of another kind with each report, or each few, has little said anew; one that stays is believed. */
static void test_unsteady(void **state)
{
    for (unsigned stays = 1; stays <= 100; stays *= 10) {
        struct seen_points s = {0};
        unsigned news = 0;

        for (unsigned i = 0; i < 10000; i++)
            news += seen_note(&s, i / stays % 2 ? &switched : &number, 1);
        assert_in_range(news, 1, 8);
        for (unsigned i = 0; i < SEEN_PATIENCE_MAX; i++)
            (void)seen_note(&s, &switched, 1);
        assert_int_equal(seen_find(&s, "a")->kind, POINT_BOOLEAN);
        seen_done(&s);
    }
}

static void test_bounded(void **state)
{
    struct seen_points s = {0};
    char name[16];

    for (unsigned i = 0; i < POINTS_PER_DEVICE_MAX + 3; i++) {
        struct sample one = number;

        snprintf(name, sizeof(name), "p%u", i);
        one.point = name;
        assert_int_equal(seen_note(&s, &one, 1), i < POINTS_PER_DEVICE_MAX);
    }
    assert_int_equal(s.n, POINTS_PER_DEVICE_MAX);
    assert_string_equal(s.list[17]->name, "p17");
    seen_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_news), cmocka_unit_test(test_unsteady),
                                       cmocka_unit_test(test_bounded)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
