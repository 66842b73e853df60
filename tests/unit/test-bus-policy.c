/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A caller that gets what it has no right to has the keys; one that is refused what it may do is locked out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "polkit-peer.h"

static void test_root_and_the_agents_own_user_need_nobodys_leave(void **state)
{
    arrives(":1.2", 0);
    arrives(":1.3", geteuid());
    allowed(":1.2");
    allowed(":1.3");
    assert_int_equal(polkit.questions, 0);
}

static void test_polkit_is_asked_once_for_the_caller_and_its_yes_carries_the_call_out(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.authorized = true;
    allowed(CALLER);
    assert_int_equal(polkit.questions, 1);
    assert_string_equal(polkit.subject, CALLER);
    assert_string_equal(polkit.asked, ACTION_ROTATE);
    assert_string_equal(polkit.destination, ":1.9"); /* and not its name, which others could take */
    assert_int_equal(polkit.flags, 0);
    assert_int_equal(b.caller, CALLER_UID);
    allowed(CALLER);
    assert_int_equal(polkit.questions, 2); /* a yes is for one call */
    assert_int_equal(polkit.owners_asked, 1);
}

static void test_polkits_no_is_a_refusal_that_names_the_right_and_where_to_look(void **state)
{
    arrives(CALLER, CALLER_UID);
    refused(SD_BUS_ERROR_ACCESS_DENIED, "pkaction --verbose --action-id " ACTION_ROTATE);
    assert_non_null(strstr(answer_text, "uid 424242"));
}

static void test_who_did_not_say_that_a_password_may_be_asked_for_is_told_so(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.challenge = true;
    refused(SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, "password");
}

static void test_a_person_may_be_asked_and_keeps_none_of_its_other_calls_back(void **state)
{
    struct caller *one = arrives(CALLER, CALLER_UID);

    polkit.silent = true;
    call(CALLER, true);
    run_until(polkit.questions == 1);
    assert_int_equal(polkit.flags, 1);
    assert_int_equal(one->user->busy, 0);
    assert_int_equal(one->user->asked, 1);
    call(CALLER, false);
    run_until(polkit.questions == 2);
    assert_int_equal(one->user->busy, 1);
    policy_done(&b, false); /* the bus goes */
    assert_int_equal(one->user->busy + one->user->asked, 0);
}

static void test_a_call_that_is_asked_about_is_not_asked_about_twice(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.silent = true;
    call(CALLER, false);
    run_until(polkit.questions == 1);
    assert_int_equal(policy_check(&b, (sd_bus_message *)last_call, action, NULL), 0);
    assert_true(policy_knows(&b, (sd_bus_message *)last_call));
    assert_int_equal(carried_out, 0);
}

static void test_more_than_a_few_passwords_at_once_are_refused(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.silent = true;
    for (unsigned i = 1; i <= POLICY_PERSON_MAX; i++) {
        call(CALLER, true);
        run_until(polkit.questions == i);
    }
    call(CALLER, true);
    run_until(answer);
    assert_string_equal(answer, SD_BUS_ERROR_LIMITS_EXCEEDED);
    assert_int_equal(polkit.questions, POLICY_PERSON_MAX);
    assert_int_equal(carried_out, 0);
}

/* ── Without polkit ── */

static void no_polkit(void)
{
    arrives(CALLER, CALLER_UID);
    polkit.owner = NULL;
    polkit.start_error = SD_BUS_ERROR_SERVICE_UNKNOWN;
}

static void test_without_polkit_the_group_may_rotate(void **state)
{
    no_polkit();
    groups.member = true;
    allowed(CALLER);
    assert_int_equal(groups.looked_up, 1);
}

static void test_without_polkit_strangers_may_not(void **state)
{
    no_polkit();
    refused(SD_BUS_ERROR_ACCESS_DENIED, "and the group " ADMIN_GROUP);
}

