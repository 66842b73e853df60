/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every event in every phase of every role, and every sequence of events from the beginning of a connection. */
#include "device/connection-table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define STATES (CONNECTION_ROLES * CONNECTION_PHASES * 4)

static size_t index_of(const struct connection_state *s)
{
    return ((size_t)s->role * CONNECTION_PHASES + s->phase) * 4 + (s->unproven ? 2 : 0) + (s->awaits ? 1 : 0);
}

static struct connection_state state_at(size_t i)
{
    return (struct connection_state){.role = (enum connection_role)(i / 4 / CONNECTION_PHASES),
                                     .phase = (enum connection_phase)(i / 4 % CONNECTION_PHASES),
                                     .unproven = i & 2,
                                     .awaits = i & 1};
}

/* Marks every state that can come about from `from`, with both findings at each handshake. */
static void reach(const struct connection_state *from, bool reached[STATES])
{
    if (reached[index_of(from)])
        return;
    reached[index_of(from)] = true;
    for (int event = 0; event < CONNECTION_EVENTS; event++)
        for (int awaits = 0; awaits < 2; awaits++) {
            struct connection_state s = *from;

            if (event == CONNECTION_EV_HANDSHAKE_FULL || event == CONNECTION_EV_HANDSHAKE_RESUMED)
                s.awaits = awaits;
            if (connection_step(&s, (enum connection_event)event) & CONNECTION_DO_CLOSE)
                continue; /* freed */
            reach(&s, reached);
        }
}

static void reach_all(bool reached[STATES])
{
    memset(reached, 0, STATES * sizeof(reached[0]));
    reach(&(struct connection_state){CONNECTION_MAIN, CONNECTION_CLOSED, false, false}, reached);
    reach(&(struct connection_state){CONNECTION_PROBE, CONNECTION_CLOSED, false, false}, reached);
}

/* Calls `check` with each step from each state that can come about. */
static void each_step(void (*check)(const struct connection_state *before, enum connection_event event,
                                    const struct connection_state *after, unsigned actions))
{
    bool reached[STATES];

    reach_all(reached);
    for (size_t i = 0; i < STATES; i++)
        for (int event = 0; reached[i] && event < CONNECTION_EVENTS; event++) {
            struct connection_state before = state_at(i), after = before;
            unsigned actions = connection_step(&after, (enum connection_event)event);

            check(&before, (enum connection_event)event, &after, actions);
        }
}

static unsigned tells(unsigned actions)
{
    return (unsigned)__builtin_popcount(actions & CONNECTION_TELLS);
}

static void one_verdict_at_most(const struct connection_state *before, enum connection_event event,
                                const struct connection_state *after, unsigned actions)
{
    assert_true(tells(actions) <= 1);
}

static void test_no_event_brings_two_verdicts(void **state)
{
    each_step(one_verdict_at_most);
}

/* A probe's owner waits for one result: told while it is owed, and then owed no more. Only who drops it gives it up. */
static void owed_once(const struct connection_state *before, enum connection_event event,
                      const struct connection_state *after, unsigned actions)
{
    if (before->role != CONNECTION_PROBE)
        return;
    if (tells(actions) > 0) {
        assert_true(connection_owes(before));
        assert_false(connection_owes(after));
    }
    if (connection_owes(before) && !connection_owes(after))
        assert_true(tells(actions) == 1 || event == CONNECTION_EV_DROP);
    if (!connection_owes(before) && connection_owes(after))
        assert_true(event == CONNECTION_EV_WAIT || event == CONNECTION_EV_START);
}

static void test_a_probe_is_answered_once(void **state)
{
    each_step(owed_once);
}

