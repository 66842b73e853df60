/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device's samples in their places, against a naive model: one array of all samples, each with the place where it is.
 * Random operations, part of which find no memory; after each the sums of the account are counted anew, and nothing
 * leaves unasked or twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "no-memory.h"
#include "spool/segments.h"

#define DEVICES 3
#define SAMPLES_MAX 4000 /* of a device, in one run */
#define ROWS_MAX 4000

enum place { QUEUED, WRITING, STORED, GONE, GONE_WHILE_WRITING };

struct model_sample {
    enum place place;
    uint64_t row; /* STORED, or written when it had gone */
    bool dropped;
};

struct model {
    struct segments segments;
    struct segments_rows rows;
    struct model_sample samples[SAMPLES_MAX];
    unsigned n, first; /* made; the first that has not left */
    bool awaited;
    /* As they were told. */
    uint64_t passed, dropped, begun;
};

static struct model models[DEVICES];
static uint8_t row_told[ROWS_MAX]; /* 1: on disk, 2: gone */
static uint32_t row_size[ROWS_MAX];
static uint64_t next_row;
static uint32_t state;

static uint32_t any(uint32_t n)
{
    state = state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)state * n) >> 32);
}

/* Whether the present operation finds no memory at times. */
static bool scarce;
static unsigned refusals;

static void memory_fails(void)
{
    if (!scarce)
        return;
    fail_after = any(3);
    failing = any(3);
}

static void memory_is_back(void)
{
    fail_after = failing = 0;
}

static struct model *model_of(const struct segments *g)
{
    return (struct model *)(void *)((char *)(uintptr_t)g - offsetof(struct model, segments));
}

static void on_row_gone(struct segments *g, uint64_t seq)
{
    assert_int_equal(row_told[seq], 1); /* once, and only what was written */
    row_told[seq] = 2;
}

static void on_row_begun(struct segments *g)
{
    model_of(g)->begun++;
}

static void on_passed(struct segments *g, uint64_t n)
{
    model_of(g)->passed += n;
}

static void on_dropped(struct segments *g, uint64_t n)
{
    model_of(g)->dropped += n;
}

static bool is_awaited(const struct segments *g)
{
    return model_of(g)->awaited;
}

static const struct segments_ops ops = {on_row_gone, on_row_begun, on_passed, on_dropped, is_awaited};
static struct account account = {.ops = &ops};

/* ---- The model ---- */

static bool is_here(const struct model_sample *s)
{
    return s->place == QUEUED || s->place == WRITING || s->place == STORED;
}

static unsigned count(const struct model *m, enum place place)
{
    unsigned n = 0;

    for (unsigned i = 0; i < m->n; i++)
        n += m->samples[i].place == place;
    return n;
}

static int nth_here(const struct model *m, unsigned n)
{
    for (unsigned i = 0; i < m->n; i++)
        if (is_here(&m->samples[i]) && n-- == 0)
            return (int)i;
    return -1;
}

static void sample_leaves(struct model *m, unsigned i, bool dropped)
{
    m->samples[i].dropped = dropped;
    m->samples[i].place = m->samples[i].place == WRITING ? GONE_WHILE_WRITING : GONE;
}

/* What is in memory is a prefix of what is stored, and the rest; each sample is what it was. The last ones may stand
 * apart. */
static void check_queue(const struct model *m)
{
    const struct segments *g = &m->segments;

    for (uint32_t i = 0; i < g->queue.n; i++) {
        const struct entry *e = spool_queue_at(&g->queue, i);
        int k = nth_here(m, i);

        assert_true(k >= 0);
        assert_int_equal(e->time, k + 1);
    }
    if (g->queue.n < g->settled.queued) {
        int k = nth_here(m, g->queue.n);

        /* What is missing is on disk. */
        assert_int_equal(m->samples[k].place, STORED);
    }
    for (uint32_t i = 0; i < m->rows.tail.n; i++) {
        int k = nth_here(m, (unsigned)g->settled.queued - m->rows.tail.n + i);

        assert_true(k >= 0);
        assert_int_equal(spool_queue_at(&m->rows.tail, i)->time, k + 1);
    }
}

