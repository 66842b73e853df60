/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state machine along its main paths, and what the exhaustive walk (tests/prove) abstracts from: counts, times,
 * texts and the durable part as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "rotation/machine.h"
#include "rotation/table.h"

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NOW (1000 * USEC_PER_HOUR)

static struct rotation_policy policy;
static struct rotation r;
static struct rotation_actions out;
static uint64_t now, realtime;

static void begin(struct rotation_policy p)
{
    policy = p;
    policy.retire_after = policy.retire_after ? policy.retire_after : 24 * USEC_PER_HOUR;
    now = NOW;
    realtime = 0;
    rotation_init(&r, true);
}

static int give_event(struct rotation_event ev)
{
    ev.now = (struct stamp){.boottime = now, .realtime = realtime};
    return rotation_step(&r, &policy, &ev, &out);
}

static int give(enum rotation_event_type type)
{
    return give_event((struct rotation_event){.type = type});
}

static const struct rotation_action *find(enum rotation_action_type type)
{
    for (size_t i = 0; i < out.n; i++)
        if (out.list[i].type == type)
            return &out.list[i];
    return NULL;
}

/* Gives the event, and what it leads to must be this action. */
static const struct rotation_action *expect(enum rotation_event_type type, enum rotation_action_type action)
{
    assert_int_equal(give(type), 0);
    assert_non_null(find(action));
    return find(action);
}

static void expect_commit(enum rotation_event_type type, enum rotation_change_type change, enum rotation_state to)
{
    const struct rotation_action *a = expect(type, ROTATION_DO_COMMIT);

    assert_int_equal(out.n, 1);
    assert_int_equal(a->change, change);
    assert_int_equal(a->next->state, to);
}

/* The same key again: that it is told once more is written down first. */
static void expect_offer(void)
{
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_OFFERED);
    expect(ROTATION_EV_COMMITTED, ROTATION_DO_OFFER);
}

/* IDLE to SWAPPED. */
static void rotate(void)
{
    expect_commit(ROTATION_EV_ROTATE, ROTATION_CHANGE_STAGE, ROTATION_STAGED);
    assert_int_equal(expect(ROTATION_EV_COMMITTED, ROTATION_DO_REPLY)->reply, 0);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_OFFERED);
    expect(ROTATION_EV_COMMITTED, ROTATION_DO_OFFER);
    assert_int_equal(give_event((struct rotation_event){.type = ROTATION_EV_OFFER_OK, .cloud_id = "17"}), 0);
    assert_string_equal(find(ROTATION_DO_COMMIT)->cloud_id, "17");
    assert_int_equal(find(ROTATION_DO_COMMIT)->role, ROTATION_BACKUP);
    expect(ROTATION_EV_COMMITTED, ROTATION_DO_PROBE);
    expect_commit(ROTATION_EV_PROBE_ACCEPTED, ROTATION_CHANGE_SWAP, ROTATION_SWAPPED);
    expect(ROTATION_EV_COMMITTED, ROTATION_DO_CLOSE_OLD);
    assert_int_equal(find(ROTATION_DO_FINISHED)->outcome, ROTATION_DONE);
}

static void test_adds(void **state)
{
    begin((struct rotation_policy){0});
    r.d.main_id = true;
    rotate();
    assert_true(expect(ROTATION_EV_TIMER, ROTATION_DO_TIMER)->when == NOW + 24 * USEC_PER_HOUR);
    now += 24 * USEC_PER_HOUR;
    assert_int_equal(expect(ROTATION_EV_TIMER, ROTATION_DO_VERIFY)->role, ROTATION_MAIN);
    give(ROTATION_EV_VERIFY_ACCEPTED);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_RETIRING);
    give(ROTATION_EV_COMMITTED);
    assert_int_equal(expect(ROTATION_EV_TIMER, ROTATION_DO_DELETE)->role, ROTATION_BACKUP);
    give_event((struct rotation_event){.type = ROTATION_EV_DELETE_RETRY, .maybe_sent = true});
    now += ROTATION_RETIRE_PROOF_AGE;
    expect(ROTATION_EV_TIMER, ROTATION_DO_DELETE);
    give(ROTATION_EV_DELETE_RETRY);
    now++; /* a microsecond over five minutes: each deletion wants its own proof */
    expect(ROTATION_EV_TIMER, ROTATION_DO_VERIFY);
    give(ROTATION_EV_VERIFY_ACCEPTED);
    expect(ROTATION_EV_TIMER, ROTATION_DO_DELETE);
    expect_commit(ROTATION_EV_DELETE_OK, ROTATION_CHANGE_FORGET_BACKUP, ROTATION_IDLE);
    give(ROTATION_EV_COMMITTED);
    assert_true(r.d.has_main && r.d.main_id && !r.d.has_backup);
}

