/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What came before a call is on disk at some time, whatever comes after it, and is not said to be there before. The
 * disk is as slow as the test says: each of its syncs takes a while, or waits to be let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "spool-scratch.h"

/* ---- The disk ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool closed;             /* syncs wait */
static unsigned syncs, waiting; /* all that were asked for; those that wait now */
static long takes;              /* nanoseconds */

static void slowly(void)
{
    struct timespec pause = {0};

    pthread_mutex_lock(&mutex);
    syncs++;
    waiting++;
    while (closed)
        pthread_cond_wait(&changed, &mutex);
    waiting--;
    pause.tv_nsec = takes;
    pthread_mutex_unlock(&mutex);
    nanosleep(&pause, NULL);
}

/* The library's calls come here. */
int fdatasync(int fd)
{
    slowly();
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    slowly();
    return (int)syscall(SYS_fsync, fd);
}

static void disk(bool is_closed, long each)
{
    pthread_mutex_lock(&mutex);
    closed = is_closed;
    takes = each;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static unsigned read_locked(const unsigned *count)
{
    unsigned n;

    pthread_mutex_lock(&mutex);
    n = *count;
    pthread_mutex_unlock(&mutex);
    return n;
}

static void disk_fails(bool fails)
{
    static struct rlimit before;
    struct rlimit none;

    if (fails)
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, fails ? &none : &before), 0);
}

/* ---- A spool in an event loop ---- */

struct bench {
    struct scratch x;
    sd_event *event;
};

static void turn(struct bench *b)
{
    assert_true(sd_event_run(b->event, 10 * USEC_PER_MSEC) >= 0);
}

static void bench_init(struct bench *b, enum spool_durability durability)
{
    struct spool_options options;
    struct error e = {0};

    scratch_init(&b->x, durability);
    scratch_kill(&b->x);
    assert_int_equal(sd_event_new(&b->event), 0);
    options = (struct spool_options){.event = b->event, .path = b->x.path, .boot = {b->x.boot}};
    assert_int_equal(spool_new(&b->x.settings, &options, &b->x.spool, &e), 0);
}

static void bench_open(struct bench *b, enum spool_durability durability)
{
    bench_init(b, durability);
    while (b->x.spool->state != SPOOL_OPEN)
        turn(b);
}

static void bench_done(struct bench *b)
{
    scratch_done(&b->x);
    sd_event_unref(b->event);
}

static void set(struct bench *b, enum spool_durability durability)
{
    struct error e = {0};

    b->x.settings.durability = durability;
    assert_int_equal(spool_set(b->x.spool, &b->x.settings, &e), 0);
}

static void put(struct bench *b, const char *id, int64_t value)
{
    const struct sample s = number("p", REAL + (uint64_t)value, value);
    static int answer;

    spool_append(spool_device(b->x.spool, id), clock_boottime(), &s, 1, on_answer, &answer);
}

/* How many of the device's samples are in rows on disk; none of them leaves in these tests. */
static unsigned on_disk(struct bench *b)
{
    const struct spool_device *d = spool_device(b->x.spool, "d");

    return d->stored ? d->stored->rows.in_queue : 0;
}

static void run_until_settled(struct bench *b, uint64_t generation)
{
    while (!spool_settled(b->x.spool, generation))
        turn(b);
}

/* ---- Tests ---- */

/* Something is unwritten at every look: one commit is enough all the same. */
static void test_steady(void **state)
{
    static const enum spool_durability before[] = {SPOOL_OUTAGE, SPOOL_ALWAYS};

    for (size_t i = 0; i < ELEMENTSOF(before); i++) {
        struct bench b;
        uint64_t generation, row;
        unsigned n = read_locked(&syncs);
        int64_t k = 0;

        bench_open(&b, before[i]);
        disk(false, 30000000);
        spool_line(spool_device(b.x.spool, "d"), true);
        for (; k < 20; k++)
            put(&b, "d", k);
        row = b.x.spool->next_seq;
        set(&b, SPOOL_ALWAYS);
        generation = spool_settle(b.x.spool);
        assert_false(spool_settled(b.x.spool, generation));
        for (; !spool_settled(b.x.spool, generation); k++) {
            assert_true(b.x.spool->next_seq <= row + 1);
            turn(&b);
            put(&b, "d", k);
        }
        assert_int_equal(on_disk(&b), 20);
        assert_true(b.x.spool->account.unwritten > 0);
        assert_true(read_locked(&syncs) > n);
        disk(false, 0);
        bench_done(&b);
    }
}

