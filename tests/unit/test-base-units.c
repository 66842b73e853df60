/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durations and sizes: what is taken, what is refused, and what the refusal suggests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/units.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static const struct {
    const char *text;
    int r;
    uint64_t value;
    const char *message;
} durations[] = {
    {"100ms", 0, 100000, NULL},
    {"1s", 0, 1000000, NULL},
    {"5min", 0, 300000000, NULL},
    {"24h", 0, UINT64_C(86400000000), NULL},
    {"90d", 0, UINT64_C(7776000000000), NULL},
    {"0s", 0, 0, NULL},
    {"007s", 0, 7000000, NULL},
    {"5m", -EINVAL, 0, "did you mean \"5min\"?"},
    {"2hours", -EINVAL, 0, "did you mean \"2h\"?"},
    {"30sec", -EINVAL, 0, "did you mean \"30s\"?"},
    {"", -EINVAL, 0, "is not a duration"},
    {"s", -EINVAL, 0, "is not a duration"},
    {"5", -EINVAL, 0, "is not a duration"},
    {"-5s", -EINVAL, 0, "is not a duration"},
    {"+5s", -EINVAL, 0, "is not a duration"},
    {"1.5h", -EINVAL, 0, "is not a duration"},
    {"1 s", -EINVAL, 0, "is not a duration"},
    {"1s ", -EINVAL, 0, "is not a duration"},
    {"1h30min", -EINVAL, 0, "is not a duration"},
    {"1us", -EINVAL, 0, "is not a duration"},
    {"99999999999999999999s", -ERANGE, 0, "too long"},
    {"18446744073709551615ms", -ERANGE, 0, "too long"},
    {"213503983d", -ERANGE, 0, "too long"},
    {"213503982d", 0, UINT64_C(18446744044800000000), NULL},
};

static const struct {
    const char *text;
    int r;
    uint64_t value;
    const char *message;
} sizes[] = {
    {"64M", 0, 64 << 20, NULL},
    {"512", 0, 512, NULL},
    {"1K", 0, 1024, NULL},
    {"2G", 0, UINT64_C(2) << 30, NULL},
    {"0", 0, 0, NULL},
    {"64MB", -EINVAL, 0, "did you mean \"64M\"?"},
    {"64MiB", -EINVAL, 0, "did you mean \"64M\"?"},
    {"64m", -EINVAL, 0, "did you mean \"64M\"?"},
    {"10B", -EINVAL, 0, "did you mean \"10\"?"},
    {"", -EINVAL, 0, "is not a size"},
    {"M", -EINVAL, 0, "is not a size"},
    {"1T", -EINVAL, 0, "is not a size"},
    {"-1", -EINVAL, 0, "is not a size"},
    {"1.5M", -EINVAL, 0, "is not a size"},
    {"64 M", -EINVAL, 0, "is not a size"},
    {"17179869184G", -ERANGE, 0, "too large"},
    {"18446744073709551615", -ERANGE, 0, "too large"},
    {"18446744073709551616", -ERANGE, 0, "too large"},
};

static void test_durations(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(durations); i++) {
        struct error e = {""};
        uint64_t value = 42;
        int r = duration_parse(durations[i].text, &value, &e);

        if (r != durations[i].r || value != (r < 0 ? 42 : durations[i].value))
            fail_msg("%s: %d %llu", durations[i].text, r, (unsigned long long)value);
        if (durations[i].message && !strstr(e.text, durations[i].message))
            fail_msg("%s: %s", durations[i].text, e.text);
    }
}

static void test_sizes(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
        struct error e = {""};
        uint64_t value = 42;
        int r = size_parse(sizes[i].text, &value, &e);

        if (r != sizes[i].r || value != (r < 0 ? 42 : sizes[i].value))
            fail_msg("%s: %d %llu", sizes[i].text, r, (unsigned long long)value);
        if (sizes[i].message && !strstr(e.text, sizes[i].message))
            fail_msg("%s: %s", sizes[i].text, e.text);
    }
}

static void test_format(void **state)
{
    char text[UNITS_TEXT_MAX];

    assert_string_equal(duration_format(0, text), "0s");
    assert_string_equal(duration_format(USEC_PER_DAY * 90, text), "90d");
    assert_string_equal(duration_format(USEC_PER_HOUR * 25, text), "25h");
    assert_string_equal(duration_format(USEC_PER_MINUTE * 90, text), "90min");
    assert_string_equal(duration_format(1500000, text), "1500ms");
    assert_string_equal(duration_format(999, text), "0ms");
    assert_string_equal(size_format(0, text), "0");
    assert_string_equal(size_format(64 << 20, text), "64M");
    assert_string_equal(size_format(1025, text), "1025");
    assert_string_equal(size_format(UINT64_C(3) << 30, text), "3G");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
