/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers while the disk fails: nobody waits for long, nothing is taken twice, nothing that was answered is lost, and
 * the state of one device is not another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "spool-numbers.h"

/* The spool looks at the clock itself when it refuses: with a time of our own the verdict would be one on the machine's
 * uptime. */
#undef NOW
#define NOW started

static uint64_t started;
static struct rlimit before;

static void disk_fails(bool fails)
{
    const struct rlimit none = {0, before.rlim_max};

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, fails ? &none : &before), 0);
}

static int setup(void **state)
{
    started = clock_boottime();
    return getrlimit(RLIMIT_FSIZE, &before);
}

static int teardown(void **state)
{
    disk_fails(false);
    return 0;
}

/* Hands over `n` samples from the `from`-th on at once, each time with the same times. */
static void hand_over_at(struct scratch *x, uint64_t now, const char *id, int64_t from, int64_t n, int *answer)
{
    struct sample s[16];

    for (int64_t i = 0; i < n; i++)
        s[i] = number("p", REAL + (uint64_t)(from + i), from + i);
    *answer = 0;
    spool_append(spool_device(x->spool, id), now, s, (size_t)n, on_answer, answer);
}

static void hand_over(struct scratch *x, const char *id, int64_t from, int64_t n, int *answer)
{
    hand_over_at(x, NOW, id, from, n, answer);
}

/* Exactly these, each once and under its own time. */
static void assert_holds(struct scratch *x, const char *id, int64_t from, int64_t to)
{
    struct sample out[64];
    size_t n = spool_peek(spool_device(x->spool, id), NOW, 0, out, ELEMENTSOF(out));

    assert_int_equal(n, to - from);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(out[i].value.x, from + (int64_t)i);
        assert_int_equal(out[i].time, REAL + (uint64_t)out[i].value.x);
    }
}

/* One whose line is down is refused at once, the other goes on; later each sample is taken once. */
static void test_line_down(void **state)
{
    struct scratch x;
    int down, up;

    scratch_init(&x, SPOOL_OUTAGE);
    spool_line(spool_device(x.spool, "up"), true);
    disk_fails(true);
    hand_over(&x, "down", 0, 5, &down);
    assert_int_equal(down, -EBUSY);
    for (int64_t i = 0; i < 20; i++) {
        hand_over(&x, "up", i, 1, &up);
        assert_int_equal(up, 1);
        hand_over(&x, "down", 0, 1, &down);
        assert_int_equal(down, -EBUSY);
    }
    hand_over(&x, "down", 5, 2, &down); /* nothing new either */
    assert_int_equal(down, -EBUSY);
    disk_fails(false);
    hand_over(&x, "down", 0, 1, &down);
    assert_int_equal(down, 1);
    hand_over(&x, "down", 1, 7, &down);
    assert_int_equal(down, 1);
    assert_holds(&x, "down", 0, 8);
    assert_holds(&x, "up", 0, 20);
    scratch_kill(&x);
    scratch_start(&x);
    assert_holds(&x, "down", 0, 8);
    scratch_done(&x);
}

/* Its line is up again before the disk works: memory is as safe as it asks for. */
static void test_line_back(void **state)
{
    struct scratch x;
    int answer;

    scratch_init(&x, SPOOL_OUTAGE);
    disk_fails(true);
    hand_over(&x, "d", 0, 5, &answer);
    assert_int_equal(answer, -EBUSY);
    spool_line(spool_device(x.spool, "d"), true);
    hand_over(&x, "d", 0, 7, &answer);
    assert_int_equal(answer, 1);
    assert_holds(&x, "d", 0, 7);
    scratch_done(&x);
}

/* Part of what was refused is with the cloud when it is handed over again. */
static void test_partly_sent(void **state)
{
    struct scratch x;
    int answer;

    scratch_init(&x, SPOOL_ALWAYS);
    spool_line(spool_device(x.spool, "d"), true);
    disk_fails(true);
    hand_over(&x, "d", 0, 5, &answer);
    assert_int_equal(answer, 0); /* the cloud may be faster */
    spool_accept(spool_device(x.spool, "d"), 2);
    assert_int_equal(answer, 0);
    spool_line(spool_device(x.spool, "d"), false);
    assert_int_equal(answer, -EBUSY);
    hand_over(&x, "d", 0, 5, &answer);
    assert_int_equal(answer, -EBUSY);
    disk_fails(false);
    hand_over(&x, "d", 0, 6, &answer);
    assert_int_equal(answer, 1);
    assert_holds(&x, "d", 2, 6);
    scratch_done(&x);
}