/* A commit is under way that has only part of it. */
static void test_two_commits(void **state)
{
    uint64_t generation;
    struct bench b;

    bench_open(&b, SPOOL_ALWAYS);
    put(&b, "d", 0);
    disk(true, 0);
    while (read_locked(&waiting) == 0)
        turn(&b);
    put(&b, "d", 1);
    generation = spool_settle(b.x.spool);
    put(&b, "d", 2); /* goes with it, since it is here when the next commit begins */
    for (int i = 0; i < 10; i++)
        turn(&b);
    assert_false(spool_settled(b.x.spool, generation));
    disk(false, 0);
    while (on_disk(&b) == 0)
        turn(&b);
    disk(true, 0);
    assert_int_equal(on_disk(&b), 1);
    assert_false(spool_settled(b.x.spool, generation));
    while (read_locked(&waiting) == 0)
        turn(&b);
    assert_false(spool_settled(b.x.spool, generation));
    disk(false, 0);
    run_until_settled(&b, generation);
    assert_int_equal(on_disk(&b), 3);
    bench_done(&b);
}

/* The disk fails: nothing is said to be there, and why is known; as soon as it works it is. */
static void test_disk_fails(void **state)
{
    char text[ERROR_TEXT_MAX];
    uint64_t generation;
    struct bench b;

    bench_open(&b, SPOOL_OUTAGE);
    spool_line(spool_device(b.x.spool, "d"), true);
    put(&b, "d", 0);
    disk_fails(true);
    generation = spool_settle(b.x.spool);
    while (!b.x.spool->trouble.failing)
        turn(&b);
    for (int i = 0; i < 10; i++)
        turn(&b);
    assert_false(spool_settled(b.x.spool, generation));
    assert_non_null(spool_problem(b.x.spool, text, sizeof(text)));
    put(&b, "d", 1);
    /* Asked for again meanwhile, as by a second call. */
    assert_false(spool_settled(b.x.spool, spool_settle(b.x.spool)));
    disk_fails(false);
    run_until_settled(&b, generation + 1);
    assert_int_equal(on_disk(&b), 2);
    bench_done(&b);
}

/* The file is still being opened. */
static void test_opening(void **state)
{
    uint64_t generation;
    struct bench b;

    bench_init(&b, SPOOL_OUTAGE);
    assert_int_equal(b.x.spool->state, SPOOL_OPENING);
    spool_line(spool_device(b.x.spool, "d"), true);
    put(&b, "d", 0);
    generation = spool_settle(b.x.spool);
    assert_false(spool_settled(b.x.spool, generation));
    run_until_settled(&b, generation);
    assert_int_equal(on_disk(&b), 1);
    bench_done(&b);
}

/* Under `memory` nothing is to be on disk; under another durability later, it is. */
static void test_memory(void **state)
{
    uint64_t generation;
    struct bench b;

    bench_init(&b, SPOOL_MEMORY);
    put(&b, "d", 0);
    generation = spool_settle(b.x.spool);
    assert_true(spool_settled(b.x.spool, generation));
    set(&b, SPOOL_OUTAGE);
    spool_line(spool_device(b.x.spool, "d"), true);
    generation = spool_settle(b.x.spool);
    run_until_settled(&b, generation);
    assert_int_equal(on_disk(&b), 1);
    bench_done(&b);
}

/* Nothing is open, or all of it leaves before it is written, or its device does. */
static void test_nothing(void **state)
{
    uint64_t generation;
    struct bench b;

    bench_open(&b, SPOOL_ALWAYS);
    assert_true(spool_settled(b.x.spool, spool_settle(b.x.spool)));
    put(&b, "other", 0);
    disk(true, 0);
    while (read_locked(&waiting) == 0)
        turn(&b);
    put(&b, "d", 0);
    put(&b, "gone", 0);
    generation = spool_settle(b.x.spool);
    spool_accept(spool_device(b.x.spool, "d"), 1);
    spool_forget(spool_device(b.x.spool, "gone"));
    assert_false(spool_settled(b.x.spool, generation));
    disk(false, 0);
    run_until_settled(&b, generation);
    assert_int_equal(on_disk(&b), 0);
    bench_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady),  cmocka_unit_test(test_two_commits), cmocka_unit_test(test_disk_fails),
        cmocka_unit_test(test_opening), cmocka_unit_test(test_memory),      cmocka_unit_test(test_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
