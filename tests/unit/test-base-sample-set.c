/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/sample-set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int put(struct sample_set *set, const char *point, uint64_t time, const char *text, const char *unit)
{
    struct sample s = {.point = point, .time = time, .unit = unit, .quality = SAMPLE_STALE};

    s.value = (struct sample_value){.type = SAMPLE_STRING, .s = text};
    return sample_set_put(set, &s, 3);
}

/* "point@time=text unit;" of each, in this order. */
static char *listed(const struct sample_set *set, enum sample_set_order order)
{
    _cleanup_free_ const struct sample **all = NULL;
    char *text = NULL;
    size_t size = 0, n = 0;
    FILE *f = open_memstream(&text, &size);

    assert_int_equal(sample_set_list(set, order, &all, &n), 0);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s@%u=%s%s;", all[i]->point, (unsigned)all[i]->time, all[i]->value.s, all[i]->unit);
    fclose(f);
    return text;
}

static void check(const struct sample_set *set, const char *by_turn, const char *by_point)
{
    _cleanup_free_ char *turn = listed(set, SAMPLE_SET_BY_TURN), *point = listed(set, SAMPLE_SET_BY_POINT);

    assert_string_equal(turn, by_turn);
    assert_string_equal(point, by_point);
}

static void test_newest_of_each(void **state)
{
    struct sample_set set = {0};
    char text[] = "one", unit[] = "Cel";

    check(&set, "", "");
    assert_int_equal(put(&set, "b", 1, text, unit), 0);
    text[0] = unit[0] = 'X'; /* what it has is its own */
    assert_int_equal(put(&set, "a", 2, "two", ""), 0);
    check(&set, "b@1=oneCel;a@2=two;", "a@2=two;b@1=oneCel;");
    /* a newer one, and one of another unit */
    assert_int_equal(put(&set, "b", 3, "three", "Cel"), 0);
    check(&set, "a@2=two;b@3=threeCel;", "a@2=two;b@3=threeCel;");
    assert_int_equal(put(&set, "a", 4, "four", "a unit that is longer"), 0);
    check(&set, "b@3=threeCel;a@4=foura unit that is longer;", "a@4=foura unit that is longer;b@3=threeCel;");
    sample_set_done(&set);
    check(&set, "", "");
    sample_set_done(&set);
}

/* Whoever invents names gets no more of them, and the others go on. */
static void test_bounded(void **state)
{
    struct sample_set set = {0};

    assert_int_equal(put(&set, "a", 1, "", ""), 0);
    assert_int_equal(put(&set, "b", 1, "", ""), 0);
    assert_int_equal(put(&set, "c", 1, "", ""), 0);
    assert_int_equal(put(&set, "d", 1, "", ""), -ENOSPC);
    assert_int_equal(put(&set, "a", 2, "new", "m"), 0);
    check(&set, "b@1=;c@1=;a@2=newm;", "a@2=newm;b@1=;c@1=;");
    sample_set_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newest_of_each),
        cmocka_unit_test(test_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
