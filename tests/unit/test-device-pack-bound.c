/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/pack-bound.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MAX 16384

/* A cloud that takes packs up to a size, and shows it in one way. */
struct cloud {
    size_t limit, named;
    enum pack_failure shows;
};

static struct pack next(const struct pack_bound *b, size_t waiting, size_t sample)
{
    size_t bytes = b->bytes > 0 ? MIN_OF(b->bytes, (size_t)MAX) : MAX, n = MAX_OF(bytes / sample, (size_t)1);

    n = b->samples > 0 ? MIN_OF(n, b->samples) : n;
    n = MIN_OF(n, (size_t)SAMPLES_PER_PACK);
    n = MIN_OF(n, waiting);
    return (struct pack){n, n * sample};
}

/* Sends all that waits. Returns how many ends or refusals it cost; UINT_MAX: it does not end. */
static unsigned send_all(struct pack_bound *b, const struct cloud *cloud, size_t waiting, size_t sample,
                         size_t *rejected)
{
    unsigned failures = 0;

    while (waiting > 0 && failures < 10000) {
        struct pack pack = next(b, waiting, sample);

        if (pack.bytes <= cloud->limit) {
            pack_bound_accepted(b, &pack, MAX);
            waiting -= pack.samples;
            continue;
        }
        failures += cloud->shows == PACK_HUNG_UP ? pack_bound_patience(b, &pack) : 1;
        switch (pack_bound_failed(b, cloud->shows, &pack, cloud->named)) {
        case PACK_AGAIN:
        case PACK_SMALLER:
            continue;
        case PACK_PROVE:
            if (!pack_bound_gives_up(b, UINT64_MAX / 2 + failures * PACK_GIVE_UP_WAIT_MAX))
                continue;
            __attribute__((fallthrough));
        case PACK_REJECT:
            waiting--;
            ++*rejected;
        }
    }
    return waiting > 0 ? UINT_MAX : failures;
}

static void test_limits(void **state)
{
    static const struct {
        struct cloud cloud;
        size_t sample;
        unsigned at_most; /* failures for ten thousand samples */
        bool all_pass;
    } cases[] = {
        {{1000, 0, PACK_TOO_LARGE}, 40, 20, true},    {{1000, 1000, PACK_TOO_LARGE}, 40, 20, true},
        {{1000, 0, PACK_HUNG_UP}, 40, 40, true},      {{100, 0, PACK_HUNG_UP}, 40, 60, true},
        {{1000, 0, PACK_RESET}, 40, 40, true},        {{1000, 0, PACK_SILENT}, 40, 20, true},
        {{39, 0, PACK_TOO_LARGE}, 40, 10100, false},  {{MAX, 0, PACK_HUNG_UP}, 40, 0, true},
        {{8000, 8000, PACK_TOO_LARGE}, 40, 12, true},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct pack_bound b = {0};
        size_t rejected = 0;
        unsigned failures = send_all(&b, &cases[i].cloud, cases[i].all_pass ? 10000 : 5000, cases[i].sample, &rejected);

        if (failures > cases[i].at_most || (rejected == 0) != cases[i].all_pass)
            fail_msg("case %zu: %u failures, %zu rejected", i, failures, rejected);
    }
}

/* One among 255 others. */
static void test_one_never_passes(void **state)
{
    static const struct {
        enum pack_failure shows;
        unsigned at_most;
    } cases[] = {{PACK_TOO_LARGE, 10},
                 {PACK_HUNG_UP, 3 + 8 + PACK_ENDS_SINGLE},
                 {PACK_RESET, 3 + 8 + PACK_ENDS_SINGLE},
                 {PACK_BAD, 16}};

    for (size_t i = 0; i < ELEMENTSOF(cases); i++)
        for (size_t bad = 0; bad < 256; bad += 5) {
            struct pack_bound b = {0};
            size_t sent = 0;
            unsigned failures = 0;

            while (sent < 256 && failures < 1000) {
                struct pack pack = next(&b, 256 - sent, 40);
                enum pack_step step;

                if (bad < sent || bad >= sent + pack.samples) {
                    pack_bound_accepted(&b, &pack, MAX);
                    sent += pack.samples;
                    continue;
                }
                failures += cases[i].shows == PACK_HUNG_UP ? pack_bound_patience(&b, &pack) : 1;
                step = pack_bound_failed(&b, cases[i].shows, &pack, 0);
                if (step == PACK_PROVE)
                    step = pack_bound_gives_up(&b, 1) ? PACK_REJECT : PACK_AGAIN;
                if (step == PACK_REJECT) {
                    assert_int_equal(sent, bad);
                    sent++;
                }
            }
            if (sent != 256 || failures > cases[i].at_most)
                fail_msg("shown by %d, at %zu: %u failures", (int)cases[i].shows, bad, failures);
        }
}

/* A line that drops for a while makes packs small, but not for ever; one sample is not given up for silence. */
static void test_grows_back(void **state)
{
    struct pack_bound b = {0};
    struct pack pack = {256, 10000};
    unsigned packs = 0;

    while (pack.samples > 1) {
        assert_int_equal(pack_bound_failed(&b, PACK_SILENT, &pack, 0), PACK_SMALLER);
        pack = next(&b, 256, 40);
    }
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(pack_bound_failed(&b, PACK_SILENT, &pack, 0), PACK_AGAIN);
    while (b.bytes > 0) {
        pack = next(&b, 1000, 40);
        pack_bound_accepted(&b, &pack, MAX);
        assert_true(++packs < 400);
    }
    assert_int_equal(next(&b, 1000, 40).samples, 256);
}

/* A server that ends the session at every sample may be broken: few are given up. */
static void test_gives_up_slowly(void **state)
{
    struct pack_bound b = {0};
    struct pack one = {1, 40};
    unsigned given_up = 0;

    for (uint64_t now = 1; now < 24 * USEC_PER_HOUR; now += USEC_PER_SEC) {
        assert_int_equal(pack_bound_failed(&b, PACK_HUNG_UP, &one, 0), PACK_PROVE);
        given_up += pack_bound_gives_up(&b, now);
    }
    assert_true(given_up < 40);
    pack_bound_accepted(&b, &one, MAX);
    assert_true(pack_bound_gives_up(&b, 24 * USEC_PER_HOUR));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_one_never_passes),
        cmocka_unit_test(test_grows_back),
        cmocka_unit_test(test_gives_up_slowly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
