/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything that a spool with a file is asked to do, in random order, against a model: nothing that was safe is lost
 * whenever the agent ends, and each device's samples come in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/clock.h"
#include "spool-scratch.h"

#define DEVICES 5

struct model {
    int64_t next;     /* the number of the next sample */
    int64_t safe;     /* those before it were answered */
    int64_t accepted; /* those before it the cloud has */
    int64_t seen;     /* the highest that the cloud has, + 1 */
    size_t held;
};

static uint32_t seed = 1;

static uint32_t any(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

struct answer {
    struct model *model;
    int64_t until; /* 0: the line is up, and only a cloud makes it safe */
};

static void on_safe(int r, void *userdata)
{
    struct answer *a = userdata;

    assert_true(r == 0 || r == -ECANCELED);
    if (r == 0 && a->until > a->model->safe)
        a->model->safe = a->until;
    free(a);
}

static void append(struct spool_device *d, struct model *m)
{
    struct sample samples[300];
    struct answer *a = malloc(sizeof(*a));
    size_t n = 1 + (any(10) ? any(20) : any(299));
    char points[7][8];

    for (size_t i = 0; i < n; i++) {
        snprintf(points[i % 7], sizeof(points[0]), "p%zu", i % 7);
        samples[i] = number(points[i % 7], REAL + (uint64_t)m->next, m->next);
        if (m->next % 11 == 0)
            samples[i] = (struct sample){points[i % 7], REAL + (uint64_t)m->next, {SAMPLE_STRING, .s = "text"}, "", 0};
        m->next++;
    }
    *a = (struct answer){m, d->up && d->spool->settings.durability == SPOOL_OUTAGE ? 0 : m->next};
    spool_append(d, NOW, samples, n, on_safe, a);
}

static void check_order(struct spool_device *d, struct model *m, size_t most)
{
    struct sample out[256];
    size_t n = spool_peek(d, NOW, 0, out, most);

    for (size_t i = 0; i < n; i++)
        if (out[i].time != REAL + (uint64_t)m->accepted + i)
            fail_msg("%s: %lld comes where %lld is next", d->id, (long long)(out[i].time - REAL),
                     (long long)m->accepted + (long long)i);
    if (m->held > 0 && n > 0)
        assert_true(n >= MIN_OF(m->held, most));
    m->held = n;
    spool_hold(d, n);
}

static void accept_some(struct spool_device *d, struct model *m)
{
    size_t n = m->held == 0 ? 0 : any((uint32_t)m->held + 1);

    spool_accept(d, n);
    spool_hold(d, 0);
    m->held = 0;
    m->accepted += (int64_t)n;
    m->seen = MAX_OF(m->seen, m->accepted);
}

/* After a restart the first that is there is where the model goes on: not beyond what the cloud has, unless it was not
 * safe. */
static void resume(struct scratch *x, struct model *models)
{
    for (int i = 0; i < DEVICES; i++) {
        struct model *m = &models[i];
        char id[8];
        struct sample out;
        struct spool_device *d;
        uint64_t queued;

        snprintf(id, sizeof(id), "d%d", i);
        d = spool_device(x->spool, id);
        queued = counts_of(x, id).queued;
        m->held = 0;
        m->accepted = m->next;
        if (spool_peek(d, NOW, 0, &out, 1) == 1 || spool_peek(d, NOW, 0, &out, 1) == 1)
            m->accepted = (int64_t)(out.time - REAL);
        else
            assert_int_equal(queued, 0);
        if (m->accepted > m->seen && m->seen < m->safe)
            fail_msg("%s: %lld were safe, the cloud has %lld, and %lld comes", id, (long long)m->safe,
                     (long long)m->seen, (long long)m->accepted);
        if (m->accepted + (int64_t)queued < m->safe)
            fail_msg("%s: %lld were safe, %lld come from %lld on", id, (long long)m->safe, (long long)queued,
                     (long long)m->accepted);
        /* What was lost was not safe, and will not come. */
        m->next = m->accepted + (int64_t)queued;
        m->safe = MIN_OF(m->safe, m->next);
        m->seen = MIN_OF(m->seen, m->accepted);
    }
}

static void end(struct scratch *x, struct model *models, bool flush)
{
    struct error e = {0};

    if (flush) {
        assert_int_equal(spool_flush(x->spool, &e), 0);
        for (int i = 0; i < DEVICES; i++)
            models[i].safe = models[i].next;
    }
    scratch_kill(x);
    scratch_start(x);
    resume(x, models);
}

static void play(enum spool_durability durability, uint32_t first, unsigned steps)
{
    struct model models[DEVICES] = {0};
    uint64_t pressure;
    struct scratch x;

    seed = first;
    scratch_init(&x, durability);
    for (unsigned step = 0; step < steps; step++) {
        int i = (int)any(DEVICES);
        char id[8];
        struct spool_device *d;

        snprintf(id, sizeof(id), "d%d", i);
        d = spool_device(x.spool, id);
        switch (any(40)) {
        case 0:
            end(&x, models, any(2));
            break;
        case 1:
            /* Now and then while memory is full of others' samples. */
            pressure = any(2) ? SPOOL_MEMORY_MAX / 2 : 0;
            x.spool->account.memory += pressure;
            spool_line(d, any(2));
            x.spool->account.memory -= pressure;
            break;
        case 2:
            spool_tick(x.spool, NOW + any(10) * USEC_PER_SEC);
            break;
        case 3 ... 20:
            append(d, &models[i]);
            break;
        default:
            check_order(d, &models[i], 1 + any(256));
            accept_some(d, &models[i]);
        }
    }
    /* All that is left comes. */
    for (int i = 0; i < DEVICES; i++) {
        char id[8];

        snprintf(id, sizeof(id), "d%d", i);
        for (unsigned k = 0; counts_of(&x, id).queued > 0; k++) {
            struct spool_device *d = spool_device(x.spool, id);

            check_order(d, &models[i], 256);
            spool_accept(d, models[i].held);
            models[i].accepted += (int64_t)models[i].held;
            models[i].held = 0;
            assert_true(k < 10000);
        }
        assert_int_equal(models[i].accepted, models[i].next);
        assert_int_equal(counts_of(&x, id).dropped, 0);
    }
    assert_int_equal(x.spool->account.disk, 0);
    assert_int_equal(x.spool->account.memory, 0);
    assert_int_equal(x.spool->account.unwritten, 0);
    assert_int_equal(x.spool->account.unwritten_bytes, 0);
    assert_int_equal(x.spool->account.queued, 0);
    assert_int_equal(x.failures + x.corrupt + x.unreadable, 0);
    scratch_done(&x);
}

static void test_always(void **state)
{
    for (uint32_t i = 1; i <= 6; i++)
        play(SPOOL_ALWAYS, i, 600);
}

static void test_outage(void **state)
{
    for (uint32_t i = 1; i <= 6; i++)
        play(SPOOL_OUTAGE, 100 + i, 600);
}

/* What an earlier run left of a device that nobody asks for any more is found, and is too old one day as well. */
static void test_of_nobody(void **state)
{
    const struct sample sample = number("x", UINT64_C(1700000000) * USEC_PER_SEC, 1);
    struct spool_device *d;
    struct scratch x;
    int answer = 0;

    scratch_init(&x, SPOOL_ALWAYS);
    spool_append(spool_device(x.spool, "gone"), clock_boottime(), &sample, 1, on_answer, &answer);
    assert_int_equal(answer, 1);
    scratch_kill(&x);
    scratch_start(&x);
    d = spool_next(x.spool, NULL);
    assert_non_null(d);
    assert_string_equal(spool_device_id(d), "gone");
    assert_null(spool_next(x.spool, d));
    spool_age(d, clock_boottime());
    assert_int_equal(counts_of(&x, "gone").queued, 1);
    spool_age(d, clock_boottime() + SPOOL_AGE_DEFAULT + USEC_PER_MINUTE);
    assert_int_equal(counts_of(&x, "gone").queued, 0);
    assert_int_equal(counts_of(&x, "gone").dropped, 1);
    assert_null(spool_next(x.spool, NULL));
    scratch_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_nobody),
        cmocka_unit_test(test_always),
        cmocka_unit_test(test_outage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