static void test_retired_at_once_by_the_swaps_own_proof(void **state)
{
    begin((struct rotation_policy){.out_of_band = true});
    r.d.main_id = true;
    give_event((struct rotation_event){.type = ROTATION_EV_ROTATE, .compromised = true});
    give(ROTATION_EV_COMMITTED);
    give(ROTATION_EV_TIMER);
    give(ROTATION_EV_COMMITTED);
    give(ROTATION_EV_OFFER_OK);
    give(ROTATION_EV_COMMITTED);
    give(ROTATION_EV_PROBE_ACCEPTED);
    give(ROTATION_EV_COMMITTED);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_RETIRING);
    give(ROTATION_EV_COMMITTED);
    expect(ROTATION_EV_TIMER, ROTATION_DO_DELETE);
}

static void test_replaces(void **state)
{
    begin((struct rotation_policy){.replaces = true});
    rotate();
    now += 24 * USEC_PER_HOUR;
    expect(ROTATION_EV_TIMER, ROTATION_DO_VERIFY);
    give(ROTATION_EV_VERIFY_ACCEPTED);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_FORGET_BACKUP, ROTATION_IDLE);
}

static void test_manual(void **state)
{
    begin((struct rotation_policy){.manual = true});
    give_event((struct rotation_event){.type = ROTATION_EV_ROTATE, .scheduled = true});
    assert_int_equal(find(ROTATION_DO_REPLY)->reply, -EPERM);
    give(ROTATION_EV_ROTATE);
    give(ROTATION_EV_COMMITTED);
    give(ROTATION_EV_TIMER);
    assert_int_equal(out.n, 0);
    expect_commit(ROTATION_EV_EXPORT, ROTATION_CHANGE_STATE, ROTATION_OFFERED);
    assert_int_equal(expect(ROTATION_EV_COMMITTED, ROTATION_DO_REPLY)->reply, 0);
    assert_true(find(ROTATION_DO_TIMER)->when == NOW + USEC_PER_HOUR);
    expect(ROTATION_EV_CONNECT, ROTATION_DO_TIMER);
    expect(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
    assert_true(expect(ROTATION_EV_PROBE_REFUSED, ROTATION_DO_TIMER)->when == NOW + USEC_PER_HOUR);
    expect(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
    expect_commit(ROTATION_EV_PROBE_ACCEPTED, ROTATION_CHANGE_SWAP, ROTATION_SWAPPED);
    give(ROTATION_EV_COMMITTED);
    now += 48 * USEC_PER_HOUR;
    give(ROTATION_EV_TIMER);
    assert_null(find(ROTATION_DO_COMMIT));
    assert_null(find(ROTATION_DO_VERIFY));
    assert_int_equal(expect(ROTATION_EV_ROTATE, ROTATION_DO_REPLY)->reply, -EBUSY);
    give(ROTATION_EV_FORGET_BACKUP);
    give(ROTATION_EV_COMMITTED);
    expect(ROTATION_EV_TIMER, ROTATION_DO_VERIFY);
    give(ROTATION_EV_VERIFY_ACCEPTED);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_FORGET_BACKUP, ROTATION_IDLE);
}

/* Five refused probes, each of two answered handshakes, and an hour between first and last; and main just passed. */
static void test_abandons_after_five_refused_probes_and_an_hour(void **state)
{
    begin((struct rotation_policy){0});
    rotation_restore(&r, &(struct rotation_durable){
                             .state = ROTATION_PROBING, .has_main = true, .has_backup = true, .backup_id = true});
    give(ROTATION_EV_RESTART);
    for (unsigned i = 0; i < 2 * ROTATION_REFUSED_PROBES; i++) {
        expect(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
        assert_true(expect(ROTATION_EV_PROBE_REFUSED, ROTATION_DO_TIMER)->jitter);
    }
    expect(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
    give(ROTATION_EV_PROBE_UNREACHABLE);
    now += USEC_PER_HOUR;
    expect(ROTATION_EV_TIMER, ROTATION_DO_VERIFY);
    give(ROTATION_EV_VERIFY_ACCEPTED);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_ABANDONING);
    give(ROTATION_EV_COMMITTED);
    expect(ROTATION_EV_TIMER, ROTATION_DO_DELETE);
    give(ROTATION_EV_DELETE_OK);
    assert_string_equal(expect(ROTATION_EV_COMMITTED, ROTATION_DO_FINISHED)->text,
                        "the cloud took the new key but does not accept it");
    assert_int_equal(find(ROTATION_DO_FINISHED)->outcome, ROTATION_ABANDONED);
}

static void test_unreachable_counts_nothing(void **state)
{
    begin((struct rotation_policy){0});
    rotate();
    give(ROTATION_EV_MAIN_REFUSED);
    give(ROTATION_EV_TIMER);
    assert_null(find(ROTATION_DO_PROBE));
    give(ROTATION_EV_MAIN_UNREACHABLE);
    give(ROTATION_EV_TIMER);
    assert_null(find(ROTATION_DO_PROBE));
    give(ROTATION_EV_MAIN_REFUSED);
    expect(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
}

static void refuse_main(void)
{
    give(ROTATION_EV_MAIN_REFUSED);
    give(ROTATION_EV_MAIN_REFUSED);
}

static void test_one_fallback_in_ten_minutes(void **state)
{
    begin((struct rotation_policy){0});
    rotate();
    refuse_main();
    expect(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
    expect_commit(ROTATION_EV_PROBE_ACCEPTED, ROTATION_CHANGE_SWAP, ROTATION_OFFERED);
    give(ROTATION_EV_COMMITTED);
    expect(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
    expect_commit(ROTATION_EV_PROBE_ACCEPTED, ROTATION_CHANGE_SWAP, ROTATION_SWAPPED);
    give(ROTATION_EV_COMMITTED);
    refuse_main();
    assert_true(expect(ROTATION_EV_TIMER, ROTATION_DO_TIMER)->when == NOW + ROTATION_FALLBACK_INTERVAL);
    now += ROTATION_FALLBACK_INTERVAL;
    expect(ROTATION_EV_TIMER, ROTATION_DO_PROBE);
}

/* Texts that an operator reads, who is in a dead end: what he is to type. */
static void test_mistyped_keys_are_no_dead_end(void **state)
{
    begin((struct rotation_policy){.manual = true});
    refuse_main();
    assert_non_null(strstr(expect(ROTATION_EV_SET_MAIN, ROTATION_DO_REPLY)->text, "--force"));
    assert_non_null(strstr(expect(ROTATION_EV_FORGET_MAIN, ROTATION_DO_REPLY)->text, "main --force"));
    expect_commit(ROTATION_EV_SET_BACKUP, ROTATION_CHANGE_SET_BACKUP, ROTATION_OFFERED);
    give(ROTATION_EV_COMMITTED);
    assert_non_null(strstr(expect(ROTATION_EV_SET_BACKUP, ROTATION_DO_REPLY)->text, "--force"));
    assert_int_equal(find(ROTATION_DO_REPLY)->reply, -EBUSY);
    assert_non_null(strstr(expect(ROTATION_EV_FORGET_BACKUP, ROTATION_DO_REPLY)->text, "--force"));
    assert_int_equal(find(ROTATION_DO_REPLY)->reply, -EBUSY);
    give_event((struct rotation_event){.type = ROTATION_EV_SET_MAIN, .confirmed = true});
    assert_int_equal(find(ROTATION_DO_COMMIT)->change, ROTATION_CHANGE_SET_MAIN);
    assert_int_equal(expect(ROTATION_EV_COMMITTED, ROTATION_DO_REPLY)->reply, 0);
    give(ROTATION_EV_MAIN_ACCEPTED);
    /* the wrong one beside it goes as any that was given up, and not an hour later */
    give(ROTATION_EV_FORGET_BACKUP);
    give(ROTATION_EV_COMMITTED);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_ABANDONING);
}

/* A key that the agent may have told the cloud is let go only where the cloud has refused both. */
static void test_insisting_takes_the_clouds_word(void **state)
{
    const struct rotation_event insists = {.type = ROTATION_EV_FORGET_BACKUP, .confirmed = true};

    begin((struct rotation_policy){0});
    refuse_main();
    expect_commit(ROTATION_EV_SET_BACKUP, ROTATION_CHANGE_SET_BACKUP, ROTATION_OFFERED);
    give(ROTATION_EV_COMMITTED);
    for (unsigned i = 0; i < 2; i++) {
        give_event(insists);
        assert_int_equal(find(ROTATION_DO_REPLY)->reply, -EAGAIN);
        while (give(ROTATION_EV_TIMER), !find(ROTATION_DO_PROBE))
            give(ROTATION_EV_COMMITTED), give(ROTATION_EV_OFFER_RETRY);
        give(ROTATION_EV_PROBE_REFUSED);
    }
    give_event(insists);
    assert_int_equal(find(ROTATION_DO_COMMIT)->change, ROTATION_CHANGE_FORGET_BACKUP);
    assert_int_equal(expect(ROTATION_EV_COMMITTED, ROTATION_DO_FINISHED)->outcome, ROTATION_ABANDONED);
    assert_int_equal(r.d.state, ROTATION_IDLE);
}

static void test_rejection_is_believed_once_settled(void **state)
{
    begin((struct rotation_policy){0});
    give(ROTATION_EV_ROTATE);
    give(ROTATION_EV_COMMITTED);
    give(ROTATION_EV_TIMER);
    give(ROTATION_EV_COMMITTED);
    give_event((struct rotation_event){.type = ROTATION_EV_OFFER_RETRY, .maybe_sent = true});
    expect(ROTATION_EV_TIMER, ROTATION_DO_PROBE); /* perhaps it took */
    give(ROTATION_EV_PROBE_REFUSED);
    expect_offer();
    assert_int_equal(expect(ROTATION_EV_OFFER_CONFLICT, ROTATION_DO_REPORT)->report, ROTATION_REPORT_CONFLICT);
    now += ROTATION_REQUEST_LIFETIME - 1;
    give(ROTATION_EV_TIMER);
    give(ROTATION_EV_PROBE_REFUSED);
    now++;
    expect_offer();
    give(ROTATION_EV_OFFER_CONFLICT);
    expect(ROTATION_EV_TIMER, ROTATION_DO_VERIFY);
    give(ROTATION_EV_VERIFY_ACCEPTED);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_ABANDONING);
    give(ROTATION_EV_COMMITTED);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_FORGET_BACKUP, ROTATION_IDLE);
    give(ROTATION_EV_COMMITTED);
    assert_true(r.d.conflict); /* a person must look before the schedule begins another */
    give_event((struct rotation_event){.type = ROTATION_EV_ROTATE, .scheduled = true});
    assert_int_equal(find(ROTATION_DO_REPLY)->reply, -EPERM);
    expect_commit(ROTATION_EV_ROTATE, ROTATION_CHANGE_STAGE, ROTATION_STAGED);
}

static void test_failed_commit_sends_nothing(void **state)
{
    begin((struct rotation_policy){0});
    give(ROTATION_EV_ROTATE);
    assert_int_equal(expect(ROTATION_EV_COMMIT_FAILED, ROTATION_DO_REPLY)->reply, -EIO);
    assert_int_equal(r.d.state, ROTATION_IDLE);
    give(ROTATION_EV_ROTATE);
    assert_int_equal(give(ROTATION_EV_TIMER), -EBUSY);
    give(ROTATION_EV_COMMITTED);
    give(ROTATION_EV_TIMER);
    give(ROTATION_EV_COMMIT_FAILED);
    assert_int_equal(out.n, 1);
    assert_true(find(ROTATION_DO_TIMER)->when > NOW);
    assert_int_equal(give(ROTATION_EV_OFFER_OK), -EBUSY);
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_OFFERED);
}

static void test_every_act_is_answered_in_every_state(void **state)
{
    for (unsigned s = 0; s < ROTATION_STATES; s++)
        for (enum rotation_event_type t = ROTATION_EV_ROTATE; t < ROTATION_EVENTS; t++)
            for (uint32_t facts = 0; facts < 1u << ROTATION_FACTS; facts = (facts << 1) + 1) {
                const struct rotation_row *row = rotation_table_find(s, t, facts);

                assert_non_null(row);
                assert_true(row->send & SEND_REPLY);
                assert_non_null(row->text);
            }
}

static void test_every_row_can_be_reached(void **state)
{
    for (size_t i = 0; i < rotation_table_rows; i++) {
        const struct rotation_row *row = &rotation_table[i];

        /* An earlier row for the same states and event that asks for less would hide this one. */
        for (size_t k = 0; k < i; k++) {
            const struct rotation_row *before = &rotation_table[k];
            bool hides = before->event == row->event && (before->states & row->states) == row->states &&
                         (before->with & ~row->with) == 0 && (before->without & ~row->without) == 0;

            if (hides)
                fail_msg("row %zu is hidden by row %zu", i, k);
        }
        assert_int_equal(row->with & row->without, 0);
    }
}

static void test_age_is_written_down_when_the_clock_is(void **state)
{
    begin((struct rotation_policy){0});
    r.d.main_since = (struct stamp){.boottime = NOW - USEC_PER_HOUR};
    give(ROTATION_EV_TIMER);
    assert_int_equal(out.n, 0);
    realtime = 50 * 365 * USEC_PER_DAY;
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_IDLE);
    give(ROTATION_EV_COMMITTED);
    assert_true(r.d.main_since.realtime == realtime - USEC_PER_HOUR);
    give(ROTATION_EV_TIMER);
    assert_int_equal(out.n, 0);
}

