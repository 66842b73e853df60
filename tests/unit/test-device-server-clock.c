/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is made of a server's answers when it is asked for its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "device/server-clock.h"

#include <cmocka.h>

#define SOME_TIME (SERVER_TIME_MIN + 100 * USEC_PER_SEC)
#define AHEAD 777 /* the server's clock against ours, as it is */
#define TRUE_OFFSET ((int64_t)(SOME_TIME + AHEAD))

/* One answer after the other to one clock. Our clock begins with 0 at SOME_TIME; the server writes its answer
 * `way_there` after the question. */
static void test_answers(void **state)
{
    static const struct {
        uint64_t asked, way_there, way_back;
        enum server_clock_verdict verdict;
        int64_t wrong_by; /* the offset then */
    } table[] = {
        /* A short one settles it, and is right where both ways take as long. */
        {1000, 500, 500, SERVER_CLOCK_SETTLED, 0},
        /* Wrong by half of the difference, either way. */
        {2000, 10000, 0, SERVER_CLOCK_SETTLED, 5000},
        {3000, 0, 10000, SERVER_CLOCK_SETTLED, -5000},
        {4000, SERVER_TIME_GOOD, 0, SERVER_CLOCK_SETTLED, SERVER_TIME_GOOD / 2},
        /* Of three that took long the shortest counts, wherever it stands. */
        {50000000, 3000000, 0, SERVER_CLOCK_MORE, 1500000},
        {60000000, 2000000, 0, SERVER_CLOCK_MORE, 1000000},
        {70000000, 4000000, 0, SERVER_CLOCK_SETTLED, 1000000},
        /* They are forgotten then. */
        {80000000, 9000000, 1000000, SERVER_CLOCK_MORE, 4000000},
        /* What is too slow is left out, and counts as no answer. */
        {90000000, SERVER_TIME_WORST, 1, SERVER_CLOCK_SLOW, 4000000},
        {120000000, SERVER_TIME_WORST, 0, SERVER_CLOCK_MORE, 4000000},
        {150000000, 3000000, 3000000, SERVER_CLOCK_SETTLED, 0},
    };
    struct server_clock clock = {0};

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        uint64_t written = table[i].asked + table[i].way_there, now = written + table[i].way_back;

        print_message("row %zu\n", i);
        assert_int_equal(server_clock_take(&clock, table[i].asked, now, SOME_TIME + AHEAD + written), table[i].verdict);
        assert_int_equal(clock.offset - TRUE_OFFSET, table[i].wrong_by);
    }
}

static void test_implausible_times(void **state)
{
    static const struct {
        uint64_t time;
        enum server_clock_verdict verdict;
    } table[] = {
        {0, SERVER_CLOCK_IMPLAUSIBLE},
        {SERVER_TIME_MIN - 1, SERVER_CLOCK_IMPLAUSIBLE},
        {SERVER_TIME_MIN, SERVER_CLOCK_SETTLED},
        {SERVER_TIME_MAX, SERVER_CLOCK_SETTLED},
        {SERVER_TIME_MAX + 1, SERVER_CLOCK_IMPLAUSIBLE},
        {UINT64_MAX, SERVER_CLOCK_IMPLAUSIBLE},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        struct server_clock clock = {0};

        print_message("row %zu\n", i);
        assert_int_equal(server_clock_take(&clock, 10, 20, table[i].time), table[i].verdict);
        assert_int_equal(clock.offset, table[i].verdict == SERVER_CLOCK_SETTLED ? (int64_t)(table[i].time - 15) : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_implausible_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
