/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rekeying: every key is still there under the new keyfile, none opens under the old one, and a cut at any step between
 * leaves a vault that opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define DEVICES 40

static void next_path(const struct scratch *s, char path[128])
{
    snprintf(path, 128, "%s.next", s->keyfile);
}

/* A new keyfile where a rekey puts it. */
static struct secret *write_next(struct scratch *s, unsigned number)
{
    struct secret *key = scratch_key(s, number, KEYFILE_SIZE);
    char path[128];

    next_path(s, path);
    scratch_write(path, key->bytes, key->size, 0400);
    return key;
}

struct outcome {
    int r;
    bool ended;
};

static void on_done(int r, const struct error *e, void *userdata)
{
    struct outcome *outcome = userdata;

    outcome->r = r;
    outcome->ended = true;
}

static int begin(struct scratch *s, struct secret *keyfile, struct outcome *outcome)
{
    struct error e = {0};
    int r = vault_rekey(s->vault, keyfile, on_done, outcome, &e);

    if (r < 0)
        fail_msg("%s", e.text);
    return r;
}

static void rekey(struct scratch *s, unsigned number)
{
    struct outcome outcome = {0};

    assert_int_equal(begin(s, write_next(s, number), &outcome), 0);
    assert_false(outcome.ended);
    assert_int_equal(vault_flush(s->vault), 0);
    assert_true(outcome.ended);
    assert_int_equal(outcome.r, 0);
}

static void fill(struct scratch *s)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        char device[16], identity[24];

        snprintf(device, sizeof(device), "d%u", i);
        snprintf(identity, sizeof(identity), "%s-1", device);
        assert_int_equal(scratch_put(s, device, VAULT_MAIN, identity, 2 * i, NULL), 0);
        snprintf(identity, sizeof(identity), "%s-2", device);
        if (i % 2)
            assert_int_equal(scratch_put(s, device, VAULT_BACKUP, identity, 2 * i + 1, NULL), 0);
    }
}

static void expect_all(struct scratch *s)
{
    assert_int_equal(vault_verify_sync(s->vault, &(struct vault_verify_handler){0}, NULL), 0);
    assert_int_equal(vault_entries(s->vault), DEVICES);
    for (unsigned i = 0; i < DEVICES; i++) {
        char device[16];

        snprintf(device, sizeof(device), "d%u", i);
        scratch_expect_key(s, device, VAULT_MAIN, 2 * i);
        if (i % 2)
            scratch_expect_key(s, device, VAULT_BACKUP, 2 * i + 1);
    }
}

/* The step that the tool does last. */
static void take_place(const struct scratch *s)
{
    char path[128];

    next_path(s, path);
    assert_int_equal(rename(path, s->keyfile), 0);
}

static void test_everything_is_carried_over(void **state)
{
    struct scratch *s = *state;
    char fingerprint[FINGERPRINT_TEXT_SIZE], opaque[OPAQUE_ID_SIZE], again[OPAQUE_ID_SIZE];
    struct error e = {0};

    fill(s);
    strcpy(fingerprint, vault_credential(vault_find(s->vault, "d3", "cloud"), VAULT_MAIN)->fingerprint);
    assert_int_equal(vault_opaque_id(s->vault, "d3", opaque), 0);
    rekey(s, 1000);
    expect_all(s);
    take_place(s);
    scratch_reopen(s);
    assert_false(vault_opened_with_next(s->vault));
    expect_all(s);
    assert_string_equal(fingerprint, vault_credential(vault_find(s->vault, "d3", "cloud"), VAULT_MAIN)->fingerprint);
    assert_int_equal(vault_opaque_id(s->vault, "d3", again), 0);
    assert_string_equal(opaque, again);
    /* A key that is in use is still known as such. */
    assert_int_equal(scratch_put(s, "other", VAULT_MAIN, "other-1", 6, &e), -EEXIST);
    assert_non_null(strstr(e.text, "d3"));
}