/* A probe that came to nothing holds no session. */
static void nothing_leaks(const struct connection_state *before, enum connection_event event,
                          const struct connection_state *after, unsigned actions)
{
    if (before->role == CONNECTION_PROBE && tells(actions) > 0 && !(actions & CONNECTION_TELL_ACCEPTED))
        assert_true(actions & CONNECTION_DO_CLOSE);
    if (actions & CONNECTION_DO_CLOSE)
        assert_int_equal(after->phase, CONNECTION_CLOSED);
    /* The connection is freed by then: what comes after would use it. */
    if (actions & CONNECTION_DO_CLOSE)
        assert_false(actions & (CONNECTION_DO_PROVE | CONNECTION_DO_RENEW));
    /* Only one that is closed or is left ends: nothing else is freed under the feet of who uses it. */
    if (before->role == CONNECTION_MAIN && (actions & CONNECTION_DO_CLOSE))
        assert_int_equal(event, CONNECTION_EV_LEAVE);
    /* Once left, nothing is said, begun or proved on it. */
    if (before->role == CONNECTION_LEAVING)
        assert_int_equal(actions & ~(unsigned)CONNECTION_DO_CLOSE, 0);
}

static void test_a_connection_that_failed_or_was_left_leaves_nothing_behind(void **state)
{
    each_step(nothing_leaks);
}

/* Each role has an event after which nothing of it is left, from wherever it is. */
static void test_every_path_ends(void **state)
{
    static const enum connection_event ends[] = {[CONNECTION_MAIN] = CONNECTION_EV_LEAVE,
                                                 [CONNECTION_PROBE] = CONNECTION_EV_DROP,
                                                 [CONNECTION_LEAVING] = CONNECTION_EV_DRAINED};
    bool reached[STATES];

    reach_all(reached);
    for (size_t i = 0; i < STATES; i++) {
        struct connection_state s = state_at(i), stopped = s;

        if (!reached[i])
            continue;
        assert_true(connection_step(&s, ends[s.role]) & CONNECTION_DO_CLOSE);
        /* When its session ends by itself nobody is left waiting. */
        if (stopped.role == CONNECTION_PROBE && stopped.phase == CONNECTION_DRAINING)
            continue; /* it has none yet */
        connection_step(&stopped, CONNECTION_EV_STOPPED);
        assert_int_equal(stopped.phase, CONNECTION_CLOSED);
        assert_false(connection_owes(&stopped));
    }
}

/* READY is the phase in which samples are sent: never before they count, nor without a session. */
static void sent_when_it_counts(const struct connection_state *before, enum connection_event event,
                                const struct connection_state *after, unsigned actions)
{
    if (after->role == CONNECTION_MAIN && after->phase == CONNECTION_READY)
        assert_false(connection_blocked(after));
    if (after->role == CONNECTION_MAIN && after->phase == CONNECTION_PROVING)
        assert_true(connection_blocked(after));
    if (before->role == CONNECTION_MAIN && !connection_online(before) && connection_online(after)) {
        assert_int_equal(event, CONNECTION_EV_ONLINE);
        assert_true(actions & CONNECTION_DO_GREET);
        assert_int_equal(after->phase, CONNECTION_ANNOUNCING);
    }
    if (actions & CONNECTION_DO_GREET)
        assert_true(connection_online(after));
    if (before->role == CONNECTION_MAIN && (event == CONNECTION_EV_TRYING || event == CONNECTION_EV_STOPPED))
        assert_false(connection_online(after));
}

static void test_samples_are_sent_only_on_a_session_on_which_they_count(void **state)
{
    each_step(sent_when_it_counts);
}

static void keys_are_judged_once(const struct connection_state *before, enum connection_event event,
                                 const struct connection_state *after, unsigned actions)
{
    if (before->role != CONNECTION_MAIN || !(actions & CONNECTION_TELL_ACCEPTED))
        return;
    assert_true(before->unproven);
    assert_false(after->unproven);
    assert_int_equal(event, CONNECTION_EV_ACCEPTED);
}

static void test_the_main_key_is_told_accepted_once_for_each_full_handshake(void **state)
{
    each_step(keys_are_judged_once);
}

static void test_a_session_on_a_ticket_needs_no_proof(void **state)
{
    struct connection_state s = {.role = CONNECTION_MAIN};

    assert_int_equal(connection_step(&s, CONNECTION_EV_TRYING), 0);
    s.awaits = true;
    assert_int_equal(connection_step(&s, CONNECTION_EV_HANDSHAKE_RESUMED), 0);
    assert_int_equal(connection_step(&s, CONNECTION_EV_ONLINE), CONNECTION_DO_GREET);
    connection_step(&s, CONNECTION_EV_ANNOUNCED);
    assert_int_equal(s.phase, CONNECTION_READY);
}

