/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The carrier between its machine and a scripted device layer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/strbuf.h"
#include "rotation/carrier.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

struct fake {
    struct rotation_carrier *c;
    struct strbuf said; /* what the ops were asked, a word each */
    uint64_t now, when;
    int commit_fails, offer_fails;
    bool probe_at_once; /* the probe is answered from within the op */
    uint8_t blob[ROTATION_BLOB_MAX];
    size_t blob_size;
};

static void say(struct fake *f, const char *word)
{
    strbuf_printf(&f->said, "%s%s", f->said.length ? " " : "", word);
}

static void event(struct fake *f, enum rotation_event_type type)
{
    assert_int_equal(rotation_carrier_event(f->c, &(struct rotation_event){.type = type}), 0);
}

static void op_now(void *userdata, struct stamp *ret)
{
    *ret = (struct stamp){.boottime = ((struct fake *)userdata)->now};
}

static uint64_t op_random(void *userdata)
{
    return UINT64_MAX;
}

static int op_commit(void *userdata, const struct rotation_commit *commit)
{
    struct fake *f = userdata;

    strbuf_printf(&f->said, "%scommit-%d%s%s", f->said.length ? " " : "", commit->change, commit->cloud_id ? ":" : "",
                  commit->cloud_id ? commit->cloud_id : "");
    if (f->commit_fails)
        return f->commit_fails;
    f->blob_size = commit->blob_size;
    memcpy(f->blob, commit->blob, commit->blob_size);
    return 0;
}

static int op_offer(void *userdata)
{
    say(userdata, "offer");
    return ((struct fake *)userdata)->offer_fails;
}

static int op_find(void *userdata, enum rotation_role role)
{
    say(userdata, "find");
    return 0;
}

static int op_probe(void *userdata)
{
    struct fake *f = userdata;

    say(f, "probe");
    if (f->probe_at_once)
        event(f, ROTATION_EV_PROBE_ACCEPTED);
    return 0;
}

static int op_verify(void *userdata)
{
    say(userdata, "verify");
    return 0;
}

static int op_delete(void *userdata, enum rotation_role role)
{
    say(userdata, "delete");
    return 0;
}

static void op_close_old(void *userdata)
{
    say(userdata, "close-old");
}

static void op_drop_probe(void *userdata)
{
    say(userdata, "drop-probe");
}

static void op_set_timer(void *userdata, uint64_t when)
{
    ((struct fake *)userdata)->when = when;
}

static void op_moved(void *userdata, enum rotation_move move, const char *reason)
{
    say(userdata, move == ROTATION_FELL_BACK ? "fell-back" : "forward");
}

static void op_finished(void *userdata, enum rotation_outcome outcome, const char *reason)
{
    say(userdata, rotation_outcome_name(outcome));
}

static void op_report(void *userdata, enum rotation_report report, const char *reason)
{
    say(userdata, "report");
}

static void op_reply(void *userdata, enum rotation_event_type act, int r, const char *reason)
{
    struct fake *f = userdata;

    strbuf_printf(&f->said, "%s%s=%d", f->said.length ? " " : "", rotation_event_name(act), r);
}

static const struct rotation_ops ops = {
    .random = op_random,
    .now = op_now,
    .commit = op_commit,
    .offer = op_offer,
    .find = op_find,
    .probe = op_probe,
    .verify = op_verify,
    .delete = op_delete,
    .close_old = op_close_old,
    .drop_probe = op_drop_probe,
    .set_timer = op_set_timer,
    .finished = op_finished,
    .moved = op_moved,
    .report = op_report,
    .reply = op_reply,
};
static const struct rotation_policy policy = {.retire_after = USEC_PER_DAY};

static void fake_init(struct fake *f)
{
    *f = (struct fake){.now = 1000 * USEC_PER_HOUR};
    assert_int_equal(rotation_carrier_new(&ops, f, &policy, NULL, 0, true, false, &f->c), 0);
    rotation_carrier_start(f->c);
}

static void fake_done(struct fake *f)
{
    f->c = rotation_carrier_free(f->c);
    strbuf_done(&f->said);
}

static void expect(struct fake *f, const char *words)
{
    assert_string_equal(f->said.length ? f->said.text : "", words);
    strbuf_done(&f->said);
}

