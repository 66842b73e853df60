/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/admission.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N 1000

struct fixture {
    struct admission a;
    struct admission_ticket tickets[N];
    size_t order[N], admitted;
    size_t cells;
};

struct one {
    struct fixture *f;
    size_t index;
};
static struct one ones[N];

static void admitted(void *userdata)
{
    struct one *one = userdata;

    one->f->order[one->f->admitted++] = one->index;
}

static size_t cells(void *userdata)
{
    const struct fixture *f = userdata;

    return f->cells;
}

static void prepare(struct fixture *f, unsigned concurrent, unsigned per_sec, bool unlimited)
{
    *f = (struct fixture){0};
    admission_init(&f->a, concurrent, per_sec, unlimited);
    for (size_t i = 0; i < N; i++) {
        ones[i] = (struct one){.f = f, .index = i};
        f->tickets[i].admitted = admitted;
        f->tickets[i].userdata = &ones[i];
    }
}

static struct fixture f;

static void test_concurrent_in_order(void **state)
{
    prepare(&f, 3, 1000000, false);
    for (size_t i = 0; i < 6; i++)
        admission_ask(&f.a, &f.tickets[i]);
    admission_ask(&f.a, &f.tickets[0]); /* asking twice is one place */
    admission_run(&f.a, USEC_PER_SEC);
    assert_int_equal(f.admitted, 3);
    assert_int_equal(admission_next(&f.a, USEC_PER_SEC), USEC_INFINITY);

    admission_leave(&f.a, &f.tickets[4]); /* gave up waiting */
    admission_leave(&f.a, &f.tickets[1]); /* its handshake ended */
    admission_leave(&f.a, &f.tickets[1]);
    admission_run(&f.a, USEC_PER_SEC);
    assert_int_equal(f.admitted, 4);
    assert_int_equal(f.order[3], 3);
    admission_leave(&f.a, &f.tickets[0]);
    admission_leave(&f.a, &f.tickets[2]);
    admission_run(&f.a, USEC_PER_SEC);
    assert_int_equal(f.admitted, 5);
    assert_int_equal(f.order[4], 5);
    assert_int_equal(f.a.waiting, 0);
    assert_int_equal(f.a.in_flight, 2);
}

/* A thousand at once, at 100 a second and none holding its place for long: never more than rate and burst allow. */
static void test_rate(void **state)
{
    uint64_t start = 5 * USEC_PER_SEC, now = start;

    prepare(&f, N, 100, false);
    for (size_t i = 0; i < N; i++)
        admission_ask(&f.a, &f.tickets[i]);
    while (f.admitted < N) {
        admission_run(&f.a, now);
        assert_true(f.admitted <= 10 + (now - start) * 100 / USEC_PER_SEC);
        if (f.admitted == N)
            break;
        assert_true(admission_next(&f.a, now) > now);
        now = admission_next(&f.a, now);
    }
    assert_in_range(now - start, 9800 * USEC_PER_MSEC, 10 * USEC_PER_SEC);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(f.order[i], i);
}

static void test_arena_bounds(void **state)
{
    prepare(&f, N, 1000000, true);
    f.a.cells_free = cells;
    f.a.userdata = &f;
    admission_ask(&f.a, &f.tickets[0]);
    admission_run(&f.a, 1);
    assert_int_equal(f.admitted, 0);
    assert_int_equal(admission_next(&f.a, 1), 1 + ADMISSION_RETRY);
    f.cells = 1;
    admission_run(&f.a, 2);
    assert_int_equal(f.admitted, 1);
}

static void test_unlimited(void **state)
{
    prepare(&f, 1, 1, true);
    for (size_t i = 0; i < N; i++)
        admission_ask(&f.a, &f.tickets[i]);
    /* All at one time, but not all in one turn of the loop, and as many in flight as a server can answer in time. */
    for (size_t ended = 0; f.admitted < N;) {
        size_t before = f.admitted;

        if (f.a.in_flight == ADMISSION_UNLIMITED) {
            assert_int_equal(admission_next(&f.a, 7), USEC_INFINITY);
            admission_leave(&f.a, &f.tickets[ended++]);
        }
        assert_int_equal(admission_next(&f.a, 7), 7);
        admission_run(&f.a, 7);
        assert_in_range(f.admitted - before, 1, ADMISSION_PER_TURN);
        assert_true(f.a.in_flight <= ADMISSION_UNLIMITED);
    }
    assert_int_equal(admission_next(&f.a, 7), USEC_INFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_concurrent_in_order),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_arena_bounds),
        cmocka_unit_test(test_unlimited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