static void test_samples_wait_for_the_proof_where_the_server_tells_no_refusals(void **state)
{
    struct connection_state s = {.role = CONNECTION_MAIN, .phase = CONNECTION_CONNECTING, .awaits = true};

    assert_int_equal(connection_step(&s, CONNECTION_EV_HANDSHAKE_FULL), CONNECTION_DO_PROVE);
    connection_step(&s, CONNECTION_EV_ONLINE);
    connection_step(&s, CONNECTION_EV_ANNOUNCED);
    assert_int_equal(s.phase, CONNECTION_PROVING);
    assert_int_equal(connection_step(&s, CONNECTION_EV_UNPROVED), CONNECTION_DO_RENEW_LATER);
    assert_int_equal(s.phase, CONNECTION_PROVING);
    assert_true(connection_step(&s, CONNECTION_EV_ACCEPTED) & CONNECTION_DO_KICK);
    assert_int_equal(s.phase, CONNECTION_READY);
}

/* Elsewhere what is sent proves the key as well, and nothing is put off. */
static void test_samples_go_beside_the_proof_where_the_server_tells_refusals(void **state)
{
    struct connection_state s = {.role = CONNECTION_MAIN, .phase = CONNECTION_READY};

    assert_int_equal(connection_step(&s, CONNECTION_EV_HANDSHAKE_FULL), CONNECTION_DO_PROVE);
    assert_int_equal(s.phase, CONNECTION_READY);
    assert_int_equal(connection_step(&s, CONNECTION_EV_UNPROVED), 0);
    assert_true(connection_step(&s, CONNECTION_EV_ACCEPTED) & CONNECTION_TELL_ACCEPTED);
    assert_int_equal(connection_step(&s, CONNECTION_EV_ACCEPTED), CONNECTION_DO_NOTE);
}

static void test_a_proof_that_fails_without_a_session_begins_none(void **state)
{
    struct connection_state s = {
        .role = CONNECTION_MAIN, .phase = CONNECTION_PROVING, .unproven = true, .awaits = true};

    connection_step(&s, CONNECTION_EV_TRYING);
    assert_int_equal(connection_step(&s, CONNECTION_EV_UNPROVED), 0);
    assert_true(s.unproven);
}

static void test_an_adopted_probe_is_greeted_like_a_new_session(void **state)
{
    struct connection_state s = {.role = CONNECTION_PROBE};

    connection_step(&s, CONNECTION_EV_START);
    assert_int_equal(connection_step(&s, CONNECTION_EV_HANDSHAKE_FULL), CONNECTION_DO_PROVE);
    assert_int_equal(connection_step(&s, CONNECTION_EV_ONLINE), 0);
    assert_int_equal(connection_step(&s, CONNECTION_EV_ACCEPTED), CONNECTION_TELL_ACCEPTED);
    assert_int_equal(connection_step(&s, CONNECTION_EV_ADOPT), CONNECTION_DO_GREET);
    assert_int_equal(s.role, CONNECTION_MAIN);
    assert_int_equal(s.phase, CONNECTION_ANNOUNCING);
    assert_false(s.unproven);
}

static void test_a_probe_whose_session_is_gone_is_adopted_closed(void **state)
{
    struct connection_state s = {.role = CONNECTION_PROBE, .phase = CONNECTION_READY};

    assert_int_equal(connection_step(&s, CONNECTION_EV_STOPPED), 0);
    assert_int_equal(connection_step(&s, CONNECTION_EV_ADOPT), 0);
    assert_int_equal(s.role, CONNECTION_MAIN);
    assert_int_equal(s.phase, CONNECTION_CLOSED);
}

static void test_a_connection_is_left_at_once_unless_a_request_is_under_way(void **state)
{
    struct connection_state s = {.role = CONNECTION_MAIN, .phase = CONNECTION_READY}, busy = s;

    assert_true(connection_step(&s, CONNECTION_EV_LEAVE) & CONNECTION_DO_CLOSE);
    assert_false(connection_step(&busy, CONNECTION_EV_LEAVE_BUSY) & CONNECTION_DO_CLOSE);
    assert_int_equal(busy.role, CONNECTION_LEAVING);
    assert_int_equal(busy.phase, CONNECTION_DRAINING);
    assert_false(connection_online(&busy));
    assert_int_equal(connection_step(&busy, CONNECTION_EV_ONLINE), 0);
    assert_int_equal(connection_step(&busy, CONNECTION_EV_ACCEPTED), 0);
    assert_int_equal(connection_step(&busy, CONNECTION_EV_DRAINED), CONNECTION_DO_CLOSE);
}