static void check(void)
{
    uint64_t queued = 0, unwritten = 0, disk = 0, memory = 0, most = 0;

    for (unsigned d = 0; d < DEVICES; d++) {
        const struct model *m = &models[d];
        const struct segments *g = &m->segments;
        uint64_t bytes = 0, row = 0;

        for (unsigned i = 0; i < m->n; i++)
            if (m->samples[i].place == STORED && m->samples[i].row != row) {
                row = m->samples[i].row;
                bytes += row_size[row] + SPOOL_ROW_OVERHEAD;
            }
        assert_int_equal(g->settled.queued, count(m, QUEUED) + count(m, WRITING) + count(m, STORED));
        assert_int_equal(segments_unwritten(g), count(m, QUEUED));
        assert_int_equal(g->settled.unwritten, count(m, QUEUED));
        assert_int_equal(g->settled.disk, bytes);
        assert_int_equal(g->settled.memory, g->queue.bytes + m->rows.tail.bytes);
        assert_true(g->held <= g->queue.n);
        check_queue(m);
        queued += g->settled.queued;
        unwritten += g->settled.unwritten;
        disk += g->settled.disk;
        memory += g->settled.memory;
        most = MAX_OF(most, segments_share(g));
        assert_int_equal(g->heap_index != NOT_IN_HEAP, g->settled.queued > 0);
    }
    assert_int_equal(account.queued, queued);
    assert_int_equal(account.unwritten, unwritten);
    assert_int_equal(account.disk, disk);
    assert_int_equal(account.memory, memory);
    assert_true(account.n_heap == 0 || segments_share(account.heap[0]) == most);
}

/* ---- The operations ---- */

static void push(struct model *m)
{
    struct entry e = {.type = SAMPLE_INT, .time = m->n + 1};
    char name[8];
    int r;

    if (m->n == SAMPLES_MAX)
        return;
    name[0] = (char)('a' + any(3));
    name[1] = '\0';
    r = spool_points_get(&m->segments.points, name, "");
    assert_true(r >= 0);
    e.point = (uint16_t)r;
    memory_fails();
    r = segments_push(&m->segments, &e);
    memory_is_back();
    if (r < 0)
        assert_true(scarce);
    else
        m->samples[m->n++] = (struct model_sample){.place = QUEUED};
}

static void release(struct model *m)
{
    uint64_t passed = m->passed;
    bool safe;
    int i = nth_here(m, 0);

    if (m->segments.queue.n == 0)
        return;
    safe = m->samples[i].place == STORED;
    segments_release(&m->segments);
    sample_leaves(m, (unsigned)i, false);
    assert_int_equal(m->passed - passed, safe ? 0 : 1);
}

static void unload(struct model *m)
{
    memory_fails();
    segments_unload(&m->segments, MAX_OF(any(40), m->segments.held));
    memory_is_back();
}

static void hold(struct model *m)
{
    m->segments.held = any(m->segments.queue.n + 1);
}

static void unwritten_again(struct model *m)
{
    for (unsigned i = 0; i < m->n; i++)
        if (m->samples[i].place == WRITING)
            m->samples[i].place = QUEUED;
        else if (m->samples[i].place == GONE_WHILE_WRITING)
            m->samples[i].place = GONE;
}

/* The first so many on their way are in that row: how many of them are here. */
static unsigned row_stored(struct model *m, const struct spool_row *row)
{
    unsigned here = 0;

    for (unsigned i = 0, k = row->n; k > 0; i++) {
        struct model_sample *s = &m->samples[i];

        if (s->place != WRITING && s->place != GONE_WHILE_WRITING)
            continue;
        here += s->place == WRITING;
        s->place = s->place == WRITING ? STORED : GONE;
        s->row = row->seq;
        k--;
    }
    return here;
}

/* Whoever is told of a row may do this. */
static void meanwhile(struct model *m)
{
    static void (*const operations[])(struct model * m) = {push, release, unload, hold};

    check();
    if (any(3) == 0)
        operations[any(ELEMENTSOF(operations))](m);
    check();
}

/* Once one row finds no memory, it and all behind it are unwritten again: none of them stays on disk. */
static void commit_rows(struct model *m, uint32_t left)
{
    bool refused = false;

    for (; left > 0; next_row++) {
        struct spool_row row = {.seq = next_row, .n = 1 + any(left), .size = 10 + any(50), .arrived = 1};
        uint64_t passed = m->passed;
        unsigned here = 0;
        bool taken;

        row_told[next_row] = 1;
        row_size[next_row] = row.size;
        memory_fails();
        taken = segments_written(&m->segments, &row);
        memory_is_back();
        assert_true(taken ? !refused : refused || scarce);
        if (taken)
            here = row_stored(m, &row);
        else if (!refused)
            unwritten_again(m);
        refused = !taken;
        assert_int_equal(m->passed - passed, here);
        assert_int_equal(row_told[next_row], here > 0 ? 1 : 2);
        left -= row.n;
        meanwhile(m);
    }
    refusals += refused;
}

