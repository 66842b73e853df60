/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an adapter does next: the table, and rules that hold for all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ble/adapter-state.h"

#define NOTHING ADAPTER_DO_NOTHING

static const struct adapter_wants none,
    scan = {.scan = true}, both = {.scan = true, .connect = true}, power = {.scan = true, .power = true},
    passive = {.scan = true, .passive = true}, passive_both = {.scan = true, .connect = true, .passive = true};

static void test_rows(void **state)
{
    static const struct {
        enum adapter_state from;
        enum adapter_event event;
        const struct adapter_wants *wants;
        enum adapter_state to;
        enum adapter_action action;
    } rows[] = {
        {ADAPTER_ABSENT, ADAPTER_EV_APPEARED, &scan, ADAPTER_OFF, NOTHING},
        {ADAPTER_ABSENT, ADAPTER_EV_POWERED, &scan, ADAPTER_ABSENT, NOTHING},
        {ADAPTER_OFF, ADAPTER_EV_POWERED, &scan, ADAPTER_STARTING, ADAPTER_DO_START},
        {ADAPTER_OFF, ADAPTER_EV_POWERED, &none, ADAPTER_READY, NOTHING},
        {ADAPTER_OFF, ADAPTER_EV_LOOK, &scan, ADAPTER_OFF, NOTHING},
        {ADAPTER_OFF, ADAPTER_EV_LOOK, &power, ADAPTER_OFF, ADAPTER_DO_POWER},
        {ADAPTER_OFF, ADAPTER_EV_BLOCKED, &scan, ADAPTER_BLOCKED, NOTHING},
        {ADAPTER_BLOCKED, ADAPTER_EV_LOOK, &power, ADAPTER_BLOCKED, ADAPTER_DO_POWER},
        {ADAPTER_BLOCKED, ADAPTER_EV_POWERED, &scan, ADAPTER_STARTING, ADAPTER_DO_START},
        {ADAPTER_READY, ADAPTER_EV_LOOK, &both, ADAPTER_CONNECTING, ADAPTER_DO_CONNECT},
        {ADAPTER_STARTING, ADAPTER_EV_STARTED, &scan, ADAPTER_SCANNING, NOTHING},
        {ADAPTER_STARTING, ADAPTER_EV_STARTED, &both, ADAPTER_STOPPING, ADAPTER_DO_STOP},
        {ADAPTER_STARTING, ADAPTER_EV_FAILED, &none, ADAPTER_READY, NOTHING},
        {ADAPTER_STARTING, ADAPTER_EV_LOOK, &both, ADAPTER_STARTING, NOTHING},
        {ADAPTER_SCANNING, ADAPTER_EV_LOOK, &both, ADAPTER_STOPPING, ADAPTER_DO_STOP},
        {ADAPTER_SCANNING, ADAPTER_EV_LOOK, &none, ADAPTER_STOPPING, ADAPTER_DO_STOP},
        {ADAPTER_SCANNING, ADAPTER_EV_FAILED, &scan, ADAPTER_STARTING, ADAPTER_DO_START},
        {ADAPTER_STOPPING, ADAPTER_EV_STOPPED, &both, ADAPTER_CONNECTING, ADAPTER_DO_CONNECT},
        {ADAPTER_STOPPING, ADAPTER_EV_STOPPED, &scan, ADAPTER_STARTING, ADAPTER_DO_START},
        {ADAPTER_CONNECTING, ADAPTER_EV_CONNECTED, &scan, ADAPTER_STARTING, ADAPTER_DO_START},
        {ADAPTER_CONNECTING, ADAPTER_EV_CONNECTED, &both, ADAPTER_CONNECTING, ADAPTER_DO_CONNECT},
        {ADAPTER_CONNECTING, ADAPTER_EV_LOOK, &both, ADAPTER_CONNECTING, NOTHING},
        {ADAPTER_CONNECTING, ADAPTER_EV_STARTED, &both, ADAPTER_CONNECTING, NOTHING},
        {ADAPTER_OFF, ADAPTER_EV_POWERED, &passive, ADAPTER_REGISTERING, ADAPTER_DO_REGISTER},
        {ADAPTER_READY, ADAPTER_EV_LOOK, &passive_both, ADAPTER_CONNECTING, ADAPTER_DO_CONNECT},
        {ADAPTER_REGISTERING, ADAPTER_EV_STARTED, &passive, ADAPTER_LISTENING, NOTHING},
        {ADAPTER_REGISTERING, ADAPTER_EV_STARTED, &passive_both, ADAPTER_UNREGISTERING, ADAPTER_DO_UNREGISTER},
        {ADAPTER_REGISTERING, ADAPTER_EV_FAILED, &scan, ADAPTER_STARTING, ADAPTER_DO_START},
        {ADAPTER_REGISTERING, ADAPTER_EV_LOOK, &scan, ADAPTER_REGISTERING, NOTHING},
        {ADAPTER_REGISTERING, ADAPTER_EV_BLOCKED, &passive, ADAPTER_BLOCKED, NOTHING},
        {ADAPTER_LISTENING, ADAPTER_EV_LOOK, &passive, ADAPTER_LISTENING, NOTHING},
        {ADAPTER_LISTENING, ADAPTER_EV_LOOK, &passive_both, ADAPTER_UNREGISTERING, ADAPTER_DO_UNREGISTER},
        {ADAPTER_LISTENING, ADAPTER_EV_LOOK, &scan, ADAPTER_UNREGISTERING, ADAPTER_DO_UNREGISTER},
        {ADAPTER_LISTENING, ADAPTER_EV_LOOK, &none, ADAPTER_UNREGISTERING, ADAPTER_DO_UNREGISTER},
        {ADAPTER_LISTENING, ADAPTER_EV_FAILED, &passive, ADAPTER_REGISTERING, ADAPTER_DO_REGISTER},
        {ADAPTER_LISTENING, ADAPTER_EV_FAILED, &none, ADAPTER_READY, NOTHING},
        {ADAPTER_LISTENING, ADAPTER_EV_UNPOWERED, &passive, ADAPTER_OFF, NOTHING},
        {ADAPTER_UNREGISTERING, ADAPTER_EV_STOPPED, &passive_both, ADAPTER_CONNECTING, ADAPTER_DO_CONNECT},
        {ADAPTER_UNREGISTERING, ADAPTER_EV_STOPPED, &scan, ADAPTER_STARTING, ADAPTER_DO_START},
        {ADAPTER_UNREGISTERING, ADAPTER_EV_FAILED, &passive, ADAPTER_REGISTERING, ADAPTER_DO_REGISTER},
        {ADAPTER_SCANNING, ADAPTER_EV_LOOK, &passive, ADAPTER_STOPPING, ADAPTER_DO_STOP},
        {ADAPTER_STOPPING, ADAPTER_EV_STOPPED, &passive, ADAPTER_REGISTERING, ADAPTER_DO_REGISTER},
        {ADAPTER_CONNECTING, ADAPTER_EV_CONNECTED, &passive, ADAPTER_REGISTERING, ADAPTER_DO_REGISTER},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum adapter_action action;

        assert_string_equal(adapter_state_name(adapter_next(rows[i].from, rows[i].event, *rows[i].wants, &action)),
                            adapter_state_name(rows[i].to));
        assert_int_equal(action, rows[i].action);
    }
}

