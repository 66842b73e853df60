/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which kernels a passive scan may rely on, by what they call themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ble/kernel.h"

static void test_kernels(void **state)
{
    static const struct {
        const char *release, *version, *text;
        bool repeats;
    } rows[] = {
        {"6.1.0-23-amd64", "SMP PREEMPT_DYNAMIC Debian 6.1.99-1 (2024-07-15)", "6.1.99", false},
        {"6.1.0-25-amd64", "SMP PREEMPT_DYNAMIC Debian 6.1.106-3 (2024-08-26)", "6.1.106", true},
        {"6.12.38+deb13-amd64", "SMP PREEMPT_DYNAMIC Debian 6.12.38-1 (2025-07-16)", "6.12.38", true},
        {"6.6.31+rpt-rpi-v8", "SMP PREEMPT Debian 1:6.6.31-1+rpt1 (2024-05-29)", "6.6.31", false},
        {"6.6.51+rpt-rpi-v8", "SMP PREEMPT Debian 1:6.6.51-1+rpt3 (2024-10-08)", "6.6.51", true},
        {"6.1.21-v8+", "SMP PREEMPT Mon Apr  3 17:24:16 BST 2023", "6.1.21", false},
        {"6.1.104", "SMP", "6.1.104", false},
        {"6.1.105", "SMP", "6.1.105", true},
        {"6.6.45", "SMP", "6.6.45", false},
        {"6.6.46", "SMP", "6.6.46", true},
        {"6.8.0-45-generic", "45-Ubuntu SMP PREEMPT_DYNAMIC Fri Aug 30 12:02:04 UTC 2024", "6.8.0", false},
        {"6.9.12", "SMP", "6.9.12", false},
        {"6.10.4", "SMP", "6.10.4", false},
        {"6.10.5", "SMP", "6.10.5", true},
        {"6.11", "SMP", "6.11.0", true},
        {"6.11.0-rc4", "SMP", "6.11.0", true},
        {"5.15.170", "SMP", "5.15.170", false},
        {"7.0.1", "SMP", "7.0.1", true},
        {"10.2", "SMP", "10.2.0", true},
        {"6.12.1-mine", "SMP Debian unstable", "6.12.1", true},
        {"6.12.1", "", "6.12.1", true},
        {"unknown", "Debian ", "unknown", false},
        {"", "", "", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[KERNEL_TEXT];

        assert_int_equal(kernel_repeats(rows[i].release, rows[i].version, text), rows[i].repeats);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernels)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