/* Whatever keeps them: after a while who waits is refused, and what comes again is known until it is safe. */
static void test_too_long(void **state)
{
    struct scratch x;
    int slow, other;

    scratch_init(&x, SPOOL_ALWAYS);
    spool_line(spool_device(x.spool, "slow"), true);
    spool_line(spool_device(x.spool, "other"), true);
    disk_fails(true);
    hand_over(&x, "slow", 0, 3, &slow);
    waits_over(x.spool, NOW + SPOOL_WAIT_MAX - 1);
    assert_int_equal(slow, 0);
    waits_over(x.spool, NOW + SPOOL_WAIT_MAX);
    assert_int_equal(slow, -EBUSY);
    hand_over(&x, "slow", 0, 4, &slow);
    assert_int_equal(slow, -EBUSY); /* at once now */
    hand_over(&x, "other", 0, 1, &other);
    spool_accept(spool_device(x.spool, "other"), 1);
    assert_int_equal(other, 1);
    spool_accept(spool_device(x.spool, "slow"), 3);
    hand_over(&x, "slow", 1, 3, &slow); /* the first was dropped where it came from */
    assert_int_equal(slow, 0);
    assert_holds(&x, "slow", 3, 4);
    spool_accept(spool_device(x.spool, "slow"), 1);
    assert_int_equal(slow, 1);
    scratch_done(&x);
}

/* The disk fails for longer than refused samples are remembered without being handed over: they are all the time, and
 * known when they can be taken. */
static void test_long_failure(void **state)
{
    uint64_t now = clock_boottime(), end = now + 3 * SPOOL_AGAIN_MAX;
    struct scratch x;
    int answer;

    scratch_init(&x, SPOOL_OUTAGE);
    disk_fails(true);
    for (; now < end; now += SPOOL_AGAIN_MAX / 4) {
        hand_over_at(&x, now, "d", 0, 5, &answer);
        assert_int_equal(answer, -EBUSY);
    }
    disk_fails(false);
    hand_over_at(&x, now, "d", 0, 6, &answer);
    assert_int_equal(answer, 1);
    assert_holds(&x, "d", 0, 6);
    scratch_done(&x);
}

/* What fills the memory is of one device: it gives way, not the one whose line takes everything at once. */
static void test_memory_is_shared(void **state)
{
    static struct sample in[1000];
    static char text[200];
    struct scratch x;
    int answer = 1;

    memset(text, 'x', sizeof(text) - 1);
    scratch_init(&x, SPOOL_OUTAGE);
    spool_line(spool_device(x.spool, "hog"), true);
    spool_line(spool_device(x.spool, "d"), true);
    disk_fails(true);
    for (uint64_t i = 0; counts_of(&x, "hog").dropped == 0; i += ELEMENTSOF(in)) {
        for (size_t k = 0; k < ELEMENTSOF(in); k++)
            in[k] = (struct sample){"p", REAL + i + k, {SAMPLE_STRING, .s = text}, "", 0};
        spool_append(spool_device(x.spool, "hog"), NOW, in, ELEMENTSOF(in), on_answer, &answer);
        assert_int_equal(answer, 1);
    }
    for (int64_t i = 0; i < 10; i++) {
        hand_over(&x, "d", 16 * i, 16, &answer);
        assert_int_equal(answer, 1);
    }
    expect(&x, "d", 0, 160);
    assert_int_equal(counts_of(&x, "d").dropped, 0);
    assert_true(x.spool->account.memory <= SPOOL_MEMORY_MAX);
    scratch_done(&x);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_line_down), TEST(test_line_back),    TEST(test_partly_sent),
        TEST(test_too_long),  TEST(test_long_failure), TEST(test_memory_is_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