/* Of another boot, without a clock: it may be from before whatever began since. */
static void test_an_age_that_is_lost_is_counted_from_here_but_assumed(void **state)
{
    begin((struct rotation_policy){0});
    r.d.main_since = (struct stamp){.boot = {9}, .boottime = NOW - USEC_PER_HOUR};
    realtime = 50 * 365 * USEC_PER_DAY;
    expect_commit(ROTATION_EV_TIMER, ROTATION_CHANGE_STATE, ROTATION_IDLE);
    give(ROTATION_EV_COMMITTED);
    assert_true(r.d.main_since.realtime == realtime && stamp_is_assumed(&r.d.main_since));
    give(ROTATION_EV_TIMER);
    assert_int_equal(out.n, 0);
}

static void test_blob(void **state)
{
    const struct rotation_durable d = {
        .state = ROTATION_SWAPPED,
        .has_main = true,
        .has_backup = true,
        .backup_id = true,
        .wanted = true,
        .unsettled = true,
        .entered = {.boot = {1, 2, 3}, .boottime = 0x0102030405060708, .realtime = 7},
        .main_since = {.boot = {9}, .boottime = 11, .realtime = UINT64_MAX},
    };
    uint8_t blob[ROTATION_BLOB_MAX];
    struct rotation_durable back = {.state = ROTATION_STAGED}, untouched = back;
    ssize_t n = rotation_encode(&d, blob, sizeof(blob));

    assert_in_range(n, 1, ROTATION_BLOB_MAX);
    assert_int_equal(rotation_decode(blob, (size_t)n, &back), 0);
    assert_memory_equal(&back, &d, sizeof(d));
    back = untouched;
    assert_int_equal(rotation_encode(&d, blob, (size_t)n - 1), -ENOBUFS);
    for (size_t k = 0; k < (size_t)n; k++)
        assert_int_equal(rotation_decode(blob, k, &back), -EINVAL);
    assert_int_equal(rotation_decode(blob, (size_t)n + 1, &back), -EINVAL);
    blob[0] = 3;
    assert_int_equal(rotation_decode(blob, (size_t)n, &back), -EPROTONOSUPPORT);
    blob[0] = 1;
    blob[1] = ROTATION_STATES;
    assert_int_equal(rotation_decode(blob, (size_t)n, &back), -EINVAL);
    blob[1] = ROTATION_IDLE; /* idle, with a backup */
    assert_int_equal(rotation_decode(blob, (size_t)n, &back), -EINVAL);
    assert_memory_equal(&back, &untouched, sizeof(back));
}

