/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gatehouse-driver/waits.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define N 50
#define AN_HOUR (3600 * USEC_PER_SEC)

struct one_time {
    struct wait_time wait; /* first */
    unsigned came;
    uint64_t at;
};

struct one_fd {
    struct wait_fd wait; /* first */
    int fds[2];
    unsigned ready;
    uint32_t events;
};

static struct waits waits;
static struct one_time times[N];
static struct one_fd fds[N];
static char order[2 * N + 1];
static size_t n_order;
static void (*meanwhile)(void);

static void note(char what)
{
    order[n_order++] = what;
    if (meanwhile)
        meanwhile();
}

static void come(struct wait_time *time)
{
    struct one_time *t = (struct one_time *)time;

    t->came++;
    t->at = clock_monotonic();
    note((char)('a' + (t - times) % 26));
}

static void ready(struct wait_fd *fd, uint32_t events)
{
    struct one_fd *f = (struct one_fd *)fd;

    f->ready++;
    f->events = events;
    note((char)('A' + (f - fds) % 26));
}

static int setup(void **state)
{
    (void)state;
    memset(times, 0, sizeof(times));
    memset(fds, 0, sizeof(fds));
    memset(order, 0, sizeof(order));
    n_order = 0;
    meanwhile = NULL;
    assert_int_equal(waits_init(&waits), 0);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(waits_add_time(&waits, &times[i].wait, come), 0);
    return 0;
}

static void add_fd(size_t i)
{
    assert_int_equal(pipe(fds[i].fds), 0);
    assert_int_equal(waits_add_fd(&waits, &fds[i].wait, fds[i].fds[0], POLLIN, ready), 0);
}

static void make_ready(size_t i)
{
    assert_int_equal(write(fds[i].fds[1], "x", 1), 1);
}

static void take(size_t i)
{
    char c;

    assert_int_equal(read(fds[i].fds[0], &c, 1), 1);
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) {
        waits_remove_time(&waits, &times[i].wait);
        if (fds[i].fds[1] == 0)
            continue;
        if (fds[i].wait.place > 0)
            waits_remove_fd(&waits, &fds[i].wait);
        close(fds[i].fds[0]);
        close(fds[i].fds[1]);
    }
    waits_done(&waits);
    return 0;
}

static void steps_until(size_t n)
{
    while (n_order < n)
        assert_int_equal(waits_step(&waits), 0);
}

/* Nothing is due: a step waits until it is woken, and calls nobody. */
static void assert_idle(void)
{
    size_t n = n_order;

    waits_wake(&waits);
    assert_int_equal(waits_step(&waits), 0);
    assert_int_equal(n_order, n);
}

static void times_come_in_order_and_once(void **state)
{
    uint64_t now;

    (void)state;
    do { /* once more if the machine was so slow that one is past already */
        now = clock_monotonic();
        waits_set_time(&waits, &times[2].wait, now + 3000, 0);
        waits_set_time(&waits, &times[0].wait, now + 9000, 0);
        waits_set_time(&waits, &times[1].wait, now + 2000, 0);
        waits_set_time(&waits, &times[0].wait, now + 1000, 0);
        waits_set_time(&waits, &times[3].wait, now + 500, 0);
        waits_stop_time(&waits, &times[3].wait);
    } while (clock_monotonic() >= now + 500);
    steps_until(3);
    assert_string_equal(order, "abc");
    assert_true(times[0].at >= now + 1000 && times[1].at >= now + 2000 && times[2].at >= now + 3000);
    assert_idle();
}

/* One that wants to be called again at once, or long ago, does not keep the others from their turn. */
static void set_b_again(void)
{
    if (order[n_order - 1] == 'b' && n_order < 20)
        waits_set_time(&waits, &times[1].wait, 0, 0);
}

static void what_is_past_goes_behind_what_is_due(void **state)
{
    uint64_t now;

    (void)state;
    meanwhile = set_b_again;
    do {
        now = clock_monotonic();
        waits_set_time(&waits, &times[0].wait, now + 300, 0);
        waits_set_time(&waits, &times[1].wait, now + 100, 0);
        waits_set_time(&waits, &times[2].wait, now + 200, 0);
    } while (clock_monotonic() >= now + 100);
    while (clock_monotonic() <= now + 300)
        ;
    steps_until(4);
    assert_memory_equal(order, "bcab", 4);
}

/* In one wake-up, which is not later than the least patient of them allows. */
static void slack_makes_one_wake_up_of_several(void **state)
{
    uint64_t now;

    (void)state;
    do {
        now = clock_monotonic();
        for (size_t i = 0; i < N; i++)
            waits_set_time(&waits, &times[i].wait, now + 1000 * (i + 1), 500000);
        assert_true(deadlines_latest(&waits.times) >= now + 501000);
        waits_set_time(&waits, &times[N - 1].wait, now + 1000 * N, 0);
    } while (clock_monotonic() >= now + 1000);
    assert_true(deadlines_latest(&waits.times) == now + 1000 * N);
    /* One step waits, then each is called by a step that does not. */
    for (size_t i = 0; i < N + 1; i++)
        assert_int_equal(waits_step(&waits), 0);
    assert_int_equal(n_order, N);
    assert_int_equal(order[N - 1], 'a' + (N - 1) % 26);
}