/* What is unwritten goes on its way, is written in rows of any length, or is not; some leaves meanwhile. */
static void commit(struct model *m)
{
    uint32_t n = segments_unwritten(&m->segments);

    if (n == 0 || next_row + n >= ROWS_MAX)
        return;
    segments_writing(&m->segments, n);
    for (unsigned i = 0; i < m->n; i++)
        if (m->samples[i].place == QUEUED)
            m->samples[i].place = WRITING;
    check();
    for (unsigned k = any(4); k > 0; k--)
        release(m);
    for (unsigned k = any(3); k > 0; k--)
        push(m);
    check();
    if (any(5) == 0) {
        segments_write_failed(&m->segments);
        unwritten_again(m);
    } else
        commit_rows(m, n);
}

static void load(struct model *m)
{
    struct spool_row row;
    uint32_t gone, pushed = 0, wanted = 0;
    int r = any(6) == 0 ? -EBADMSG : 0, begun;

    if (!segments_first_rest(&m->segments, &row, &gone))
        return;
    memory_fails();
    begun = segments_load_begin(&m->segments);
    for (unsigned i = 0; begun >= 0 && i < m->n; i++)
        if (m->samples[i].place == STORED && m->samples[i].row == row.seq) {
            struct entry e = {.type = SAMPLE_INT, .time = i + 1};

            wanted++;
            if (r != -ENOMEM && segments_load_push(&m->segments, &e) >= 0)
                pushed++;
            else
                r = -ENOMEM;
        }
    memory_is_back();
    if (begun < 0)
        return;
    assert_int_equal(wanted, row.n - gone);
    segments_load_end(&m->segments, &row, pushed, r);
    if (r == -EBADMSG && any(2) == 0) {
        assert_int_equal(segments_row_unreadable(&m->segments), wanted);
        for (unsigned i = 0; i < m->n; i++)
            if (m->samples[i].place == STORED && m->samples[i].row == row.seq)
                sample_leaves(m, i, true);
    }
}

/* Of the device: the oldest row that is not held, in memory or not; then the oldest sample in no row. */
static void evict(struct model *m)
{
    bool rows = any(2) == 0, found = false;
    uint64_t dropped = m->dropped, row = 0;
    unsigned here = 0, n = 0;

    for (unsigned i = 0; i < m->n && !found; i++) {
        struct model_sample *s = &m->samples[i];

        if (!is_here(s))
            continue;
        if (s->place == STORED && here >= m->segments.held && (i == 0 || row != s->row)) {
            found = true;
            row = s->row;
        }
        if (s->place == STORED && here < m->segments.held)
            row = s->row; /* a row of which one is held stays whole */
        here++;
    }
    if (found) {
        for (unsigned i = 0; i < m->n; i++)
            if (m->samples[i].place == STORED && m->samples[i].row == row) {
                sample_leaves(m, i, true);
                n++;
            }
        assert_true(segments_evict(&m->segments, rows));
        assert_int_equal(row_told[row], 2);
        assert_int_equal(m->dropped - dropped, n);
        return;
    }
    here = 0;
    for (unsigned i = 0; i < m->n && !rows && !m->awaited; i++) {
        if (!is_here(&m->samples[i]))
            continue;
        if (m->samples[i].place == QUEUED && here >= m->segments.held) {
            assert_true(segments_evict(&m->segments, rows));
            assert_int_equal(m->dropped - dropped, 1);
            sample_leaves(m, i, true);
            return;
        }
        here++;
    }
    assert_false(segments_evict(&m->segments, rows));
    assert_int_equal(m->dropped, dropped);
}

/* The file is damaged: what memory has is unwritten again, the rest is lost. */
static void lose_file(struct model *m)
{
    uint32_t in_memory = m->rows.in_queue;
    uint64_t lost = 0, before;

    before = segments_only_on_disk(&m->segments);
    for (unsigned i = 0, k = 0; i < m->n; i++)
        if (m->samples[i].place == STORED) {
            row_told[m->samples[i].row] = 2; /* with the file */
            if (k++ < in_memory)
                m->samples[i].place = QUEUED;
            else {
                sample_leaves(m, i, true);
                lost++;
            }
        }
    assert_int_equal(before, lost);
    assert_int_equal(segments_lose_rows(&m->segments), lost);
}