/* What each finding means, by role. */
static const struct {
    enum connection_event event;
    unsigned main, connecting, proving; /* of the main connection in any phase, of a probe in these two */
} verdicts[] = {
    {CONNECTION_EV_REFUSED, CONNECTION_TELL_REFUSED | CONNECTION_DO_RENEW_LATER, 0,
     CONNECTION_TELL_REFUSED | CONNECTION_DO_CLOSE},
    {CONNECTION_EV_UNPROVED, 0, 0, CONNECTION_TELL_UNREACHABLE | CONNECTION_DO_CLOSE},
    {CONNECTION_EV_KEY_REFUSED, CONNECTION_TELL_REFUSED, CONNECTION_TELL_REFUSED | CONNECTION_DO_CLOSE,
     CONNECTION_TELL_REFUSED | CONNECTION_DO_CLOSE},
    {CONNECTION_EV_UNREACHABLE, CONNECTION_TELL_UNREACHABLE, CONNECTION_TELL_UNREACHABLE | CONNECTION_DO_CLOSE,
     CONNECTION_TELL_UNREACHABLE | CONNECTION_DO_CLOSE},
    {CONNECTION_EV_FAILED, 0, CONNECTION_TELL_UNREACHABLE | CONNECTION_DO_CLOSE,
     CONNECTION_TELL_UNREACHABLE | CONNECTION_DO_CLOSE},
    {CONNECTION_EV_LOCAL_FAILED, 0, CONNECTION_TELL_LOCAL | CONNECTION_DO_CLOSE,
     CONNECTION_TELL_LOCAL | CONNECTION_DO_CLOSE},
    {CONNECTION_EV_ABORT, 0, CONNECTION_TELL_CANCELLED | CONNECTION_DO_CLOSE,
     CONNECTION_TELL_CANCELLED | CONNECTION_DO_CLOSE},
    {CONNECTION_EV_DROP, 0, CONNECTION_DO_CLOSE, CONNECTION_DO_CLOSE},
    {CONNECTION_EV_STOPPED, CONNECTION_DO_END, CONNECTION_TELL_UNREACHABLE | CONNECTION_DO_CLOSE,
     CONNECTION_TELL_UNREACHABLE | CONNECTION_DO_CLOSE},
    {CONNECTION_EV_NEW_KEY, CONNECTION_DO_FORGET_PROOF | CONNECTION_DO_RENEW, 0, 0},
};

static void test_each_finding_has_one_meaning_for_each_role(void **state)
{
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++) {
        struct connection_state connecting = {.role = CONNECTION_PROBE, .phase = CONNECTION_CONNECTING};
        struct connection_state proving = {.role = CONNECTION_PROBE, .phase = CONNECTION_PROVING};

        for (int phase = CONNECTION_CLOSED; phase <= CONNECTION_READY; phase++) {
            struct connection_state main = {.role = CONNECTION_MAIN, .phase = (enum connection_phase)phase};

            assert_int_equal(connection_step(&main, verdicts[i].event), verdicts[i].main);
        }
        assert_int_equal(connection_step(&connecting, verdicts[i].event), verdicts[i].connecting);
        assert_int_equal(connection_step(&proving, verdicts[i].event), verdicts[i].proving);
    }
}

/* Over MQTT it waits for the main connection's request: it can be given up there, and then somebody is told. */
static void test_a_probe_that_waits_can_begin_fail_or_be_ended(void **state)
{
    const struct connection_state closed = {.role = CONNECTION_PROBE};
    struct connection_state s = closed, failed, aborted;

    assert_int_equal(connection_step(&s, CONNECTION_EV_WAIT), 0);
    assert_int_equal(s.phase, CONNECTION_DRAINING);
    assert_true(connection_owes(&s));
    failed = aborted = s;
    assert_int_equal(connection_step(&s, CONNECTION_EV_START), 0);
    assert_int_equal(s.phase, CONNECTION_CONNECTING);
    assert_int_equal(connection_step(&failed, CONNECTION_EV_LOCAL_FAILED), CONNECTION_TELL_LOCAL | CONNECTION_DO_CLOSE);
    assert_int_equal(connection_step(&aborted, CONNECTION_EV_ABORT), CONNECTION_TELL_CANCELLED | CONNECTION_DO_CLOSE);
}