/* Whatever was going on: gone is gone, off is off, and nothing is scanned while a connection is made. */
static void test_rules(void **state)
{
    for (int from = 0; from < ADAPTER_STATES; from++)
        for (int event = 0; event < ADAPTER_EVENTS; event++)
            for (unsigned w = 0; w < 16; w++) {
                const struct adapter_wants wants = {.scan = w & 1, .connect = w & 2, .power = w & 4, .passive = w & 8};
                enum adapter_action action;
                enum adapter_state to =
                    adapter_next((enum adapter_state)from, (enum adapter_event)event, wants, &action);

                assert_true(to < ADAPTER_STATES);
                if (event == ADAPTER_EV_GONE)
                    assert_int_equal(to, ADAPTER_ABSENT);
                if (event == ADAPTER_EV_UNPOWERED && from != ADAPTER_ABSENT && from != ADAPTER_BLOCKED)
                    assert_int_equal(to, ADAPTER_OFF);
                if (action == ADAPTER_DO_START)
                    assert_true(to == ADAPTER_STARTING && wants.scan && !wants.connect && !wants.passive);
                if (action == ADAPTER_DO_REGISTER)
                    assert_true(to == ADAPTER_REGISTERING && wants.scan && !wants.connect && wants.passive);
                if (action == ADAPTER_DO_STOP)
                    assert_true(to == ADAPTER_STOPPING);
                if (action == ADAPTER_DO_UNREGISTER)
                    assert_true(to == ADAPTER_UNREGISTERING);
                if (action == ADAPTER_DO_CONNECT)
                    assert_true(to == ADAPTER_CONNECTING && (event == ADAPTER_EV_FAILED ||
                                                             (from != ADAPTER_SCANNING && from != ADAPTER_LISTENING)));
                if (action == ADAPTER_DO_POWER)
                    assert_true(wants.power && to <= ADAPTER_OFF && to != ADAPTER_ABSENT);
                if (to == ADAPTER_ABSENT || to == ADAPTER_BLOCKED || to == ADAPTER_OFF)
                    assert_true(action == NOTHING || action == ADAPTER_DO_POWER);
            }
}

/* What is true of a discovery is true of a monitor: the same table with other names. */
static void test_alike(void **state)
{
    static const enum adapter_state other[ADAPTER_STATES] = {[ADAPTER_ABSENT] = ADAPTER_ABSENT,
                                                             [ADAPTER_BLOCKED] = ADAPTER_BLOCKED,
                                                             [ADAPTER_OFF] = ADAPTER_OFF,
                                                             [ADAPTER_READY] = ADAPTER_READY,
                                                             [ADAPTER_STARTING] = ADAPTER_REGISTERING,
                                                             [ADAPTER_SCANNING] = ADAPTER_LISTENING,
                                                             [ADAPTER_STOPPING] = ADAPTER_UNREGISTERING,
                                                             [ADAPTER_REGISTERING] = ADAPTER_STARTING,
                                                             [ADAPTER_LISTENING] = ADAPTER_SCANNING,
                                                             [ADAPTER_UNREGISTERING] = ADAPTER_STOPPING,
                                                             [ADAPTER_CONNECTING] = ADAPTER_CONNECTING};

    for (int from = 0; from < ADAPTER_STATES; from++)
        for (int event = 0; event < ADAPTER_EVENTS; event++)
            for (unsigned w = 0; w < 16; w++) {
                struct adapter_wants wants = {.scan = w & 1, .connect = w & 2, .power = w & 4, .passive = w & 8};
                enum adapter_action action;
                enum adapter_state to =
                    adapter_next((enum adapter_state)from, (enum adapter_event)event, wants, &action);

                wants.passive = !wants.passive;
                assert_int_equal(adapter_next(other[from], (enum adapter_event)event, wants, &action), other[to]);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_rules),
                                       cmocka_unit_test(test_alike)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