static void run(unsigned seed)
{
    state = seed;
    next_row = 1;
    memset(row_told, 0, sizeof(row_told));
    for (unsigned d = 0; d < DEVICES; d++) {
        memset(&models[d], 0, sizeof(models[d]));
        segments_init(&models[d].segments, &account);
        models[d].segments.rows = &models[d].rows;
    }
    assert_int_equal(account_reserve(&account, DEVICES), 0);
    for (unsigned k = 0; k < 400; k++) {
        static void (*const operations[])(struct model * m) = {
            push, push, push, push, push, release, release, hold, commit, commit, unload, load, load, load, evict};
        struct model *m = &models[any(DEVICES)];

        m->awaited = any(4) == 0;
        scarce = any(3) == 0;
        operations[any(ELEMENTSOF(operations))](m);
        check();
        if (any(200) == 0)
            lose_file(m);
        check();
    }
    for (unsigned d = 0; d < DEVICES; d++)
        segments_done(&models[d].segments, true);
    assert_int_equal(account.queued + account.disk + account.memory + account.unwritten + account.unwritten_bytes, 0);
    assert_int_equal(account.n_heap, 0);
    /* No row stays that nobody wants. */
    for (uint64_t i = 1; i < next_row; i++)
        assert_int_equal(row_told[i], 2);
}

static void test_random_operations_agree_with_a_naive_model(void **unused)
{
    for (unsigned seed = 0; seed < 300; seed++)
        run(seed);
    scarce = false;
    assert_true(refusals > 100);
    account_done(&account);
}

/* ---- Among devices ---- */

static void fill(struct model *m, unsigned n)
{
    memset(m, 0, sizeof(*m));
    segments_init(&m->segments, &account);
    m->segments.rows = &m->rows;
    for (unsigned i = 0; i < n; i++)
        push(m);
}

static void test_the_device_with_most_gives_way(void **unused)
{
    assert_int_equal(account_reserve(&account, DEVICES), 0);
    fill(&models[0], 10);
    fill(&models[1], 500);
    fill(&models[2], 100);
    assert_true(account_bound_memory(&account, account.memory * 3 / 4, 0));
    assert_true(models[1].dropped > 0);
    assert_int_equal(models[0].dropped + models[2].dropped, 0);
    for (unsigned d = 0; d < DEVICES; d++)
        segments_done(&models[d].segments, true);
    account_done(&account);
}

static void test_what_is_held_or_awaited_is_not_dropped(void **unused)
{
    assert_int_equal(account_reserve(&account, DEVICES), 0);
    fill(&models[0], 10);
    fill(&models[1], 500);
    fill(&models[2], 100);
    models[1].segments.held = 500;
    models[2].awaited = true;
    assert_false(account_bound_memory(&account, 1, 0));
    assert_int_equal(models[0].dropped, 10);
    assert_int_equal(models[1].dropped + models[2].dropped, 0);
    assert_false(account_evict_unwritten(&account));
    models[2].awaited = false;
    assert_true(account_evict_unwritten(&account));
    assert_int_equal(models[2].dropped, MIN_OF(SPOOL_EVICTED_AT_ONCE, 100));
    for (unsigned d = 0; d < DEVICES; d++)
        segments_done(&models[d].segments, true);
    account_done(&account);
}

static void test_a_later_sample_must_be_as_safe_as_the_one_that_it_replaces(void **unused)
{
    struct model *m = &models[0];
    struct spool_row row = {.seq = 1, .n = 2, .size = 20};
    struct entry e = {.type = SAMPLE_INT};

    assert_int_equal(account_reserve(&account, 1), 0);
    fill(m, 0);
    row_told[1] = 1;
    for (unsigned i = 0; i < 2; i++) {
        e.point = (uint16_t)spool_points_get(&m->segments.points, i == 0 ? "a" : "b", "");
        assert_int_equal(segments_push(&m->segments, &e), 0);
    }
    segments_writing(&m->segments, 2);
    segments_written(&m->segments, &row);
    assert_true(segments_later_is_safe(&m->segments, false)); /* nothing is unwritten */
    e.point = (uint16_t)spool_points_get(&m->segments.points, "a", "");
    assert_int_equal(segments_push(&m->segments, &e), 0);
    assert_false(segments_later_is_safe(&m->segments, false));
    assert_true(segments_later_is_safe(&m->segments, true));
    segments_writing(&m->segments, 1);
    assert_true(segments_later_is_safe(&m->segments, false));
    segments_write_failed(&m->segments);
    segments_done(&m->segments, true);
    account_done(&account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_agree_with_a_naive_model),
        cmocka_unit_test(test_the_device_with_most_gives_way),
        cmocka_unit_test(test_what_is_held_or_awaited_is_not_dropped),
        cmocka_unit_test(test_a_later_sample_must_be_as_safe_as_the_one_that_it_replaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