static void test_a_probe_that_was_accepted_is_ended_without_a_word(void **state)
{
    struct connection_state s = {.role = CONNECTION_PROBE, .phase = CONNECTION_READY};

    assert_int_equal(connection_step(&s, CONNECTION_EV_ABORT), CONNECTION_DO_CLOSE);
}

static void test_a_server_that_takes_a_ticket_from_a_probe_has_to_prove_it_too(void **state)
{
    struct connection_state s = {.role = CONNECTION_PROBE, .phase = CONNECTION_CONNECTING};

    assert_int_equal(connection_step(&s, CONNECTION_EV_HANDSHAKE_RESUMED), CONNECTION_DO_PROVE);
    assert_int_equal(s.phase, CONNECTION_PROVING);
}

static void test_what_waits_is_sent_when_only_the_reason_of_a_session_is_over(void **state)
{
    struct connection_state s = {.role = CONNECTION_MAIN, .phase = CONNECTION_READY};

    assert_int_equal(connection_step(&s, CONNECTION_EV_ONLINE), CONNECTION_DO_KICK);
    assert_int_equal(s.phase, CONNECTION_READY);
}

static void test_samples_wait_while_other_points_are_announced(void **state)
{
    struct connection_state s = {.role = CONNECTION_MAIN, .phase = CONNECTION_READY};

    assert_int_equal(connection_step(&s, CONNECTION_EV_ANNOUNCE), 0);
    assert_int_equal(s.phase, CONNECTION_ANNOUNCING);
    connection_step(&s, CONNECTION_EV_ANNOUNCED);
    assert_int_equal(s.phase, CONNECTION_READY);
}

static void test_every_phase_has_a_name_of_its_own(void **state)
{
    for (int i = 0; i < CONNECTION_PHASES; i++) {
        assert_true(connection_phase_name((enum connection_phase)i)[0]);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(connection_phase_name((enum connection_phase)i),
                                    connection_phase_name((enum connection_phase)k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_event_brings_two_verdicts),
        cmocka_unit_test(test_a_probe_is_answered_once),
        cmocka_unit_test(test_a_connection_that_failed_or_was_left_leaves_nothing_behind),
        cmocka_unit_test(test_every_path_ends),
        cmocka_unit_test(test_samples_are_sent_only_on_a_session_on_which_they_count),
        cmocka_unit_test(test_the_main_key_is_told_accepted_once_for_each_full_handshake),
        cmocka_unit_test(test_a_session_on_a_ticket_needs_no_proof),
        cmocka_unit_test(test_samples_wait_for_the_proof_where_the_server_tells_no_refusals),
        cmocka_unit_test(test_samples_go_beside_the_proof_where_the_server_tells_refusals),
        cmocka_unit_test(test_a_proof_that_fails_without_a_session_begins_none),
        cmocka_unit_test(test_an_adopted_probe_is_greeted_like_a_new_session),
        cmocka_unit_test(test_a_probe_whose_session_is_gone_is_adopted_closed),
        cmocka_unit_test(test_a_connection_is_left_at_once_unless_a_request_is_under_way),
        cmocka_unit_test(test_each_finding_has_one_meaning_for_each_role),
        cmocka_unit_test(test_a_probe_that_waits_can_begin_fail_or_be_ended),
        cmocka_unit_test(test_a_probe_that_was_accepted_is_ended_without_a_word),
        cmocka_unit_test(test_a_server_that_takes_a_ticket_from_a_probe_has_to_prove_it_too),
        cmocka_unit_test(test_what_waits_is_sent_when_only_the_reason_of_a_session_is_over),
        cmocka_unit_test(test_samples_wait_while_other_points_are_announced),
        cmocka_unit_test(test_every_phase_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
