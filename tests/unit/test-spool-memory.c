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

#include "no-memory.h"
#include "spool-numbers.h"

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

    for (unsigned after = 0; after < 40; after++)
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

/* Somebody who waits until samples are safe. */
struct awaiting {
    const struct spool *spool;
    int answer;
    uint64_t unsafe; /* when it was told */
};

static void on_awaited(int r, void *userdata)
{
    struct awaiting *a = userdata;

    a->answer = r == 0 ? 1 : r;
    a->unsafe = a->spool->account.unwritten;
}

static void run_until_written(struct scratch *x)
{
    struct spool *s = x->spool;

    while (s->state != SPOOL_OPEN || s->account.unwritten > 0 || s->commit) {
        /* By itself: nobody asks for it. */
        assert_true(s->state != SPOOL_OPEN || s->commit || spool_armed(s->due.retry_timer) ||
                    spool_armed(s->due.commit_timer));
        if (spool_armed(s->due.retry_timer))
            sd_event_source_set_time(s->due.retry_timer, 0);
        assert_true(sd_event_run(x->event, UINT64_MAX) > 0);
    }
}

/* Samples from that number on, in several rows of which one may find no memory when they are written. True if that was
 * so. */
static bool put_without_memory(struct scratch *x, unsigned from, size_t n, bool up)
{
    struct awaiting waits = {.spool = x->spool};
    struct sample in[3 * SPOOL_ROW_SAMPLES_MAX];
    bool failed;

    assert_true(n <= ELEMENTSOF(in));
    for (unsigned i = 0; i < n; i++)
        in[i] = number("p", REAL + from + i, from + i);
    spool_append(spool_device(x->spool, "d"), NOW, in, n, on_awaited, &waits);
    /* Nobody is refused because this machine is busy. */
    assert_int_equal(sd_event_source_set_enabled(x->spool->due.wait_timer, SD_EVENT_OFF), 0);
    while (!x->spool->commit)
        assert_true(sd_event_run(x->event, UINT64_MAX) > 0);
    failing = 1;
    while (x->spool->commit)
        assert_true(sd_event_run(x->event, UINT64_MAX) > 0);
    failed = failing == 0;
    failing = 0;
    run_until_written(x);
    /* It is safe when somebody is told so. */
    assert_int_equal(waits.answer, failed && !up ? -EBUSY : 1);
    assert_true(waits.answer < 0 || waits.unsafe == 0);
    assert_int_equal(x->failures, failed);
    assert_int_equal(x->recoveries, failed);
    return failed;
}

/* A device with so many rows, and three more of which one may find no memory: each sample is there once, in order. */
static bool with_rows(sd_event *event, unsigned rows, bool on_disk_alone, bool up)
{
    const unsigned many = 3 * SPOOL_ROW_SAMPLES_MAX;
    struct scratch x;
    bool failed;

    scratch_init(&x, SPOOL_ALWAYS);
    for (unsigned i = 0; on_disk_alone && i < rows; i++)
        put(&x, "d", i);
    scratch_kill(&x);
    x.event = event;
    scratch_start(&x);
    run_until_written(&x);
    spool_line(spool_device(x.spool, "d"), up);
    for (unsigned i = 0; !on_disk_alone && i < rows; i++) {
        put(&x, "d", i);
        run_until_written(&x);
    }
    failed = put_without_memory(&x, rows, many, up);
    scratch_kill(&x);
    x.event = NULL;
    scratch_start(&x);
    assert_int_equal(x.spool->account.queued, rows + many);
    expect(&x, "d", 0, rows + many);
    scratch_done(&x);
    return failed;
}

/* Rows that find no memory when they are on disk are written once more by themselves, whatever became of those beside
 * them: behind rows in memory, and behind those that the disk alone has. Lists of both grow at some of the lengths. */
static void test_no_memory_for_what_is_written(void **state)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    unsigned in_memory = 0, on_disk = 0;

    assert_int_equal(sd_event_new(&event), 0);
    for (unsigned rows = 0; rows < 9; rows++)
        in_memory += with_rows(event, rows, false, rows % 2 == 0);
    for (unsigned rows = 14; rows < 34; rows++)
        on_disk += with_rows(event, rows, true, rows % 2 == 0);
    /* Each of the three. */
    assert_true(in_memory >= 3 && on_disk >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_line_down),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_for_what_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