static void test_table_prints(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    rotation_print_table(f);
    fclose(f);
    assert_non_null(strstr(text, "\nretiring\n"));
    assert_non_null(strstr(text, "  delete-ok if backup set: COMMIT backup forgotten -> idle -retire-now; look again"));
    assert_null(strstr(text, "(null)"));
    free(text);
}

/* ── Acts again and again ── */

static void answer_at_once(uint64_t *timer, unsigned *requests)
{
    static const struct {
        enum rotation_action_type request;
        enum rotation_event_type answer;
    } answers[] = {{ROTATION_DO_OFFER, ROTATION_EV_OFFER_RETRY}, {ROTATION_DO_PROBE, ROTATION_EV_PROBE_REFUSED}};

    for (bool more = true; more;) {
        more = false;
        if (find(ROTATION_DO_TIMER))
            *timer = find(ROTATION_DO_TIMER)->when;
        if (find(ROTATION_DO_COMMIT)) {
            give(ROTATION_EV_COMMITTED);
            more = true;
            continue;
        }
        for (size_t i = 0; i < ELEMENTSOF(answers) && !more; i++) {
            if (!find(answers[i].request))
                continue;
            ++*requests;
            give(answers[i].answer);
            more = true;
        }
    }
}

/* Requests that are made within a minute while that is asked 100 times a second, or with 0 never. */
static unsigned requests_of_a_minute(enum rotation_event_type act, bool hammered)
{
    unsigned requests = 0, ignored = 0;
    uint64_t timer = 0, end;

    begin((struct rotation_policy){.out_of_band = true});
    policy.looks = false;
    give(ROTATION_EV_ROTATE);
    answer_at_once(&timer, &ignored);
    give(ROTATION_EV_TIMER);
    answer_at_once(&timer, &ignored);
    refuse_main();
    answer_at_once(&timer, &ignored);
    for (end = now + USEC_PER_MINUTE; now < end; now += 10 * USEC_PER_MSEC) {
        if (hammered) {
            give_event((struct rotation_event){.type = act, .confirmed = true});
            answer_at_once(&timer, &requests);
        }
        if (timer == 0 || timer > now)
            continue;
        timer = 0;
        give(ROTATION_EV_TIMER);
        answer_at_once(&timer, &requests);
    }
    return requests;
}

