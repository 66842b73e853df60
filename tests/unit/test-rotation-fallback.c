/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fallback is not a rotation: what the machine does when main is refused, and somebody who has an older key answers.
 * And what it takes a restart, or an agent of before, to be told of that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "rotation/machine.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define NOW (1000 * USEC_PER_HOUR)

static const struct rotation_policy coap = {.retire_after = 24 * USEC_PER_HOUR};
static const struct rotation_policy other_login = {.retire_after = 24 * USEC_PER_HOUR, .out_of_band = true};
static struct rotation_policy policy;
static struct rotation r;
static struct rotation_actions out;
static struct stamp now;

static void begin(const struct rotation_policy *p, const struct rotation_durable *d)
{
    policy = *p;
    now = (struct stamp){.boot = {1}, .boottime = NOW};
    rotation_restore(&r, d);
}

static int give_event(struct rotation_event ev)
{
    ev.now = now;
    return rotation_step(&r, &policy, &ev, &out);
}

static const struct rotation_action *give(enum rotation_event_type type, enum rotation_action_type wanted)
{
    assert_int_equal(give_event((struct rotation_event){.type = type}), 0);
    for (size_t i = 0; i < out.n; i++)
        if (out.list[i].type == wanted)
            return &out.list[i];
    return NULL;
}

static void refuse_main(void)
{
    give(ROTATION_EV_MAIN_REFUSED, ROTATION_DO_TIMER);
    give(ROTATION_EV_MAIN_REFUSED, ROTATION_DO_TIMER);
}

static const struct rotation_durable swapped = {
    .state = ROTATION_SWAPPED, .has_main = true, .has_backup = true, .main_id = true, .backup_id = true};

static void fall_back(void)
{
    refuse_main();
    assert_non_null(give(ROTATION_EV_TIMER, ROTATION_DO_PROBE));
    assert_true(give(ROTATION_EV_PROBE_ACCEPTED, ROTATION_DO_COMMIT)->next->fallen);
    assert_int_equal(give(ROTATION_EV_COMMITTED, ROTATION_DO_MOVED)->move, ROTATION_FELL_BACK);
}

static void test_once_main_is_only_tried(void **state)
{
    begin(&coap, &swapped);
    fall_back();
    assert_string_equal(rotation_shown_state(&r.d), "fallen-back");
    for (unsigned i = 0; i < 8 * ROTATION_REFUSED_PROBES; i++) {
        assert_non_null(give(ROTATION_EV_TIMER, ROTATION_DO_PROBE));
        assert_int_equal(out.n, 1);
        assert_true(give(ROTATION_EV_PROBE_REFUSED, ROTATION_DO_TIMER)->when > now.boottime);
        now.boottime += USEC_PER_HOUR;
        give(ROTATION_EV_MAIN_ACCEPTED, ROTATION_DO_TIMER);
    }
    /* not by age, and not because somebody asked for a rotation without looking */
    assert_int_equal(give_event((struct rotation_event){.type = ROTATION_EV_ROTATE, .scheduled = true}), 0);
    assert_int_equal(out.list[0].reply, -EPERM);
    assert_int_equal(give(ROTATION_EV_ROTATE, ROTATION_DO_REPLY)->reply, -EBUSY);
    assert_non_null(strstr(out.list[0].text, "key forget DEVICE backup --force"));
    assert_int_equal(give(ROTATION_EV_FORGET_BACKUP, ROTATION_DO_REPLY)->reply, -EBUSY);
    /* forward again */
    assert_non_null(give(ROTATION_EV_TIMER, ROTATION_DO_PROBE));
    assert_int_equal(give(ROTATION_EV_PROBE_ACCEPTED, ROTATION_DO_COMMIT)->next->state, ROTATION_SWAPPED);
    assert_int_equal(give(ROTATION_EV_COMMITTED, ROTATION_DO_MOVED)->move, ROTATION_WENT_FORWARD);
    assert_false(r.d.fallen);
}

