/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a driver wants remembered never undoes what the operator did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "device/kept.h"

#include <cmocka.h>

#define MINUTE UINT64_C(60000000)

static struct kept taken(void)
{
    struct kept k;

    kept_init(&k);
    kept_taken(&k, kept_sending(&k));
    return k;
}

static void test_written_once_a_minute(void **state)
{
    struct kept k = taken();

    assert_false(kept_may_write(&k, 1, MINUTE));
    assert_int_equal(kept_say(&k, "1"), 1);
    assert_int_equal(kept_say(&k, "1"), 0);
    assert_true(kept_may_write(&k, 1, MINUTE));
    kept_write(&k, 1);
    assert_false(kept_may_write(&k, MINUTE + 1, MINUTE));
    assert_int_equal(kept_say(&k, "2"), 1);
    assert_false(kept_may_write(&k, MINUTE, MINUTE));
    assert_true(kept_may_write(&k, MINUTE + 1, MINUTE));
    kept_write(&k, MINUTE + 1);
    assert_true(kept_unwritten(&k)); /* it failed */
    assert_true(kept_may_write(&k, 2 * MINUTE + 1, MINUTE));
    assert_string_equal(k.text, "2");
    kept_done(&k);
}

/* While an act is under way nothing is written behind it, at the end neither; if it fails the words stand. */
static void test_not_behind_an_act(void **state)
{
    struct kept k = taken();

    assert_int_equal(kept_say(&k, "17"), 1);
    kept_act(&k);
    assert_false(kept_may_write(&k, 1, 0));
    assert_int_equal(kept_say(&k, "18"), 1);
    kept_act(&k);
    kept_acted(&k, false);
    assert_false(kept_may_write(&k, 1, 0));
    kept_acted(&k, false);
    assert_true(kept_may_write(&k, 1, 0));
    kept_act(&k);
    kept_acted(&k, true);
    assert_null(k.text);
    assert_false(kept_may_write(&k, 1, 0));
    assert_false(kept_unwritten(&k)); /* one that was under way before, and failed */
    kept_done(&k);
}

/* A driver that has not taken the key of after the act counts by the one before. */
static void test_until_it_is_taken(void **state)
{
    struct kept k = taken();
    uint32_t before = kept_sending(&k);

    kept_act(&k);
    kept_acted(&k, true);
    assert_int_equal(kept_say(&k, "17"), 0);
    kept_taken(&k, before);
    assert_int_equal(kept_say(&k, "17"), 0);
    kept_taken(&k, kept_sending(&k));
    assert_int_equal(kept_say(&k, "1"), 1);
    kept_done(&k);
    kept_init(&k);
    assert_int_equal(kept_say(&k, "17"), 0);
    kept_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_once_a_minute),
        cmocka_unit_test(test_not_behind_an_act),
        cmocka_unit_test(test_until_it_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