static void test_hammering(void **state)
{
    static const enum rotation_event_type acts[] = {ROTATION_EV_PROMOTE, ROTATION_EV_CONNECT};
    unsigned alone = requests_of_a_minute(ROTATION_EV_CONNECT, false);

    assert_in_range(alone, 2, 10);
    for (size_t i = 0; i < ELEMENTSOF(acts); i++)
        assert_in_range(requests_of_a_minute(acts[i], true), alone, 2 * 60 / 2);
}

/* Told to come again, the operator does so 100 times a second; and is told by then that it may be forgotten. */
static void test_hammered_forget(void **state)
{
    unsigned requests = 0, asked = 0;
    uint64_t timer = 0;

    begin((struct rotation_policy){.out_of_band = true});
    give_event((struct rotation_event){.type = ROTATION_EV_SET_BACKUP});
    answer_at_once(&timer, &requests);
    refuse_main();
    for (requests = 0; asked < 6000 && r.d.has_backup; asked++, now += 10 * USEC_PER_MSEC) {
        give_event((struct rotation_event){.type = ROTATION_EV_FORGET_BACKUP, .confirmed = true});
        answer_at_once(&timer, &requests);
        if (timer == 0 || timer > now)
            continue;
        timer = 0;
        give(ROTATION_EV_TIMER);
        answer_at_once(&timer, &requests);
    }
    assert_false(r.d.has_backup);
    assert_in_range(requests, 2, 10);
}

