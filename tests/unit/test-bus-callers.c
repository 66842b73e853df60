/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/callers.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#define MIB (UINT64_C(1024) * 1024)
#define OWN 990
#define STRANGER 1000
#define NOW (100 * USEC_PER_SEC)

static struct caller *known(struct callers *c, const char *name, uid_t uid)
{
    struct caller *one = callers_get(c, name);

    assert_non_null(one);
    callers_uid_known(c, one, uid);
    return one;
}

static void test_who_asks_for_much_is_asked_for(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new(OWN);
    struct caller *one = callers_get(c, ":1.1");

    assert_ptr_equal(callers_get(c, ":1.1"), one);
    assert_int_equal(callers_judge(c, one, 1024, NOW), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, one, MIB, NOW), CALLERS_ASK_UID);
    callers_uid_known(c, one, STRANGER);
    assert_int_equal(callers_judge(c, one, MIB, NOW), CALLERS_CARRY_OUT);
    assert_true(callers_unread(one) == MIB + 1024);
    callers_gone(c, ":1.1");
    assert_null(callers_find(c, ":1.1"));
}

/* Refused once a second, and not answered otherwise; what it reads is no longer held against it. */
static void test_who_does_not_read_is_refused(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new(OWN);
    struct caller *one = known(c, ":1.1", 0);

    assert_int_equal(callers_judge(c, one, CALLERS_UNREAD_MAX, NOW), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, one, 1, NOW), CALLERS_REFUSE);
    assert_int_equal(callers_judge(c, one, 1, NOW + 1), CALLERS_DROP);
    assert_true(callers_wants_ping(one, NOW));
    callers_pinged(one, NOW);
    assert_false(callers_wants_ping(one, NOW));
    assert_false(callers_wants_ping(one, NOW + CALLERS_PING_AGAIN));
    callers_ponged(c, one);
    assert_true(callers_unread(one) == 0);
    assert_int_equal(callers_judge(c, one, 1, NOW + 2), CALLERS_CARRY_OUT);
}

/* What was asked for after the ping was sent may still be unread. */
static void test_a_ping_shows_what_was_before_it(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new(OWN);
    struct caller *one = known(c, ":1.1", OWN);

    assert_int_equal(callers_judge(c, one, 2 * MIB, NOW), CALLERS_CARRY_OUT);
    callers_pinged(one, NOW);
    assert_int_equal(callers_judge(c, one, MIB, NOW), CALLERS_CARRY_OUT);
    callers_ponged(c, one);
    assert_true(callers_unread(one) == MIB);
    callers_ponged(c, one); /* of nothing */
    assert_true(callers_unread(one) == MIB);
}

/* However many connections a user has: root and the agent's own aside. */
static void test_a_user_is_bounded_in_sum(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new(OWN);
    struct caller *a = known(c, ":1.1", STRANGER), *b = known(c, ":1.2", STRANGER), *root = known(c, ":1.3", 0);

    assert_int_equal(callers_judge(c, a, CALLERS_USER_UNREAD_MAX / 2, NOW), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, b, CALLERS_USER_UNREAD_MAX / 2, NOW), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, a, 1024, NOW), CALLERS_REFUSE);
    assert_int_equal(callers_judge(c, b, 1024, NOW), CALLERS_REFUSE);
    assert_int_equal(callers_judge(c, root, MIB, NOW), CALLERS_CARRY_OUT);
    callers_gone(c, ":1.2");
    assert_int_equal(callers_judge(c, a, 1024, NOW), CALLERS_CARRY_OUT);
}

/* Also one that reads all may not ask for more a second. */
static void test_a_user_is_bounded_in_time(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new(OWN);
    struct caller *one = known(c, ":1.1", STRANGER);
    uint64_t taken = 0;

    while (callers_judge(c, one, MIB, NOW) == CALLERS_CARRY_OUT) {
        callers_pinged(one, NOW);
        callers_ponged(c, one);
        taken += MIB;
    }
    assert_true(taken == CALLERS_USER_BURST);
    assert_int_equal(callers_judge(c, one, MIB, NOW + USEC_PER_SEC), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, one, CALLERS_USER_PER_SEC, NOW + USEC_PER_SEC), CALLERS_REFUSE);
}

/* One that makes blocking calls answers no ping: it is forgiven slowly, with or without another call. */
static void test_who_answers_no_ping_is_forgiven(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new(OWN);
    struct caller *a = known(c, ":1.1", STRANGER), *b = known(c, ":1.2", STRANGER);
    uint64_t later = NOW + CALLERS_USER_UNREAD_MAX / CALLERS_FORGIVEN_PER_SEC * USEC_PER_SEC;

    assert_int_equal(callers_judge(c, a, CALLERS_USER_UNREAD_MAX, NOW), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, b, 1024, NOW), CALLERS_REFUSE);
    assert_int_equal(callers_judge(c, b, 1024, later), CALLERS_CARRY_OUT);
    assert_true(callers_unread(a) == 0);
}

static void test_connections_are_bounded(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new(OWN);
    char name[32];

    for (int i = 0; i < CALLERS_MAX; i++) {
        snprintf(name, sizeof(name), ":1.%d", i);
        assert_non_null(callers_get(c, name));
    }
    assert_null(callers_get(c, ":2.1"));
    assert_non_null(callers_get(c, ":1.7"));
    callers_gone(c, ":1.7");
    assert_non_null(callers_get(c, ":2.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_asks_for_much_is_asked_for),  cmocka_unit_test(test_who_does_not_read_is_refused),
        cmocka_unit_test(test_a_ping_shows_what_was_before_it), cmocka_unit_test(test_a_user_is_bounded_in_sum),
        cmocka_unit_test(test_a_user_is_bounded_in_time),       cmocka_unit_test(test_who_answers_no_ping_is_forgiven),
        cmocka_unit_test(test_connections_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
