/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that a check runs: what they print, how they end, and that none is waited for beyond its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "check/run.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define LONG (120 * UINT64_C(1000000))

static int run(const char *script, bool errors, uint64_t wait, char *ret, size_t size)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};

    return check_run(&(struct check_run){.argv = argv, .errors = errors, .wait = wait}, ret, size);
}

static void test_its_words_and_status(void **state)
{
    char text[64];

    assert_int_equal(run("echo out; echo err >&2; exit 3", false, LONG, text, sizeof(text)), 3);
    assert_string_equal(text, "out\n");
    assert_int_equal(run("echo out; echo err >&2", true, LONG, text, sizeof(text)), 0);
    assert_string_equal(text, "out\nerr\n");
}

static void test_more_than_there_is_room_for_is_cut(void **state)
{
    char text[8];

    run("echo 0123456789", false, LONG, text, sizeof(text));
    assert_string_equal(text, "0123456");
}

static void test_one_that_does_not_end_is_killed(void **state)
{
    char text[64];

    assert_int_equal(run("echo begun; exec sleep 1000", false, 100000, text, sizeof(text)), -ETIMEDOUT);
}

static void test_one_that_lives_on_without_output_is_killed(void **state)
{
    char text[64];

    assert_int_equal(run("exec sleep 30 >&- 2>&-", true, 500000, text, sizeof(text)), -ETIMEDOUT);
    /* One that ends later than its output is waited for. */
    assert_int_equal(run("echo told; exec >&- 2>&-; sleep 0.1; exit 4", true, LONG, text, sizeof(text)), 4);
    assert_string_equal(text, "told\n");
}

static void test_ends_of_other_kinds(void **state)
{
    const char *argv[] = {"/nowhere/at/all", NULL};
    char text[64];

    assert_int_equal(run("kill -KILL $$", false, LONG, text, sizeof(text)), -ECHILD);
    assert_int_equal(check_run(&(struct check_run){.argv = argv, .wait = LONG}, text, sizeof(text)), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_words_and_status),
        cmocka_unit_test(test_more_than_there_is_room_for_is_cut),
        cmocka_unit_test(test_one_that_does_not_end_is_killed),
        cmocka_unit_test(test_one_that_lives_on_without_output_is_killed),
        cmocka_unit_test(test_ends_of_other_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