/* Asked for twice it is written down once. */
static void test_written_once(void **state)
{
    begin((struct rotation_policy){.out_of_band = true});
    give(ROTATION_EV_ROTATE);
    give(ROTATION_EV_COMMITTED);
    give_event((struct rotation_event){.type = ROTATION_EV_ROTATE, .compromised = true});
    assert_non_null(find(ROTATION_DO_COMMIT));
    give(ROTATION_EV_COMMITTED);
    give_event((struct rotation_event){.type = ROTATION_EV_ROTATE, .compromised = true});
    assert_null(find(ROTATION_DO_COMMIT));
    assert_int_equal(find(ROTATION_DO_REPLY)->reply, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hammering),
        cmocka_unit_test(test_hammered_forget),
        cmocka_unit_test(test_written_once),
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_retired_at_once_by_the_swaps_own_proof),
        cmocka_unit_test(test_replaces),
        cmocka_unit_test(test_manual),
        cmocka_unit_test(test_abandons_after_five_refused_probes_and_an_hour),
        cmocka_unit_test(test_unreachable_counts_nothing),
        cmocka_unit_test(test_one_fallback_in_ten_minutes),
        cmocka_unit_test(test_mistyped_keys_are_no_dead_end),
        cmocka_unit_test(test_insisting_takes_the_clouds_word),
        cmocka_unit_test(test_rejection_is_believed_once_settled),
        cmocka_unit_test(test_failed_commit_sends_nothing),
        cmocka_unit_test(test_every_act_is_answered_in_every_state),
        cmocka_unit_test(test_every_row_can_be_reached),
        cmocka_unit_test(test_age_is_written_down_when_the_clock_is),
        cmocka_unit_test(test_an_age_that_is_lost_is_counted_from_here_but_assumed),
        cmocka_unit_test(test_blob),
        cmocka_unit_test(test_table_prints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