/* A row that nothing is in any more is a row all the same: what comes into it later must open. */
static void test_what_was_removed_can_be_written_again(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct vault_change *c;

    fill(s);
    c = vault_change_new(s->vault, VAULT_FLEET, VAULT_FLEET);
    vault_change_rotation(c, "abc", 3);
    assert_int_equal(vault_commit_sync(s->vault, c, &e), 0);
    c = vault_change_new(s->vault, VAULT_FLEET, VAULT_FLEET);
    vault_change_remove(c);
    assert_int_equal(vault_commit_sync(s->vault, c, &e), 0);
    rekey(s, 1000);
    assert_int_equal(vault_verify_sync(s->vault, &(struct vault_verify_handler){0}, NULL), 0);
    take_place(s);
    scratch_reopen(s);
    c = vault_change_new(s->vault, VAULT_FLEET, VAULT_FLEET);
    vault_change_rotation(c, "abc", 3);
    assert_int_equal(vault_commit_sync(s->vault, c, &e), 0);
}

static void test_old_keyfile_opens_nothing(void **state)
{
    struct scratch *s = *state;
    _cleanup_free_ char *old = NULL;
    struct error e = {0};
    size_t n;

    fill(s);
    assert_int_equal(file_read(AT_FDCWD, s->keyfile, 64, &old, &n, NULL), 0);
    rekey(s, 1000);
    take_place(s);
    s->vault = vault_free(s->vault);
    scratch_write(s->keyfile, old, n, 0400);
    assert_int_equal(scratch_open(s, &e), -EKEYREJECTED);
    assert_non_null(strstr(e.text, "another"));
}

/* Changes queued before, behind and across a rekey are all there; a key waits for its commit through it. */
static void test_among_changes(void **state)
{
    struct scratch *s = *state;
    struct vault_change *early = vault_change_new(s->vault, "early", "cloud"),
                        *across = vault_change_new(s->vault, "across", "cloud"), *late;
    struct outcome outcome = {0};

    fill(s);
    assert_int_equal(scratch_put_in(early, s, VAULT_MAIN, "early-1", 501, NULL), 0);
    assert_int_equal(scratch_put_in(across, s, VAULT_MAIN, "across-1", 502, NULL), 0);
    assert_int_equal(vault_commit(s->vault, early, NULL, NULL), 0);
    assert_int_equal(begin(s, write_next(s, 1000), &outcome), 0);
    late = vault_change_new(s->vault, "late", "cloud");
    assert_int_equal(scratch_put_in(late, s, VAULT_MAIN, "late-1", 503, NULL), 0);
    assert_int_equal(vault_commit(s->vault, late, NULL, NULL), 0);
    while (!outcome.ended)
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
    assert_int_equal(outcome.r, 0);
    assert_int_equal(vault_commit_sync(s->vault, across, NULL), 0);
    take_place(s);
    scratch_reopen(s);
    scratch_expect_key(s, "early", VAULT_MAIN, 501);
    scratch_expect_key(s, "across", VAULT_MAIN, 502);
    scratch_expect_key(s, "late", VAULT_MAIN, 503);
}

/* Quarantine neither stops a rekey nor ends by it. */
static void test_quarantine_stays(void **state)
{
    struct scratch *s = *state;
    sqlite3 *db;

    fill(s);
    s->vault = vault_free(s->vault);
    assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE record SET record = (SELECT record FROM record WHERE device = 'd1')"
                                  " WHERE device = 'd0'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(scratch_open(s, NULL), 0);
    assert_non_null(vault_quarantine(vault_find(s->vault, "d0", "cloud")));
    rekey(s, 1000);
    take_place(s);
    scratch_reopen(s);
    assert_non_null(vault_quarantine(vault_find(s->vault, "d0", "cloud")));
    scratch_expect_key(s, "d1", VAULT_MAIN, 2);
}

