/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/rounds.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#define INTERVAL USEC_PER_SEC
#define NOW (100 * USEC_PER_SEC)

static void tell(struct rounds *r, const char *expected, uint64_t now)
{
    const char *id = rounds_first(r, now);

    assert_non_null(id);
    assert_string_equal(id, expected);
    rounds_told(r, now);
}

static void test_once_an_interval(void **state)
{
    _cleanup_(rounds_freep) struct rounds *r = rounds_new(INTERVAL);

    assert_true(rounds_due(r) == USEC_INFINITY);
    assert_null(rounds_first(r, NOW));
    for (int i = 0; i < 3; i++)
        assert_int_equal(rounds_mark(r, "a"), 0);
    assert_true(rounds_due(r) <= NOW);
    tell(r, "a", NOW);
    assert_null(rounds_first(r, NOW));
    assert_int_equal(rounds_mark(r, "a"), 0);
    assert_true(rounds_due(r) == NOW + INTERVAL);
    assert_null(rounds_first(r, NOW + INTERVAL - 1));
    tell(r, "a", NOW + INTERVAL);
    assert_true(rounds_due(r) == USEC_INFINITY);
}

/* What changes again while a round lasts is for the next one, which begins so long after this one's end. */
static void test_rounds_that_last(void **state)
{
    _cleanup_(rounds_freep) struct rounds *r = rounds_new(INTERVAL);

    rounds_mark(r, "a");
    rounds_mark(r, "b");
    tell(r, "a", NOW);
    rounds_mark(r, "a");
    rounds_mark(r, "b");
    assert_true(rounds_due(r) <= NOW);
    tell(r, "b", NOW + 500);
    assert_true(rounds_due(r) == NOW + 500 + INTERVAL);
    assert_null(rounds_first(r, NOW + INTERVAL));
    tell(r, "a", NOW + 500 + INTERVAL);
    tell(r, "b", NOW + 501 + INTERVAL);
}

/* A round whose last devices are removed has ended, and the next one does not begin at once for it. */
static void test_forgotten_while_a_round_lasts(void **state)
{
    _cleanup_(rounds_freep) struct rounds *r = rounds_new(INTERVAL);

    rounds_mark(r, "a");
    rounds_mark(r, "b");
    tell(r, "a", NOW);
    rounds_mark(r, "a");
    rounds_forget(r, "b");
    assert_null(rounds_first(r, NOW + 1));
    assert_true(rounds_due(r) == NOW + INTERVAL);
    tell(r, "a", NOW + INTERVAL);
    rounds_mark(r, "a");
    rounds_empty(r);
    assert_true(rounds_due(r) == USEC_INFINITY);
    rounds_mark(r, "a");
    assert_null(rounds_first(r, NOW + INTERVAL + 1));
}

/* Whatever is marked and forgotten, and however late each turn comes. */
static void test_never_twice_an_interval(void **state)
{
    _cleanup_(rounds_freep) struct rounds *r = rounds_new(INTERVAL);
    uint64_t last[8] = {0}, now = NOW;
    unsigned seed = 1;

    for (int step = 0; step < 20000; step++) {
        char id[8];
        const char *first;

        snprintf(id, sizeof(id), "%d", rand_r(&seed) % 8);
        now += (uint64_t)rand_r(&seed) % 100000;
        if (rand_r(&seed) % 10 == 0)
            rounds_forget(r, id);
        else
            rounds_mark(r, id);
        for (int i = 0; i < 2 && (first = rounds_first(r, now)); i++) {
            int n = first[0] - '0';

            assert_true(last[n] == 0 || now >= last[n] + INTERVAL);
            last[n] = now;
            rounds_told(r, now);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_an_interval),
        cmocka_unit_test(test_rounds_that_last),
        cmocka_unit_test(test_forgotten_while_a_round_lasts),
        cmocka_unit_test(test_never_twice_an_interval),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
