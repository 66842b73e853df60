/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/callers.h"

#include "base/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#define MIB (UINT64_C(1024) * 1024)
#define STRANGER 1000
#define NOW (100 * USEC_PER_SEC)

static struct caller *known(struct callers *c, const char *name, uid_t uid)
{
    struct caller *one = callers_get(c, name);

    assert_non_null(one);
    callers_uid_known(c, one, uid, NOW);
    return one;
}

static void test_whose_it_is(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    struct caller *one = callers_get(c, ":1.1"), *two = callers_get(c, ":1.2");

    assert_ptr_equal(callers_get(c, ":1.1"), one);
    assert_int_equal(callers_asked(c, one, 7), 0);
    assert_int_equal(callers_asked(c, two, 8), 0);
    assert_ptr_equal(callers_by_question(c, 7), one);
    assert_null(callers_by_question(c, 9));
    assert_int_equal(callers_uid_known(c, one, STRANGER, NOW), 0);
    assert_int_equal(callers_uid_known(c, two, STRANGER, NOW), 0);
    assert_null(callers_by_question(c, 7));
    assert_ptr_equal(one->user, two->user);
    assert_false(one->user->unbounded);
    assert_int_equal(one->user->connections, 2);
    callers_gone(c, one);
    assert_null(callers_find(c, ":1.1"));
    assert_int_equal(two->user->connections, 1);
}

/* Refused once a second, and not answered otherwise; what it reads is no longer held against it. */
static void test_who_does_not_read_is_refused(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    struct caller *one = known(c, ":1.1", 0);

    assert_int_equal(callers_judge(c, one, CALLERS_UNREAD_MAX, NOW), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, one, 1, NOW), CALLERS_REFUSE);
    assert_int_equal(callers_judge(c, one, 1, NOW + 1), CALLERS_DROP);
    assert_true(callers_wants_ping(one, NOW));
    callers_pinged(one, NOW);
    assert_false(callers_wants_ping(one, NOW));
    assert_false(callers_wants_ping(one, NOW + CALLERS_PING_AGAIN));
    callers_ponged(one);
    assert_true(callers_unread(one) == 0);
    assert_int_equal(callers_judge(c, one, 1, NOW + 2), CALLERS_CARRY_OUT);
}

/* What was asked for after the ping was sent may still be unread. */
static void test_a_ping_shows_what_was_before_it(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    struct caller *one = known(c, ":1.1", STRANGER);

    assert_int_equal(callers_judge(c, one, 2 * MIB, NOW), CALLERS_CARRY_OUT);
    callers_pinged(one, NOW);
    assert_int_equal(callers_judge(c, one, MIB, NOW), CALLERS_CARRY_OUT);
    callers_ponged(one);
    assert_true(callers_unread(one) == MIB);
    callers_ponged(one); /* of nothing */
    assert_true(callers_unread(one) == MIB);
}

/* However many connections a user has: root's aside. */
static void test_a_user_is_bounded_in_sum(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    struct caller *a = known(c, ":1.1", STRANGER), *b = known(c, ":1.2", STRANGER), *root = known(c, ":1.3", 0);

    assert_int_equal(callers_judge(c, a, CALLERS_USER_UNREAD_MAX / 2, NOW), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, b, CALLERS_USER_UNREAD_MAX / 2, NOW), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, a, 1024, NOW), CALLERS_REFUSE);
    assert_int_equal(callers_judge(c, b, 1024, NOW), CALLERS_REFUSE);
    assert_int_equal(callers_judge(c, root, MIB, NOW), CALLERS_CARRY_OUT);
    callers_gone(c, b);
    assert_int_equal(callers_judge(c, a, 1024, NOW), CALLERS_CARRY_OUT);
}

/* Also one that reads all may not ask for more a second. */
static void test_a_user_is_bounded_in_time(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    struct caller *one = known(c, ":1.1", STRANGER);
    uint64_t taken = 0;

    while (callers_judge(c, one, MIB, NOW) == CALLERS_CARRY_OUT) {
        callers_pinged(one, NOW);
        callers_ponged(one);
        taken += MIB;
    }
    assert_true(taken == CALLERS_USER_BURST);
    assert_int_equal(callers_judge(c, one, MIB, NOW + USEC_PER_SEC), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, one, CALLERS_USER_PER_SEC, NOW + USEC_PER_SEC), CALLERS_REFUSE);
}

/* What a user had of the processor is not forgotten with his connection. */
static void test_who_connects_anew_brings_nothing(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    struct caller *one = known(c, ":1.1", STRANGER), *root = known(c, ":1.2", 0);
    uint64_t due;

    assert_true(callers_may(c, one->user, NOW));
    callers_spent(c, one->user, CALLERS_CPU_BURST + USEC_PER_SEC, NOW);
    assert_false(callers_may(c, one->user, NOW));
    callers_gone(c, one);
    one = known(c, ":1.3", STRANGER);
    assert_false(callers_may(c, one->user, NOW + USEC_PER_SEC));
    due = callers_due(c, one->user, NOW + USEC_PER_SEC);
    assert_true(due > NOW + 100 * USEC_PER_SEC / CALLERS_CPU_PERCENT - USEC_PER_SEC);
    assert_true(callers_may(c, one->user, due));
    callers_spent(c, root->user, USEC_PER_MINUTE, NOW);
    assert_true(callers_may(c, root->user, NOW));
}

