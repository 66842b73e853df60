/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "human.h"

#include <string.h>

static void test_durations(void **state)
{
    static const struct {
        uint64_t usec;
        const char *text;
    } rows[] = {
        {0, "0s"},
        {99999, "0s"},
        {300000, "0.3s"},
        {9 * USEC_PER_SEC, "9s"},
        {9999999, "9.9s"},
        {12 * USEC_PER_SEC + 900000, "12s"},
        {60 * USEC_PER_SEC, "1min"},
        {303 * USEC_PER_SEC, "5min 3s"},
        {2 * USEC_PER_HOUR, "2h"},
        {2 * USEC_PER_HOUR + 10 * USEC_PER_MINUTE + 59 * USEC_PER_SEC, "2h 10min"},
        {USEC_PER_DAY - 1, "23h 59min"},
        {3 * USEC_PER_DAY + 4 * USEC_PER_HOUR, "3d 4h"},
        {90 * USEC_PER_DAY, "12w 6d"},
        {UINT64_MAX, "30500568w 6d"},
    };
    char text[HUMAN_TEXT_MAX];

    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        assert_string_equal(human_duration(rows[i].usec, text), rows[i].text);
}

static void test_when(void **state)
{
    const uint64_t now = UINT64_C(1764482102123456);
    char text[HUMAN_TEXT_MAX];

    assert_string_equal(human_when(0, now, text), "never");
    assert_string_equal(human_when(now, now, text), "now");
    assert_string_equal(human_when(now - 900000, now, text), "1s ago");
    assert_string_equal(human_when(now - 12 * USEC_PER_SEC, now, text), "12s ago");
    assert_string_equal(human_when(now + 90 * USEC_PER_DAY, now, text), "in 12w 6d");
    assert_string_equal(human_when(UINT64_MAX, now, text), "in 30497651w 3d");
    assert_string_equal(human_when(1, UINT64_MAX, text), "30500568w 6d ago");
    assert_string_equal(human_age(0, now, text), "-");
    assert_string_equal(human_age(now - 300000, now, text), "0.3s");
    assert_string_equal(human_age(now + USEC_PER_DAY, now, text), "0s");
}

static void test_sizes(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KB"},
        {1024 * 1024 - 1, "1.0 MB"},
        {64 * 1024 * 1024, "64.0 MB"},
        {UINT64_C(1) << 40, "1.0 TB"},
        {UINT64_MAX, "16.0 EB"},
    };
    char text[HUMAN_TEXT_MAX];

    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        assert_string_equal(human_size(rows[i].bytes, text), rows[i].text);
}

static void test_hours_and_counts(void **state)
{
    char text[HUMAN_TEXT_MAX];

    assert_string_equal(human_hours(0.5, text), "30min");
    assert_string_equal(human_hours(17.5, text), "17.5 hours");
    assert_string_equal(human_hours(163.2, text), "6.8 days");
    assert_string_equal(human_count(0, "device", "devices", text, sizeof(text)), "0 devices");
    assert_string_equal(human_count(1, "device", "devices", text, sizeof(text)), "1 device");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_when),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_hours_and_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