static void test_operators_word_ends_it(void **state)
{
    begin(&coap, &swapped);
    fall_back();
    for (unsigned i = 0; i < 2; i++) {
        give(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
        give(ROTATION_EV_PROBE_REFUSED, ROTATION_DO_TIMER);
    }
    give_event((struct rotation_event){.type = ROTATION_EV_FORGET_BACKUP, .confirmed = true});
    assert_int_equal(out.list[0].change, ROTATION_CHANGE_FORGET_BACKUP);
    assert_non_null(give(ROTATION_EV_COMMITTED, ROTATION_DO_REPLY));
    assert_int_equal(r.d.state, ROTATION_IDLE);
    assert_false(r.d.fallen);
    assert_int_equal(give(ROTATION_EV_ROTATE, ROTATION_DO_COMMIT)->change, ROTATION_CHANGE_STAGE);
}

static void test_never_back_to_a_compromised_key(void **state)
{
    struct rotation_durable d = swapped;

    d.compromised = true;
    begin(&other_login, &d);
    give(ROTATION_EV_MAIN_REFUSED, ROTATION_DO_TIMER);
    assert_int_equal(give(ROTATION_EV_MAIN_REFUSED, ROTATION_DO_REPORT)->report, ROTATION_REPORT_REFUSED);
    assert_non_null(strstr(out.list[0].text, "key promote DEVICE"));
    for (unsigned i = 0; i < 20; i++) {
        assert_null(give(ROTATION_EV_TIMER, ROTATION_DO_PROBE));
        give(ROTATION_EV_VERIFY_REFUSED, ROTATION_DO_TIMER);
        now.boottime += USEC_PER_HOUR;
    }
    /* but the operator may */
    assert_int_equal(give(ROTATION_EV_PROMOTE, ROTATION_DO_REPLY)->reply, 0);
    assert_non_null(give(ROTATION_EV_TIMER, ROTATION_DO_PROBE));
    assert_int_equal(give(ROTATION_EV_PROBE_ACCEPTED, ROTATION_DO_COMMIT)->next->state, ROTATION_OFFERED);
    assert_int_equal(give(ROTATION_EV_COMMITTED, ROTATION_DO_MOVED)->move, ROTATION_FELL_BACK);
}

static void test_promote_before_the_refusal_is_not_kept(void **state)
{
    struct rotation_durable d = swapped;

    d.compromised = true;
    begin(&other_login, &d);
    assert_int_equal(give(ROTATION_EV_PROMOTE, ROTATION_DO_REPLY)->reply, -EBUSY);
    refuse_main();
    assert_null(give(ROTATION_EV_TIMER, ROTATION_DO_PROBE));
}

static void test_removed_device_is_not_forgotten_for_refusals(void **state)
{
    struct rotation_durable d = swapped;

    d.removing = true;
    begin(&coap, &d);
    refuse_main();
    for (unsigned i = 0; i < 6; i++) {
        assert_non_null(give(ROTATION_EV_TIMER, ROTATION_DO_PROBE));
        give(ROTATION_EV_PROBE_REFUSED, ROTATION_DO_TIMER);
        now.boottime += USEC_PER_HOUR;
    }
    assert_int_equal(r.report, ROTATION_REPORT_LEFT);
    assert_true(r.d.has_main && r.d.has_backup && r.change == ROTATION_CHANGE_NONE);
    /* the last key alone, likewise */
    d = (struct rotation_durable){.state = ROTATION_RETIRING, .has_main = true, .main_id = true, .removing = true};
    begin(&coap, &d);
    give(ROTATION_EV_MAIN_REFUSED, ROTATION_DO_TIMER);
    assert_int_equal(give(ROTATION_EV_MAIN_REFUSED, ROTATION_DO_REPORT)->report, ROTATION_REPORT_LEFT);
    give(ROTATION_EV_TIMER, ROTATION_DO_TIMER);
    assert_true(r.change == ROTATION_CHANGE_NONE);
    give_event((struct rotation_event){.type = ROTATION_EV_REMOVE, .confirmed = true});
    assert_int_equal(r.change, ROTATION_CHANGE_FORGET_ALL);
}

/* Accepted, but the disk was full; then refused for longer than an hour. */
static void test_accepted_lately_is_not_given_up(void **state)
{
    const struct rotation_durable d = {
        .state = ROTATION_PROBING, .has_main = true, .has_backup = true, .backup_id = true};

    begin(&coap, &d);
    give(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
    give(ROTATION_EV_PROBE_ACCEPTED, ROTATION_DO_COMMIT);
    give(ROTATION_EV_COMMIT_FAILED, ROTATION_DO_TIMER);
    for (unsigned i = 0; i < 23; i++) {
        now.boottime += USEC_PER_HOUR;
        give(ROTATION_EV_MAIN_ACCEPTED, ROTATION_DO_TIMER);
        assert_non_null(give(ROTATION_EV_TIMER, ROTATION_DO_PROBE));
        give(ROTATION_EV_PROBE_REFUSED, ROTATION_DO_TIMER);
    }
    for (unsigned i = 0; r.d.state == ROTATION_PROBING && r.change == ROTATION_CHANGE_NONE; i++) {
        assert_true(i < 24);
        now.boottime += USEC_PER_HOUR;
        give(ROTATION_EV_MAIN_ACCEPTED, ROTATION_DO_TIMER);
        if (give(ROTATION_EV_TIMER, ROTATION_DO_PROBE))
            give(ROTATION_EV_PROBE_REFUSED, ROTATION_DO_TIMER);
    }
    assert_int_equal(r.next.state, ROTATION_ABANDONING);
}

static struct rotation_durable written(void)
{
    uint8_t blob[ROTATION_BLOB_MAX];
    struct rotation_durable d;
    ssize_t n = rotation_encode(&r.d, blob, sizeof(blob));

    assert_true(n > 0);
    assert_int_equal(rotation_decode(blob, (size_t)n, &d), 0);
    return d;
}

/* The hour in which a lost request may still arrive begins with the request, however often the agent is started. */
static void test_the_hour_counts_from_the_request(void **state)
{
    struct rotation_durable d = {.state = ROTATION_OFFERED, .has_main = true, .has_backup = true};

    begin(&coap, &d);
    give(ROTATION_EV_TIMER, ROTATION_DO_COMMIT);
    assert_non_null(give(ROTATION_EV_COMMITTED, ROTATION_DO_OFFER));
    for (unsigned i = 0; i < 5; i++) {
        now.boottime += 10 * USEC_PER_MINUTE;
        d = written();
        rotation_restore(&r, &d);
        give(ROTATION_EV_RESTART, ROTATION_DO_TIMER);
        assert_int_equal(r.unsettled_until, NOW + ROTATION_REQUEST_LIFETIME);
    }
    now.boottime = NOW + ROTATION_REQUEST_LIFETIME;
    rotation_restore(&r, &d);
    give(ROTATION_EV_RESTART, ROTATION_DO_TIMER);
    assert_int_equal(r.unsettled_until, 0);
    /* In another boot only clocks can tell; without them it begins anew. */
    now = (struct stamp){.boot = {2}, .boottime = USEC_PER_MINUTE};
    rotation_restore(&r, &d);
    give(ROTATION_EV_RESTART, ROTATION_DO_TIMER);
    assert_int_equal(r.unsettled_until, USEC_PER_MINUTE + ROTATION_REQUEST_LIFETIME);
    d.asked.realtime = 50 * 365 * USEC_PER_DAY;
    now.realtime = d.asked.realtime + 50 * USEC_PER_MINUTE;
    rotation_restore(&r, &d);
    give(ROTATION_EV_RESTART, ROTATION_DO_TIMER);
    assert_int_equal(r.unsettled_until, USEC_PER_MINUTE + 10 * USEC_PER_MINUTE);
}

static void test_a_slow_disk_makes_it_look_again(void **state)
{
    const struct rotation_durable d = {.state = ROTATION_OFFERED, .has_main = true, .has_backup = true};

    begin(&coap, &d);
    give(ROTATION_EV_TIMER, ROTATION_DO_COMMIT);
    now.boottime += ROTATION_ASKED_AGE_MAX + 1;
    assert_null(give(ROTATION_EV_COMMITTED, ROTATION_DO_OFFER));
    give(ROTATION_EV_TIMER, ROTATION_DO_COMMIT);
    assert_non_null(give(ROTATION_EV_COMMITTED, ROTATION_DO_OFFER));
}

/* As version 0.1.0 wrote them, byte for byte. */
static void test_older_blobs_read(void **state)
{
    uint8_t blob[100] = {1, ROTATION_SWAPPED, 0x04, 0x03}, again[ROTATION_BLOB_MAX];
    struct rotation_durable d;

    memset(blob + 4, 0x11, 32);
    assert_int_equal(rotation_decode(blob, sizeof(blob), &d), 0);
    assert_true(d.unsettled && d.has_main && d.has_backup && !d.fallen && !stamp_is_set(&d.asked));
    assert_int_equal(rotation_encode(&d, again, sizeof(again)), sizeof(blob));
    assert_memory_equal(again, blob, sizeof(blob));
}

/* What it could not carry on with has a version that it refuses by name; all else is as before. */
static void test_an_older_agent_refuses_what_it_cannot_know(void **state)
{
    struct rotation_durable d = swapped;
    uint8_t blob[ROTATION_BLOB_MAX];

    assert_int_equal(rotation_encode(&d, blob, sizeof(blob)), 100);
    assert_int_equal(blob[0], 1);
    d.state = ROTATION_OFFERED;
    d.fallen = d.dated = true;
    assert_int_equal(rotation_encode(&d, blob, sizeof(blob)), 132);
    assert_int_equal(blob[0], 2);
    assert_int_equal(rotation_decode(blob, 132, &d), 0);
    assert_true(d.fallen);
    blob[1] = ROTATION_SWAPPED; /* no fallback is in that state */
    assert_int_equal(rotation_decode(blob, 132, &d), -EINVAL);
    blob[0] = 1; /* and the flag is not of that version */
    assert_int_equal(rotation_decode(blob, 100, &d), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_main_is_only_tried),
        cmocka_unit_test(test_operators_word_ends_it),
        cmocka_unit_test(test_never_back_to_a_compromised_key),
        cmocka_unit_test(test_promote_before_the_refusal_is_not_kept),
        cmocka_unit_test(test_removed_device_is_not_forgotten_for_refusals),
        cmocka_unit_test(test_accepted_lately_is_not_given_up),
        cmocka_unit_test(test_the_hour_counts_from_the_request),
        cmocka_unit_test(test_a_slow_disk_makes_it_look_again),
        cmocka_unit_test(test_older_blobs_read),
        cmocka_unit_test(test_an_older_agent_refuses_what_it_cannot_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
