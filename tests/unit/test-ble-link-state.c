/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection's way, and what ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ble/link-state.h"

static void test_rows(void **state)
{
    static const struct {
        enum link_state from;
        enum link_event event;
        bool pairs, resolved;
        enum link_state to;
        enum link_action action;
    } rows[] = {
        {LINK_IDLE, LINK_EV_WANTED, false, false, LINK_WAITING, LINK_DO_NOTHING},
        {LINK_IDLE, LINK_EV_TURN, false, false, LINK_IDLE, LINK_DO_NOTHING},
        {LINK_WAITING, LINK_EV_TURN, false, false, LINK_CONNECTING, LINK_DO_CONNECT},
        {LINK_WAITING, LINK_EV_UNWANTED, false, false, LINK_IDLE, LINK_DO_NOTHING},
        {LINK_WAITING, LINK_EV_LOST, false, false, LINK_WAITING, LINK_DO_NOTHING},
        {LINK_CONNECTING, LINK_EV_CONNECTED, false, false, LINK_RESOLVING, LINK_DO_NOTHING},
        {LINK_CONNECTING, LINK_EV_CONNECTED, false, true, LINK_READY, LINK_DO_BEGIN},
        {LINK_CONNECTING, LINK_EV_CONNECTED, true, true, LINK_PAIRING, LINK_DO_PAIR},
        {LINK_CONNECTING, LINK_EV_RESOLVED, false, true, LINK_CONNECTING, LINK_DO_NOTHING},
        {LINK_CONNECTING, LINK_EV_FAILED, false, false, LINK_WAITING, LINK_DO_DISCONNECT},
        {LINK_PAIRING, LINK_EV_PAIRED, false, false, LINK_RESOLVING, LINK_DO_NOTHING},
        {LINK_PAIRING, LINK_EV_PAIRED, false, true, LINK_READY, LINK_DO_BEGIN},
        {LINK_PAIRING, LINK_EV_RESOLVED, true, true, LINK_PAIRING, LINK_DO_NOTHING},
        {LINK_RESOLVING, LINK_EV_RESOLVED, false, true, LINK_READY, LINK_DO_BEGIN},
        {LINK_RESOLVING, LINK_EV_LOST, false, false, LINK_WAITING, LINK_DO_PAUSE},
        {LINK_READY, LINK_EV_RESOLVED, false, true, LINK_READY, LINK_DO_NOTHING},
        {LINK_READY, LINK_EV_LOST, false, false, LINK_WAITING, LINK_DO_PAUSE},
        {LINK_READY, LINK_EV_FAILED, false, true, LINK_WAITING, LINK_DO_DISCONNECT},
        {LINK_READY, LINK_EV_UNWANTED, false, true, LINK_IDLE, LINK_DO_CLOSE},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum link_action action;

        assert_string_equal(
            link_state_word(link_next(rows[i].from, rows[i].event, rows[i].pairs, rows[i].resolved, &action)),
            link_state_word(rows[i].to));
        assert_int_equal(action, rows[i].action);
    }
}

/* Nothing is read or written before it is paired, if it is to be; what is unwanted or lost is open no longer. */
static void test_rules(void **state)
{
    for (int from = 0; from < LINK_STATES; from++)
        for (int event = 0; event < LINK_EVENTS; event++)
            for (unsigned k = 0; k < 4; k++) {
                enum link_action action;
                enum link_state to = link_next((enum link_state)from, (enum link_event)event, k & 1, k & 2, &action);

                assert_true(to < LINK_STATES);
                if (event == LINK_EV_UNWANTED)
                    assert_int_equal(to, LINK_IDLE);
                if (event == LINK_EV_LOST || event == LINK_EV_FAILED)
                    assert_true(to <= LINK_WAITING);
                if (action == LINK_DO_BEGIN)
                    assert_int_equal(to, LINK_READY);
                if (from == LINK_CONNECTING && (k & 1))
                    assert_true(to != LINK_READY);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_rules)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
