/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A window that is read wrongly lets a fleet rotate in the middle of its working day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/window.h"

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT(h, m) ((h)*3600U + (m)*60U)

static void test_parse(void **state)
{
    static const char *const bad[] = {"",
                                      "2-5",
                                      "02:00",
                                      "02:00-",
                                      "02:00-05:00 ",
                                      "25:00-05:00",
                                      "02:60-05:00",
                                      "24:01-05:00",
                                      "02:00-02:00",
                                      "00:00-24:00",
                                      "02:00 05:00",
                                      "-2:00-05:00"};
    struct window w;
    struct error e;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (window_parse(bad[i], &w, &e) != -EINVAL)
            print_error("%s\n", bad[i]);
        assert_int_equal(window_parse(bad[i], &w, &e), -EINVAL);
        assert_non_null(strstr(e.text, "02:00-05:00"));
    }
    assert_int_equal(window_parse("22:00-24:00", &w, NULL), 0);
    assert_true(w.set && w.from == 22 * 60 && w.to == 0);
}

static void test_opens_in(void **state)
{
    static const struct {
        const char *window;
        uint32_t second, opens_in;
    } rows[] = {
        {"02:00-05:00", AT(1, 59), 60},       {"02:00-05:00", AT(2, 0), 0},
        {"02:00-05:00", AT(4, 59) + 59, 0},   {"02:00-05:00", AT(5, 0), AT(21, 0)},
        {"22:00-06:00", AT(21, 0), AT(1, 0)}, {"22:00-06:00", AT(23, 59), 0},
        {"22:00-06:00", AT(0, 0), 0},         {"22:00-06:00", AT(6, 0), AT(16, 0)},
        {"22:00-24:00", AT(0, 0), AT(22, 0)},
    };
    const struct window always = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct window w;

        assert_int_equal(window_parse(rows[i].window, &w, NULL), 0);
        if (window_opens_in(&w, rows[i].second) != rows[i].opens_in)
            print_error("%s at %u\n", rows[i].window, rows[i].second);
        assert_int_equal(window_opens_in(&w, rows[i].second), rows[i].opens_in);
    }
    assert_int_equal(window_opens_in(&always, 5), 0);
}

static void test_local_time(void **state)
{
    /* 2024-01-15 00:30:00.5 UTC is 01:30 in this zone. */
    const uint64_t moment = UINT64_C(1705278600) * USEC_PER_SEC + USEC_PER_SEC / 2;
    struct window w;

    setenv("TZ", "CET-1", 1);
    tzset();
    assert_int_equal(window_parse("02:00-05:00", &w, NULL), 0);
    assert_int_equal(window_next(&w, moment), UINT64_C(1705280400) * USEC_PER_SEC);
    assert_int_equal(window_next(&w, UINT64_C(1705280400) * USEC_PER_SEC + 7), UINT64_C(1705280400) * USEC_PER_SEC + 7);
    assert_int_equal(window_next(&(struct window){0}, moment), moment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_opens_in),
        cmocka_unit_test(test_local_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