static void test_without_polkit_the_group_gets_no_keys(void **state)
{
    static const char *const actions[] = {ACTION_MANAGE_KEYS, ACTION_EXPORT_KEYS, ACTION_SET_LOG_LEVEL};

    no_polkit();
    groups.member = true;
    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
        action = actions[i];
        refused(SD_BUS_ERROR_ACCESS_DENIED, action);
        assert_null(strstr(answer_text, ADMIN_GROUP)); /* which would not help */
    }
    assert_int_equal(groups.looked_up, 0);
}

static void test_groups_are_looked_up_again_only_after_a_while(void **state)
{
    struct caller_user *user;

    no_polkit();
    user = callers_find(b.callers, CALLER)->user;
    groups.member = true;
    allowed(CALLER);
    user->looked_up = clock_boottime() + USEC_PER_HOUR; /* a moment ago, however slow the machine is */
    allowed(CALLER);
    assert_int_equal(groups.looked_up, 1);
    user->looked_up = 1;
    groups.member = false; /* it was put out of the group */
    refused(SD_BUS_ERROR_ACCESS_DENIED, ADMIN_GROUP);
    assert_int_equal(groups.looked_up, 2);
}

/* ── Meanwhile ── */

static void test_who_has_left_meanwhile_gets_nothing_done(void **state)
{
    struct caller *one = arrives(CALLER, CALLER_UID);

    polkit.authorized = true;
    arrives(":1.8", CALLER_UID); /* its user stays */
    call(CALLER, false);
    run_until(b.policy_requests);
    callers_gone(b.callers, one);
    run_until(answer);
    assert_string_equal(answer, SD_BUS_ERROR_ACCESS_DENIED);
    assert_int_equal(carried_out, 0);
    assert_null(b.policy_requests);
}

static void test_a_call_whose_object_has_gone_meanwhile_keeps_nothing_back(void **state)
{
    struct caller *one = arrives(CALLER, CALLER_UID);

    polkit.authorized = true;
    call(CALLER, false);
    run_until(b.policy_requests);
    object = sd_bus_slot_unref(object);
    run_until(answer);
    assert_string_equal(answer, SD_BUS_ERROR_UNKNOWN_OBJECT);
    assert_null(b.policy_requests);
    assert_int_equal(one->user->busy, 0);
}

static void test_groups_that_come_after_the_bus_has_gone_are_nobodys(void **state)
{
    no_polkit();
    groups.member = true;
    call(CALLER, false);
    run_until(polkit.started == 1);
    while (sd_bus_process(b.connection, NULL) > 0)
        ;
    policy_done(&b, false);
    assert_null(b.policy_requests);
    workers = workers_free(workers); /* the look-up ends here, if it was begun */
    assert_int_equal(workers_new(b.event, 1, &workers), 0);
    assert_int_equal(carried_out, 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_root_and_the_agents_own_user_need_nobodys_leave),
        WITH(test_polkit_is_asked_once_for_the_caller_and_its_yes_carries_the_call_out),
        WITH(test_polkits_no_is_a_refusal_that_names_the_right_and_where_to_look),
        WITH(test_who_did_not_say_that_a_password_may_be_asked_for_is_told_so),
        WITH(test_a_person_may_be_asked_and_keeps_none_of_its_other_calls_back),
        WITH(test_a_call_that_is_asked_about_is_not_asked_about_twice),
        WITH(test_more_than_a_few_passwords_at_once_are_refused),
        WITH(test_without_polkit_the_group_may_rotate),
        WITH(test_without_polkit_strangers_may_not),
        WITH(test_without_polkit_the_group_gets_no_keys),
        WITH(test_groups_are_looked_up_again_only_after_a_while),
        WITH(test_who_has_left_meanwhile_gets_nothing_done),
        WITH(test_a_call_whose_object_has_gone_meanwhile_keeps_nothing_back),
        WITH(test_groups_that_come_after_the_bus_has_gone_are_nobodys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
