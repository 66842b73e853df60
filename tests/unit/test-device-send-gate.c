/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/send-gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct send_facts facts_of(unsigned bits, int phase)
{
    return (struct send_facts){.phase = (enum connection_phase)phase,
                               .excluded = bits & 1,
                               .removed = bits & 2,
                               .paused = bits & 4,
                               .under_way = bits & 8,
                               .later = bits & 16,
                               .waits = bits & 32,
                               .undated = bits & 64};
}

#define COMBINATIONS 128

/* In every combination of all facts. */
static void test_samples_are_sent_only_when_nothing_at_all_holds_them_back(void **state)
{
    unsigned n = 0;

    for (int phase = 0; phase < CONNECTION_PHASES; phase++)
        for (unsigned bits = 0; bits < COMBINATIONS; bits++) {
            const struct send_facts f = facts_of(bits, phase);
            bool free = f.phase == CONNECTION_READY && !f.excluded && !f.removed && !f.paused && !f.under_way &&
                        !f.later && f.waits && !f.undated;

            assert_int_equal(send_gate(&f) == SEND_NOW, free);
            n += free;
        }
    assert_int_equal(n, 1);
}

/* What is answered is true, whatever else is. */
static void test_the_reason_that_is_given_holds(void **state)
{
    for (int phase = 0; phase < CONNECTION_PHASES; phase++)
        for (unsigned bits = 0; bits < COMBINATIONS; bits++) {
            const struct send_facts f = facts_of(bits, phase);

            switch (send_gate(&f)) {
            case SEND_NOW:
                break;
            case SEND_NOTHING:
                assert_false(f.waits);
                break;
            case SEND_NO_SESSION:
                assert_true(phase == CONNECTION_CLOSED || phase == CONNECTION_CONNECTING ||
                            phase == CONNECTION_DRAINING);
                break;
            case SEND_ANNOUNCING:
                assert_int_equal(phase, CONNECTION_ANNOUNCING);
                break;
            case SEND_PROVING:
                assert_int_equal(phase, CONNECTION_PROVING);
                break;
            case SEND_KEY_TRIED:
                assert_true(f.excluded);
                break;
            case SEND_REMOVED:
                assert_true(f.removed);
                break;
            case SEND_RELOADING:
                assert_true(f.paused);
                break;
            case SEND_UNDER_WAY:
                assert_true(f.under_way);
                break;
            case SEND_LATER:
                assert_true(f.later);
                break;
            case SEND_NO_CLOCK:
                assert_true(f.undated);
                break;
            }
        }
}

/* Each answer comes from its own fact alone. */
static void test_one_fact_alone_is_named(void **state)
{
    static const struct {
        struct send_facts facts;
        enum send_answer answer;
        const char *name;
    } cases[] = {
        {{.phase = CONNECTION_READY, .waits = true}, SEND_NOW, "now"},
        {{.phase = CONNECTION_READY}, SEND_NOTHING, "nothing-waits"},
        {{.phase = CONNECTION_CLOSED, .waits = true}, SEND_NO_SESSION, "no-session"},
        {{.phase = CONNECTION_CONNECTING, .waits = true}, SEND_NO_SESSION, "no-session"},
        {{.phase = CONNECTION_ANNOUNCING, .waits = true}, SEND_ANNOUNCING, "announcing"},
        {{.phase = CONNECTION_PROVING, .waits = true}, SEND_PROVING, "proving"},
        {{.phase = CONNECTION_READY, .waits = true, .excluded = true}, SEND_KEY_TRIED, "key-tried"},
        {{.phase = CONNECTION_READY, .waits = true, .removed = true}, SEND_REMOVED, "removed"},
        {{.phase = CONNECTION_READY, .waits = true, .paused = true}, SEND_RELOADING, "reloading"},
        {{.phase = CONNECTION_READY, .waits = true, .under_way = true}, SEND_UNDER_WAY, "under-way"},
        {{.phase = CONNECTION_READY, .waits = true, .later = true}, SEND_LATER, "later"},
        {{.phase = CONNECTION_READY, .waits = true, .undated = true}, SEND_NO_CLOCK, "no-clock"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(send_gate(&cases[i].facts), cases[i].answer);
        assert_string_equal(send_answer_name(cases[i].answer), cases[i].name);
    }
}

static void test_a_device_without_samples_is_not_said_to_wait_for_a_session(void **state)
{
    const struct send_facts f = {.phase = CONNECTION_CLOSED};

    assert_int_equal(send_gate(&f), SEND_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_are_sent_only_when_nothing_at_all_holds_them_back),
        cmocka_unit_test(test_the_reason_that_is_given_holds),
        cmocka_unit_test(test_one_fact_alone_is_named),
        cmocka_unit_test(test_a_device_without_samples_is_not_said_to_wait_for_a_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
