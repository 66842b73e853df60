/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* polkit decides who rotates keys, so that what passes for its answer decides too: only its own yes is one, and a
 * polkit that fails is no polkit that is absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "polkit-peer.h"

static void test_nobody_elses_answer_is_taken_for_polkits(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.authorized = true;
    polkit.from = ":1.66";
    refused(SD_BUS_ERROR_ACCESS_DENIED, "another connection answered for it");
}

static void test_an_answer_that_cannot_be_read_is_no_yes(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.unreadable = true;
    refused(SD_BUS_ERROR_ACCESS_DENIED, "its answer cannot be read");
}

static void test_polkits_own_error_is_passed_on_in_its_words(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.error = "org.freedesktop.PolicyKit1.Error.Failed";
    refused(SD_BUS_ERROR_ACCESS_DENIED, "its rules are broken");
}

static void test_a_polkit_that_does_not_run_is_started_and_asked(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.owner = NULL;
    polkit.starts = polkit.authorized = true;
    allowed(CALLER);
    assert_int_equal(polkit.started, 1);
}

static void test_a_polkit_that_ends_as_soon_as_it_is_started_refuses(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.owner = NULL;
    refused(SD_BUS_ERROR_ACCESS_DENIED, "it ended");
    assert_int_equal(polkit.started, 1); /* and not again and again */
}

static void test_a_polkit_that_cannot_be_started_is_not_taken_for_absent(void **state)
{
    arrives(CALLER, CALLER_UID);
    groups.member = true;
    polkit.owner = NULL;
    polkit.start_error = "org.freedesktop.DBus.Error.Spawn.Failed";
    refused(SD_BUS_ERROR_ACCESS_DENIED, "it cannot be started here");
    assert_int_equal(groups.looked_up, 0);
}

static void test_a_restarted_polkit_is_found_under_its_new_connection(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.authorized = true;
    allowed(CALLER);
    polkit.owner = polkit.from = ":1.10";
    allowed(CALLER);
    assert_int_equal(polkit.owners_asked, 2);
    assert_string_equal(polkit.destination, ":1.10");
}

static void test_a_name_whose_owner_is_never_there_is_asked_no_more_than_twice(void **state)
{
    arrives(CALLER, CALLER_UID);
    polkit.owner = ":1.9";
    polkit.error = SD_BUS_ERROR_SERVICE_UNKNOWN;
    refused(SD_BUS_ERROR_ACCESS_DENIED, "it did not answer");
    assert_int_equal(polkit.questions, 2);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_nobody_elses_answer_is_taken_for_polkits),
        WITH(test_an_answer_that_cannot_be_read_is_no_yes),
        WITH(test_polkits_own_error_is_passed_on_in_its_words),
        WITH(test_a_polkit_that_does_not_run_is_started_and_asked),
        WITH(test_a_polkit_that_ends_as_soon_as_it_is_started_refuses),
        WITH(test_a_polkit_that_cannot_be_started_is_not_taken_for_absent),
        WITH(test_a_restarted_polkit_is_found_under_its_new_connection),
        WITH(test_a_name_whose_owner_is_never_there_is_asked_no_more_than_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
