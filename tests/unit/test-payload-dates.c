/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dates that 32 bits of seconds cannot hold, on every processor: a gateway that is installed today is in use in 2038.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/strbuf.h"
#include "base/window.h"
#include "payload/writer.h"
#include "wrap-clock.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int64_t seconds;
    const char *text;
} dates[] = {
    {INT64_C(2147483647), "2038-01-19T03:14:07Z"}, {INT64_C(2147483648), "2038-01-19T03:14:08Z"},
    {INT64_C(2524608000), "2050-01-01T00:00:00Z"}, {INT64_C(4294967296), "2106-02-07T06:28:16Z"},
    {INT64_C(7258118400), "2200-01-01T00:00:00Z"},
};
#define N_DATES (sizeof(dates) / sizeof(*dates))

static int64_t now; /* 0: the machine's clock */

int wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
    int r = real_clock_gettime(id, ret);

    if (r == 0 && now != 0 && id == CLOCK_REALTIME)
        *ret = (struct timespec){.tv_sec = now, .tv_nsec = 123456789};
    return r;
}

static void test_clock(void **state)
{
    for (size_t i = 0; i < N_DATES; i++) {
        now = dates[i].seconds;
        assert_true(clock_realtime() == (uint64_t)now * USEC_PER_SEC + 123456);
    }
    now = 0;
}

static void test_text(void **state)
{
    for (size_t i = 0; i < N_DATES; i++) {
        struct strbuf b = {0};
        char *text = NULL;

        iso_format(&b, (uint64_t)dates[i].seconds * USEC_PER_SEC);
        assert_int_equal(strbuf_take(&b, &text), 0);
        assert_string_equal(text, dates[i].text);
        free(text);
    }
}

/* A JSON number has all microseconds of a time in 2106. */
static void test_seconds(void **state)
{
    struct strbuf b = {0};
    char *text = NULL;

    seconds_format(&b, false, UINT64_C(4294967296123456));
    assert_int_equal(strbuf_take(&b, &text), 0);
    assert_string_equal(text, "4294967296.123456");
    free(text);
}

static void test_window(void **state)
{
    struct window w;
    struct error e = {0};

    setenv("TZ", "UTC", 1);
    tzset();
    assert_int_equal(window_parse("02:00-05:00", &w, &e), 0);
    for (size_t i = 0; i < N_DATES; i++) {
        uint64_t at = (uint64_t)dates[i].seconds, next = window_next(&w, at * USEC_PER_SEC) / USEC_PER_SEC;

        assert_true(next >= at && next < at + 86400);
        assert_true(next == at || next % 86400 == 7200);
        assert_true(next % 86400 >= 7200 && next % 86400 < 18000);
    }
}

/* The newest time that was written down is later than 2038: a clock that says 2026 is not believed. */
static void test_verdict(void **state)
{
    uint64_t built = clock_built(), later = UINT64_C(2524608000) * USEC_PER_SEC;
    const struct clock_evidence back = {.boot = true, .now = built + 1, .built = built, .newest = later},
                                right = {.network = true, .now = later + 1, .built = built, .newest = later};

    assert_int_equal(clock_judge(&back), CLOCK_BEFORE_NEWEST);
    assert_int_equal(clock_judge(&right), CLOCK_RIGHT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock),  cmocka_unit_test(test_text),    cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_window), cmocka_unit_test(test_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