/* All but root together have so much; each is served at once who was idle. */
static void test_users_share_the_processor(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    struct caller *some[4];
    uint64_t spent = 0, now = NOW, end = NOW + 100 * USEC_PER_SEC;
    char name[16];

    for (uid_t i = 0; i < ELEMENTSOF(some); i++) {
        snprintf(name, sizeof(name), ":1.%u", i);
        some[i] = known(c, name, STRANGER + i);
    }
    for (; now < end; now += USEC_PER_MSEC)
        for (size_t i = 0; i < 3; i++)
            if (callers_may(c, some[i]->user, now)) {
                callers_spent(c, some[i]->user, 500, now);
                spent += 500;
            }
    assert_true(spent <= (end - NOW) * CALLERS_CPU_PERCENT / 100 + 4 * (CALLERS_CPU_BURST + 500));
    assert_true(spent >= (end - NOW) * CALLERS_CPU_PERCENT / 100 * 9 / 10);
    assert_true(some[0]->user->used < some[2]->user->used * 11 / 10 &&
                some[2]->user->used < some[0]->user->used * 11 / 10);
    assert_true(callers_may(c, some[3]->user, now));
    assert_true(some[3]->user->left == (int64_t)CALLERS_CPU_BURST);
}

/* root, then the agent's own user, then whoever has had less. */
static void test_whose_calls_go_first(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    const uid_t own = geteuid();
    struct caller *root = known(c, ":1.1", 0), *ours = known(c, ":1.2", own), *one = known(c, ":1.3", own + STRANGER),
                  *two = known(c, ":1.4", own + STRANGER + 1);

    callers_spent(c, root->user, USEC_PER_SEC, NOW);
    callers_spent(c, ours->user, USEC_PER_SEC, NOW);
    callers_spent(c, two->user, 1, NOW);
    assert_true(callers_before(root->user, one->user) && !callers_before(one->user, root->user));
    assert_true(callers_before(ours->user, one->user) && !callers_before(one->user, ours->user));
    assert_true(own == 0 || (callers_before(root->user, ours->user) && !callers_before(ours->user, root->user)));
    assert_true(callers_before(one->user, two->user) && !callers_before(two->user, one->user));
    assert_false(callers_before(one->user, one->user));
}

static void test_calls_under_way_hold_the_next_ones(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    struct caller *one = known(c, ":1.1", STRANGER), *root = known(c, ":1.2", 0);

    one->user->busy++;
    root->user->busy++;
    assert_false(callers_may(c, one->user, NOW));
    assert_true(callers_due(c, one->user, NOW) == USEC_INFINITY);
    assert_true(callers_may(c, root->user, NOW));
    one->user->busy--;
    assert_true(callers_may(c, one->user, NOW));
}

/* Users are remembered until they have all their rights again, and then give way to new ones. */
static void test_users_are_bounded(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    char name[32];

    for (uid_t i = 0; i < CALLERS_USERS_MAX; i++) {
        struct caller *one;

        snprintf(name, sizeof(name), ":1.%u", i);
        one = known(c, name, STRANGER + i);
        callers_spent(c, one->user, USEC_PER_SEC, NOW);
        callers_gone(c, one);
    }
    assert_int_equal(callers_uid_known(c, callers_get(c, ":2.1"), 5, NOW), -ENOBUFS);
    assert_int_equal(callers_uid_known(c, callers_get(c, ":2.1"), 5, NOW + USEC_PER_DAY), 0);
}

/* One that makes blocking calls answers no ping: it is forgiven slowly, with or without another call. */
static void test_who_answers_no_ping_is_forgiven(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    struct caller *a = known(c, ":1.1", STRANGER), *b = known(c, ":1.2", STRANGER);
    uint64_t later = NOW + CALLERS_USER_UNREAD_MAX / CALLERS_FORGIVEN_PER_SEC * USEC_PER_SEC;

    assert_int_equal(callers_judge(c, a, CALLERS_USER_UNREAD_MAX, NOW), CALLERS_CARRY_OUT);
    assert_int_equal(callers_judge(c, b, 1024, NOW), CALLERS_REFUSE);
    assert_int_equal(callers_judge(c, b, 1024, later), CALLERS_CARRY_OUT);
    assert_true(callers_unread(a) == 0);
}

static void test_connections_are_bounded(void **state)
{
    _cleanup_(callers_freep) struct callers *c = callers_new();
    char name[32];

    for (int i = 0; i < CALLERS_MAX; i++) {
        snprintf(name, sizeof(name), ":1.%d", i);
        assert_non_null(callers_get(c, name));
    }
    assert_null(callers_get(c, ":2.1"));
    assert_non_null(callers_get(c, ":1.7"));
    callers_gone(c, callers_find(c, ":1.7"));
    assert_non_null(callers_get(c, ":2.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whose_it_is),
        cmocka_unit_test(test_who_does_not_read_is_refused),
        cmocka_unit_test(test_a_ping_shows_what_was_before_it),
        cmocka_unit_test(test_a_user_is_bounded_in_sum),
        cmocka_unit_test(test_a_user_is_bounded_in_time),
        cmocka_unit_test(test_who_answers_no_ping_is_forgiven),
        cmocka_unit_test(test_connections_are_bounded),
        cmocka_unit_test(test_who_connects_anew_brings_nothing),
        cmocka_unit_test(test_users_share_the_processor),
        cmocka_unit_test(test_whose_calls_go_first),
        cmocka_unit_test(test_calls_under_way_hold_the_next_ones),
        cmocka_unit_test(test_users_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