static void test_rotates(void **state)
{
    struct fake f;

    fake_init(&f);
    event(&f, ROTATION_EV_ROTATE);
    expect(&f, "commit-2");
    rotation_carrier_committed(f.c, 0);
    expect(&f, "rotate=0");
    event(&f, ROTATION_EV_TIMER);
    rotation_carrier_committed(f.c, 0);
    expect(&f, "commit-1 offer");
    assert_string_equal(rotation_carrier_state(f.c), "offered");
    f.probe_at_once = true;
    rotation_carrier_event(f.c, &(struct rotation_event){.type = ROTATION_EV_OFFER_OK, .cloud_id = "a7"});
    rotation_carrier_committed(f.c, 0);
    expect(&f, "commit-5:a7 probe commit-6");
    rotation_carrier_committed(f.c, 0);
    expect(&f, "close-old done");
    assert_true(rotation_carrier_machine(f.c)->d.backup_id == false);
    assert_true(rotation_carrier_machine(f.c)->d.main_id);
    fake_done(&f);
}

/* Events that come during a commit wait; each act is answered in its turn. */
static void test_waits_for_the_commit(void **state)
{
    struct fake f;

    fake_init(&f);
    event(&f, ROTATION_EV_ROTATE);
    event(&f, ROTATION_EV_CONNECT);
    event(&f, ROTATION_EV_SET_MAIN);
    event(&f, ROTATION_EV_TIMER);
    event(&f, ROTATION_EV_TIMER);
    expect(&f, "commit-2");
    rotation_carrier_committed(f.c, 0);
    expect(&f, "rotate=0 connect=0 set-main=-16 commit-1");
    for (int i = 0; i < 16; i++)
        event(&f, ROTATION_EV_CONNECT);
    assert_int_equal(rotation_carrier_event(f.c, &(struct rotation_event){.type = ROTATION_EV_CONNECT}), -EBUSY);
    event(&f, ROTATION_EV_MAIN_REFUSED);
    fake_done(&f);
}

static void test_what_cannot_begin(void **state)
{
    struct fake f;

    fake_init(&f);
    f.commit_fails = -ENOSPC;
    event(&f, ROTATION_EV_ROTATE);
    expect(&f, "commit-2 rotate=-5");
    assert_string_equal(rotation_carrier_state(f.c), "idle");
    f.commit_fails = 0;
    event(&f, ROTATION_EV_ROTATE);
    rotation_carrier_committed(f.c, 0);
    event(&f, ROTATION_EV_TIMER);
    f.offer_fails = -ENOTCONN;
    rotation_carrier_committed(f.c, 0);
    expect(&f, "commit-2 rotate=0 commit-1 offer");
    assert_in_range(f.when - f.now, ROTATION_RETRY_MIN / 2, ROTATION_RETRY_MIN);
    assert_true(rotation_carrier_machine(f.c)->unsettled_until == 0); /* not a byte left */
    fake_done(&f);
}

static void test_probe_not_needed_is_dropped(void **state)
{
    struct fake f;

    fake_init(&f);
    event(&f, ROTATION_EV_ROTATE);
    rotation_carrier_committed(f.c, 0);
    event(&f, ROTATION_EV_TIMER);
    rotation_carrier_committed(f.c, 0);
    event(&f, ROTATION_EV_OFFER_OK);
    rotation_carrier_committed(f.c, 0);
    strbuf_done(&f.said);
    event(&f, ROTATION_EV_PROBE_ACCEPTED);
    rotation_carrier_committed(f.c, -ENOSPC);
    expect(&f, "commit-6 drop-probe");
    assert_string_equal(rotation_carrier_state(f.c), "probing");
    fake_done(&f);
}

static void test_restarts_from_the_blob(void **state)
{
    struct fake f, g = {.now = 5};

    fake_init(&f);
    event(&f, ROTATION_EV_ROTATE);
    rotation_carrier_committed(f.c, 0);
    event(&f, ROTATION_EV_TIMER);
    assert_int_equal(rotation_carrier_new(&ops, &g, &policy, f.blob, f.blob_size, true, true, &g.c), 0);
    rotation_carrier_start(g.c);
    assert_true(g.when <= g.now);
    event(&g, ROTATION_EV_TIMER);
    expect(&g, "commit-1"); /* the same key, which may have been offered: that it is once more */
    rotation_carrier_committed(g.c, 0);
    expect(&g, "offer");
    fake_done(&g);
    assert_int_equal(rotation_carrier_new(&ops, &g, &policy, f.blob, f.blob_size, true, false, &g.c), -EBADMSG);
    assert_int_equal(rotation_carrier_new(&ops, &g, &policy, NULL, 0, true, true, &g.c), -EBADMSG);
    f.blob[0] = 99;
    assert_int_equal(rotation_carrier_new(&ops, &g, &policy, f.blob, f.blob_size, true, true, &g.c), -EPROTONOSUPPORT);
    assert_null(g.c);
    fake_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotates),
        cmocka_unit_test(test_waits_for_the_commit),
        cmocka_unit_test(test_what_cannot_begin),
        cmocka_unit_test(test_probe_not_needed_is_dropped),
        cmocka_unit_test(test_restarts_from_the_blob),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
