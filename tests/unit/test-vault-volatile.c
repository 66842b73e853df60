/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Overlays as mountinfo shows them, and the file systems of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "vault/volatile.h"

#include <string.h>
#include <sys/sysmacros.h>

static const char mountinfo[] =
    "21 28 0:19 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
    "28 1 0:25 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work\n"
    "29 28 0:26 / /mnt/a\\040b rw - overlay none rw,lowerdir=/l,upperdir=/with\\040space\\054comma,workdir=/w\n"
    "30 28 0:27 / /ro ro,relatime - overlay overlay ro,lowerdir=/a:/b\n"
    "31 28 0:28 / /fast rw shared:3 master:1 - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w,volatile\n"
    "32 28 0:29 / /tmp rw - tmpfs tmpfs rw,size=100k\n"
    "33 28 0:30 / /over rw - overlay overlay rw,lowerdir=/l,upperdir=/first,workdir=/w\n"
    "34 33 0:30 / /over rw - overlay overlay rw,lowerdir=/l,upperdir=/last,workdir=/w\n"
    "cut off\n"
    "35 28 0:31 / /x rw - overlay overlay";

static const struct {
    unsigned long long id;
    unsigned minor;
    enum overlay_answer answer;
    const char *upper;
} cases[] = {
    {28, 0, OVERLAY_UPPER, "/upper/data"},
    {0, 25, OVERLAY_UPPER, "/upper/data"},
    {29, 0, OVERLAY_UPPER, "/with space,comma"},
    {30, 0, OVERLAY_NO_UPPER, NULL},
    {31, 0, OVERLAY_NEVER_SYNC, NULL},
    {32, 0, OVERLAY_NOT_FOUND, NULL}, /* no overlay */
    {99, 25, OVERLAY_NOT_FOUND, NULL},
    {0, 99, OVERLAY_NOT_FOUND, NULL},
    {0, 30, OVERLAY_UPPER, "/last"},
    {35, 0, OVERLAY_NOT_FOUND, NULL},
};

static void test_table(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        char upper[64] = "";
        enum overlay_answer answer =
            overlay_find(mountinfo, cases[i].id, makedev(0, cases[i].minor), upper, sizeof(upper));

        if (answer != cases[i].answer || (cases[i].upper && strcmp(upper, cases[i].upper) != 0))
            fail_msg("case %zu: %d '%s'", i, answer, upper);
    }
    assert_int_equal(overlay_find(mountinfo, 28, 0, (char[8]){0}, 8), OVERLAY_NOT_FOUND);
    assert_int_equal(overlay_find("", 28, 0, (char[8]){0}, 8), OVERLAY_NOT_FOUND);
}

static void test_this_machine(void **state)
{
    char why[VOLATILE_WHY_MAX] = "";

    if (access("/dev/shm", W_OK) >= 0) {
        assert_int_equal(volatile_check("/dev/shm", why), VOLATILE_YES);
        assert_non_null(strstr(why, "tmpfs"));
    }
    assert_int_equal(volatile_check("/proc", why), VOLATILE_NO);
    assert_int_equal(volatile_check("/nonexistent", why), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
