/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When BlueZ is to forget what it remembers of a sensor's services. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ble/ble-limits.h"
#include "ble/stale.h"

static void test_errors(void **state)
{
    static const struct {
        const char *text;
        bool stale;
    } rows[] = {
        {"Failed: Operation failed with ATT error: 0x01", true},
        {"Failed: Operation failed with ATT error: 0x0a", true},
        {"Failed: Operation failed with ATT error: 0x01 (Invalid Handle)", true},
        {"NotPermitted: Read not permitted", true},
        {"NotPermitted: Write not permitted", true},
        {"NotSupported: Operation is not supported", true},
        {"org.freedesktop.DBus.Error.UnknownObject: Method \"ReadValue\" with signature ...", true},
        {"org.freedesktop.DBus.Error.UnknownMethod: Method \"ReadValue\" with signature ...", true},
        {"NotPermitted: Not paired", false},
        {"NotAuthorized: Operation Not Authorized", false},
        {"InProgress: Operation already in progress", false},
        {"Failed: Operation failed with ATT error: 0x0e", false},
        {"Failed: Operation failed with ATT error: 0x80", false},
        {"Failed: Not connected", false},
        {"org.freedesktop.DBus.Error.NoReply: ", false},
        {"", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(stale_error(rows[i].text), rows[i].stale);
}

static void test_answers(void **state)
{
    struct stale s = {.odd = 0};
    uint64_t now = 5 * SEC;

    for (unsigned i = 1; i < STALE_TRIES; i++)
        assert_false(stale_answer(&s, now));
    stale_over(&s); /* a value between them */
    for (unsigned i = 1; i < STALE_TRIES; i++)
        assert_false(stale_answer(&s, now));
    assert_true(stale_answer(&s, now));
    /* A file that names the wrong type does not have it done all the time. */
    for (unsigned i = 0; i < 10 * STALE_TRIES; i++)
        assert_false(stale_answer(&s, now + STALE_PAUSE - 1));
    assert_true(stale_answer(&s, now + STALE_PAUSE));
    assert_false(stale_answer(&s, now + 2 * STALE_PAUSE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors), cmocka_unit_test(test_answers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