static void a_time_far_away_does_not_overflow(void **state)
{
    (void)state;
    waits_set_time(&waits, &times[0].wait, UINT64_MAX - 1, UINT32_MAX);
    waits_set_time(&waits, &times[1].wait, clock_monotonic() + AN_HOUR, UINT32_MAX);
    assert_idle();
}

static void all_that_is_ready_is_told_once_a_look(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        add_fd(i);
    make_ready(0);
    make_ready(1);
    make_ready(3);
    steps_until(3);
    assert_true(fds[0].ready == 1 && fds[1].ready == 1 && fds[2].ready == 0 && fds[3].ready == 1);
    assert_int_equal(fds[0].events, POLLIN);
    steps_until(6);
    assert_true(fds[0].ready == 2 && fds[1].ready == 2 && fds[2].ready == 0 && fds[3].ready == 2);
    take(0);
    take(1);
    take(3);
    assert_idle();
}

/* A time that is always due and a descriptor that is always ready take turns. */
static void always_due(void)
{
    if (order[n_order - 1] == 'a')
        waits_set_time(&waits, &times[0].wait, 0, 0);
}

static void times_and_descriptors_take_turns(void **state)
{
    (void)state;
    meanwhile = always_due;
    add_fd(0);
    make_ready(0);
    waits_set_time(&waits, &times[0].wait, 0, 0);
    steps_until(20);
    assert_true(times[0].came >= 9 && fds[0].ready >= 9);
}

/* Whichever is called first removes the others, closes them, and adds one that is not ready. */
static void remove_the_others(void)
{
    if (n_order > 1)
        return;
    for (size_t i = 0; i < 8; i++)
        if (order[0] != (char)('A' + i)) {
            waits_remove_fd(&waits, &fds[i].wait);
            fds[i].wait.place = 0;
        }
    add_fd(9);
}

static void may_be_removed_and_added_while_one_is_told(void **state)
{
    (void)state;
    meanwhile = remove_the_others;
    for (size_t i = 0; i < 8; i++) {
        add_fd(i);
        make_ready(i);
    }
    steps_until(1);
    take((size_t)(order[0] - 'A'));
    assert_idle();
    make_ready(9);
    steps_until(2);
    assert_int_equal(order[1], 'J');
}

/* In any order, by those that were told and those that were not: nobody who is there and ready is left out. */
static void remove_any(void)
{
    size_t self = (size_t)(order[n_order - 1] - 'A');

    waits_remove_fd(&waits, &fds[self].wait);
    fds[self].wait.place = 0;
}

static void each_that_removes_itself_leaves_the_rest(void **state)
{
    (void)state;
    meanwhile = remove_any;
    for (size_t i = 0; i < 20; i++) {
        add_fd(i);
        make_ready(i);
    }
    steps_until(20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(fds[i].ready, 1);
}

/* Closed while it is watched: its watcher hears nothing more, and the thread sleeps instead of turning for ever. */
static void a_closed_descriptor_does_not_keep_it_awake(void **state)
{
    struct rusage before, after;

    (void)state;
    add_fd(0);
    close(fds[0].fds[0]);
    assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
    waits_set_time(&waits, &times[0].wait, clock_monotonic() + 20000, 0);
    for (int i = 0; i < 4 && n_order == 0; i++)
        assert_int_equal(waits_step(&waits), 0);
    assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
    assert_string_equal(order, "a");
    fds[0].fds[0] = dup(fds[0].fds[1]);
}

static void refuses_what_is_no_descriptor(void **state)
{
    struct wait_fd f;

    (void)state;
    assert_int_equal(waits_add_fd(&waits, &f, -1, POLLIN, ready), -EBADF);
    assert_int_equal(waits_add_fd(&waits, &f, 1 << 20, POLLIN, ready), -EBADF);
}

static atomic_uint said;

static void *say(void *userdata)
{
    (void)userdata;
    for (unsigned i = 0; i < 20000; i++) {
        atomic_fetch_add(&said, 1);
        waits_wake(&waits);
    }
    return NULL;
}

/* Nothing that was said before a wake is overlooked: else this never ends. */
static void no_wake_is_lost(void **state)
{
    pthread_t threads[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, say, NULL), 0);
    while (atomic_load(&said) < 40000)
        assert_int_equal(waits_step(&waits), 0);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(times_come_in_order_and_once),
        T(what_is_past_goes_behind_what_is_due),
        T(slack_makes_one_wake_up_of_several),
        T(a_time_far_away_does_not_overflow),
        T(all_that_is_ready_is_told_once_a_look),
        T(times_and_descriptors_take_turns),
        T(may_be_removed_and_added_while_one_is_told),
        T(each_that_removes_itself_leaves_the_rest),
        T(a_closed_descriptor_does_not_keep_it_awake),
        T(refuses_what_is_no_descriptor),
        T(no_wake_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
