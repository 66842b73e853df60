/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a spool with a file keeps in memory: bounded, whatever stands on disk; and what becomes of it when there is none
 * left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "spool-scratch.h"

/* The allocations that fail: after so many, so many. */
static unsigned fail_after, failing;

void *reallocarray(void *p, size_t n, size_t size)
{
    size_t total;

    if (fail_after > 0) {
        fail_after--;
    } else if (failing > 0) {
        failing--;
        errno = ENOMEM;
        return NULL;
    }
    return __builtin_mul_overflow(n, size, &total) ? NULL : realloc(p, total);
}

static struct sample text(uint64_t i)
{
    static const char long_text[] =
        "a text of two hundred characters, such as a device has to say of itself now and then: "
        "that its filter wants to be cleaned, that its battery is low, or that somebody has "
        "opened the door of the cabinet and left";

    return (struct sample){"text", REAL + i, {SAMPLE_STRING, .s = long_text}, "", 0};
}

static const char *nth(unsigned i)
{
    static char id[16];

    snprintf(id, sizeof(id), "d%u", i);
    return id;
}

/* After an outage all devices want what they have on disk at once: those that have to wait do, and all get theirs. */
static void test_read_back(void **state)
{
    enum { DEVICES = 400, EACH = 400 };
    struct sample in[EACH], out[256];
    struct scratch x;
    uint64_t left = (uint64_t)DEVICES * EACH, most = 0;

    scratch_init(&x, SPOOL_ALWAYS);
    for (unsigned i = 0; i < EACH; i++)
        in[i] = text(i);
    for (unsigned i = 0; i < DEVICES; i++)
        spool_append(spool_device(x.spool, nth(i)), NOW, in, EACH, NULL, NULL);
    scratch_kill(&x);
    scratch_start(&x);
    assert_int_equal(x.spool->account.queued, left);
    for (unsigned round = 0; left > 0 && round < 100; round++) {
        for (unsigned i = 0; i < DEVICES; i++) {
            struct spool_device *d = spool_device(x.spool, nth(i));
            size_t n = spool_peek(d, NOW, 0, out, ELEMENTSOF(out));
            const uint64_t first = REAL + EACH - counts_of(&x, nth(i)).queued;

            for (size_t k = 0; k < n; k++)
                assert_int_equal(out[k].time, first + k);
            most = MAX_OF(most, x.spool->account.memory);
            spool_hold(d, n);
        }
        for (unsigned i = 0; i < DEVICES; i++) {
            struct spool_device *d = spool_device(x.spool, nth(i));

            left -= d->segments.held;
            spool_accept(d, d->segments.held);
        }
    }
    assert_int_equal(left, 0);
    assert_true(most <= SPOOL_MEMORY_MAX);
    assert_true(most > SPOOL_MEMORY_MAX / 4);
    scratch_done(&x);
}

/* Devices that cannot send after all give way to those that can. */
static void test_line_down(void **state)
{
    enum { DEVICES = 400, EACH = 400 };
    struct sample in[EACH], out[256];
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    for (unsigned i = 0; i < EACH; i++)
        in[i] = text(i);
    for (unsigned i = 0; i < DEVICES; i++)
        spool_append(spool_device(x.spool, nth(i)), NOW, in, EACH, NULL, NULL);
    scratch_kill(&x);
    scratch_start(&x);
    for (unsigned i = 0; i + 1 < DEVICES; i++) {
        struct spool_device *d = spool_device(x.spool, nth(i));

        /* Four were sent, and not answered. */
        spool_hold(d, MIN_OF(spool_peek(d, NOW, 0, out, ELEMENTSOF(out)), (size_t)4));
        spool_hold(d, 0);
        spool_line(d, false);
    }
    assert_true(x.spool->account.memory <= SPOOL_MEMORY_MAX / 4 * 3);
    for (unsigned sent = 0, n; sent < EACH; sent += n) {
        struct spool_device *d = spool_device(x.spool, nth(DEVICES - 1));

        n = (unsigned)spool_peek(d, NOW, 0, out, ELEMENTSOF(out));
        if (n == 0)
            n = (unsigned)spool_peek(d, NOW, 0, out, ELEMENTSOF(out));
        assert_true(n > 0);
        assert_int_equal(out[0].time, REAL + sent);
        spool_accept(d, n);
    }
    scratch_done(&x);
}

/* While the disk fails a report is taken whole, and unanswered, or refused. */
static void test_long_texts(void **state)
{
    struct rlimit before, none;
    struct sample in[397]; /* each of them is tried to be written again with each report */
    struct scratch x;
    uint64_t taken = 0;
    int answer = 0;

    scratch_init(&x, SPOOL_ALWAYS);
    for (unsigned i = 0; i < ELEMENTSOF(in); i++)
        in[i] = text(i);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
    for (unsigned i = 0; i < 7; i++)
        spool_line(spool_device(x.spool, nth(i)), true);
    for (unsigned i = 0; i < 10000 && answer == 0; i++) {
        spool_append(spool_device(x.spool, nth(i % 7)), NOW, in, ELEMENTSOF(in), on_answer, &answer);
        taken += answer == 0 ? ELEMENTSOF(in) : 0;
    }
    assert_int_equal(answer, -EBUSY);
    assert_true(taken > 10000);
    assert_int_equal(x.spool->outcomes.dropped, 0);
    assert_int_equal(x.spool->account.queued, taken);
    assert_true(x.spool->account.memory <= SPOOL_MEMORY_MAX);
    setrlimit(RLIMIT_FSIZE, &before);
    scratch_done(&x);
}

/* Out of memory at any place of a commit: what is not answered may be lost, what is answered is not. */
static void test_no_memory(void **state)
{
    static const unsigned many[] = {1, 2, 1000};

    for (unsigned after = 0; after < 12; after++)
        for (unsigned k = 0; k < ELEMENTSOF(many); k++) {
            int answers[8] = {0}, answered = 0;
            struct scratch x;

            scratch_init(&x, SPOOL_ALWAYS);
            for (unsigned i = 0; i < 2; i++)
                assert_non_null(spool_device(x.spool, nth(i)));
            fail_after = after;
            failing = many[k];
            for (unsigned i = 0; i < ELEMENTSOF(answers); i++) {
                const struct sample s = number("p", REAL + i, i);

                if (i == 4)
                    fail_after = failing = 0;
                spool_append(spool_device(x.spool, nth(i % 2)), NOW, &s, 1, on_answer, &answers[i]);
            }
            for (unsigned i = 0; i < ELEMENTSOF(answers); i++) {
                assert_int_not_equal(answers[i], 0);
                answered += answers[i] == 1;
            }
            assert_true(answered >= 4);
            answered -= (int)x.spool->outcomes.dropped; /* no memory for these: said */
            scratch_kill(&x);
            scratch_start(&x);
            if ((int)x.spool->account.queued < answered)
                fail_msg("after %u allocations %u failed: %d were answered, %llu are found", after, many[k], answered,
                         (unsigned long long)x.spool->account.queued);
            scratch_done(&x);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_line_down),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