static void test_refused(void **state)
{
    struct scratch *s = *state;
    struct secret *key = scratch_key(s, 1000, 31);
    struct outcome outcome = {0};
    struct error e = {0};

    assert_int_equal(vault_rekey(s->vault, key, NULL, NULL, &e), -EINVAL);
    key = scratch_key(s, 1000, KEYFILE_SIZE);
    memset(key->bytes, 'x', key->size);
    assert_int_equal(vault_rekey(s->vault, key, NULL, NULL, &e), -EKEYREJECTED);
    assert_int_equal(begin(s, scratch_key(s, 1000, KEYFILE_SIZE), &outcome), 0);
    assert_int_equal(vault_rekey(s->vault, scratch_key(s, 1001, KEYFILE_SIZE), NULL, NULL, &e), -EBUSY);
    assert_int_equal(vault_verify(s->vault, &(struct vault_verify_handler){0}, NULL), -EBUSY);
    assert_int_equal(vault_flush(s->vault), 0);
    assert_int_equal(outcome.r, 0);
    /* Once more with the same: it is done already. */
    assert_int_equal(begin(s, scratch_key(s, 1000, KEYFILE_SIZE), &outcome), 1);
}

/* The steps of a rekey in order, cut behind each: the vault opens with what then lies there, and holds everything. */
enum cut { CUT_NEXT_WRITTEN, CUT_COMMITTED, CUT_RENAMED, CUTS };

static void child_until(struct scratch *s, enum cut cut)
{
    struct outcome outcome = {0};
    struct secret *next;

    /* The file's locks are not inherited: the child opens it by itself. */
    if (sd_event_new(&s->event) < 0 || arena_new(&s->arena, NULL) < 0 || scratch_open(s, NULL) < 0)
        _exit(1);
    next = write_next(s, 1000);
    if (cut == CUT_NEXT_WRITTEN)
        raise(SIGKILL);
    if (vault_rekey(s->vault, next, on_done, &outcome, NULL) != 0 || vault_flush(s->vault) < 0 || outcome.r < 0)
        _exit(1);
    if (cut == CUT_COMMITTED)
        raise(SIGKILL); /* without closing: the log is left behind */
    take_place(s);
    raise(SIGKILL);
}

static void test_cut_at_every_step(void **state)
{
    struct scratch *s = *state;

    fill(s);
    for (enum cut cut = 0; cut < CUTS; cut++) {
        struct outcome outcome = {0};
        char path[128];
        pid_t child;
        int status;

        s->vault = vault_free(s->vault);
        child = fork();
        if (child == 0)
            child_until(s, cut);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(scratch_open(s, NULL), 0);
        assert_int_equal(vault_opened_with_next(s->vault), cut == CUT_COMMITTED);
        expect_all(s);
        /* Finishing it, from wherever it stands. */
        next_path(s, path);
        if (cut != CUT_RENAMED) {
            int r = begin(s, scratch_key(s, 1000, KEYFILE_SIZE), &outcome);

            assert_int_equal(r, cut == CUT_COMMITTED);
            assert_int_equal(vault_flush(s->vault), 0);
            take_place(s);
        }
        assert_int_equal(access(path, F_OK), -1);
        scratch_reopen(s);
        expect_all(s);
        /* Another one for the next cut. */
        rekey(s, 2000 + cut);
        take_place(s);
    }
}

/* The disk fills up in the middle: nothing has changed. */
static void test_failed_commit(void **state)
{
    struct scratch *s = *state;
    struct outcome outcome = {0};
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY}, before;

    fill(s);
    assert_int_equal(begin(s, write_next(s, 1000), &outcome), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(vault_flush(s->vault) < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(outcome.r < 0);
    expect_all(s);
    scratch_reopen(s);
    assert_false(vault_opened_with_next(s->vault));
    expect_all(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everything_is_carried_over, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_what_was_removed_can_be_written_again, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_old_keyfile_opens_nothing, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_among_changes, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_quarantine_stays, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_cut_at_every_step, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_failed_commit, scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
