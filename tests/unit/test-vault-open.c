/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening: what is refused is named and left as it is; what was committed survives a crash. */
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

static void expect_refused(struct scratch *s, int expected, const char *says)
{
    struct error e = {0};
    uint8_t before[32], after[32];
    int r;

    scratch_hash(s->path, before);
    r = scratch_open(s, &e);
    if (r != expected || !strstr(e.text, says))
        fail_msg("%d '%s', not %d '%s'", r, e.text, expected, says);
    assert_null(s->vault);
    scratch_hash(s->path, after);
    assert_memory_equal(before, after, sizeof(before));
}

static void test_made_and_found(void **state)
{
    struct scratch *s = *state;
    struct stat st;

    assert_int_equal(scratch_open(s, NULL), 0);
    assert_int_equal(stat(s->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(vault_entries(s->vault), 0);
    scratch_reopen(s);
    assert_null(vault_next(s->vault, NULL));
}

static void test_foreign_files(void **state)
{
    struct scratch *s = *state;
    uint8_t garbage[8192];
    sqlite3 *db;

    scratch_write(s->path, "", 0, 0600);
    expect_refused(s, -EMEDIUMTYPE, "empty");
    scratch_write(s->path, "not a vault\n", 12, 0600);
    expect_refused(s, -EMEDIUMTYPE, "not a vault");
    gnutls_rnd(GNUTLS_RND_RANDOM, garbage, sizeof(garbage));
    scratch_write(s->path, garbage, sizeof(garbage), 0600);
    expect_refused(s, -EMEDIUMTYPE, "not a vault");
    unlink(s->path);
    assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE moz_bookmarks (id)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    expect_refused(s, -EMEDIUMTYPE, "another program's");
    unlink(s->path);
    assert_int_equal(mkdir(s->path, 0700), 0);
    expect_refused(s, -EMEDIUMTYPE, "not a regular file");
}

/* Changes the closed vault as its file's owner could. */
static void tamper(struct scratch *s, const char *sql)
{
    sqlite3 *db;
    char *why = NULL;

    s->vault = vault_free(s->vault);
    assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_later_format(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(scratch_open(s, NULL), 0);
    tamper(s, "PRAGMA user_version = 2");
    expect_refused(s, -EPROTONOSUPPORT, "format 2");
}

static void test_truncated(void **state)
{
    struct scratch *s = *state;
    struct stat st;

    assert_int_equal(scratch_open(s, NULL), 0);
    for (unsigned i = 1; i <= 50; i++) {
        char device[16];

        snprintf(device, sizeof(device), "d%u", i);
        assert_int_equal(scratch_put(s, device, VAULT_MAIN, device, i, NULL), 0);
    }
    s->vault = vault_free(s->vault);
    assert_int_equal(stat(s->path, &st), 0);
    for (off_t size = st.st_size - 4096; size >= 4096; size -= 4096) {
        assert_int_equal(truncate(s->path, size), 0);
        expect_refused(s, -EBADMSG, "corrupt");
    }
    assert_int_equal(truncate(s->path, 50), 0);
    expect_refused(s, -EMEDIUMTYPE, "not a vault");
}

static void test_missing_parts(void **state)
{
    static const struct {
        const char *sql, *says;
    } cases[] = {
        {"DELETE FROM wrap", "its own keys are missing"},
        {"DROP TABLE vault", "its own keys are missing"},
        {"UPDATE subkey SET sealed = x'00' WHERE name = 'index'", "cut off"},
        {"UPDATE subkey SET sealed = (SELECT sealed FROM subkey WHERE name = 'identity') WHERE name = 'index'",
         "index, fingerprint or identity"},
        {"UPDATE wrap SET sealed = zeroblob(length(sealed))", "wrapped vault key is corrupt"},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct scratch *s = *state;

        unlink(s->path);
        assert_int_equal(scratch_open(s, NULL), 0);
        tamper(s, cases[i].sql);
        expect_refused(s, -EBADMSG, cases[i].says);
    }
}

static void test_log_without_file(void **state)
{
    struct scratch *s = *state;
    char wal[128];

    snprintf(wal, sizeof(wal), "%s-wal", s->path);
    scratch_write(wal, "something", 9, 0600);
    expect_refused(s, -EBADMSG, "its log");
    assert_int_equal(access(s->path, F_OK), -1);
}

static void test_wrong_keyfile_and_bind(void **state)
{
    struct scratch *s = *state;
    uint8_t other[KEYFILE_SIZE], *right = NULL;
    size_t n;

    s->options.bind = "serial 1";
    s->options.bind_size = 8;
    assert_int_equal(scratch_open(s, NULL), 0);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "id", 1, NULL), 0);
    s->vault = vault_free(s->vault);

    s->options.bind = "serial 2";
    expect_refused(s, -EKEYREJECTED, "the value of `bind` has changed");
    s->options.bind = NULL;
    expect_refused(s, -EKEYREJECTED, "bound");
    s->options.bind = "serial 1";
    assert_int_equal(file_read(AT_FDCWD, s->keyfile, 64, (char **)&right, &n, NULL), 0);
    gnutls_rnd(GNUTLS_RND_RANDOM, other, sizeof(other));
    scratch_write(s->keyfile, other, sizeof(other), 0400);
    expect_refused(s, -EKEYREJECTED, "not the vault's keyfile");
    scratch_write(s->keyfile, right, n, 0400);
    free(right);
    assert_int_equal(scratch_open(s, NULL), 0);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
    s->vault = vault_free(s->vault);
    s->options.bind_size = 0;
    expect_refused(s, -EINVAL, "bind value");
}

static void test_bind_not_configured_before(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(scratch_open(s, NULL), 0);
    s->vault = vault_free(s->vault);
    s->options.bind = "x";
    s->options.bind_size = 1;
    expect_refused(s, -EKEYREJECTED, "not bound");
}

/* A child that opens the vault and holds it until it is told, or dies. */
static pid_t hold(struct scratch *s, int *ret_tell)
{
    int ready[2], tell[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(tell), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(tell[1]);
        /* The parent's arena is empty here: that is what it is for. */
        if (arena_new(&s->arena, NULL) < 0 || sd_event_new(&s->event) < 0 || scratch_open(s, NULL) < 0 ||
            scratch_put(s, "a", VAULT_MAIN, "id", 1, NULL) < 0)
            _exit(1);
        _exit(write(ready[1], "x", 1) == 1 && read(tell[0], &byte, 1) >= 0 ? 0 : 1);
    }
    close(ready[1]);
    close(tell[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *ret_tell = tell[1];
    return pid;
}

/* A second agent is told who holds the vault; when that one dies without a word, all that it committed is there. */
static void test_second_opener_and_crash(void **state)
{
    struct scratch *s = *state;
    char named[32];
    int tell, status;
    pid_t pid = hold(s, &tell);

    snprintf(named, sizeof(named), "process %d", (int)pid);
    expect_refused(s, -EBUSY, named);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(tell);
    assert_int_equal(scratch_open(s, NULL), 0);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
}

static void limit_files(rlim_t size)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_disk_full(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    char left[128];

    signal(SIGXFSZ, SIG_IGN);
    limit_files(8192);
    if (scratch_open(s, &e) != -ENOSPC)
        fail_msg("%s", e.text);
    limit_files(RLIM_INFINITY);
    assert_non_null(strstr(e.text, s->path));
    assert_int_equal(access(s->path, F_OK), -1);
    snprintf(left, sizeof(left), "%s.new~", s->path);
    assert_int_equal(access(left, F_OK), -1);

    assert_int_equal(scratch_open(s, NULL), 0);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "id", 1, NULL), 0);
    limit_files(4096);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "id-2", 2, &e), -ENOSPC);
    assert_non_null(strstr(e.text, s->path));
    assert_int_equal(scratch_put(s, "b", VAULT_MAIN, "id-3", 3, &e), -ENOSPC);
    limit_files(RLIM_INFINITY);
    assert_null(vault_find(s->vault, "b", "cloud"));
    assert_string_equal(vault_credential(vault_find(s->vault, "a", "cloud"), VAULT_MAIN)->identity, "id");
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
    /* With room again the same is taken: nothing was left reserved. */
    assert_int_equal(scratch_put(s, "b", VAULT_MAIN, "id-2", 2, NULL), 0);
    scratch_reopen(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
    scratch_expect_key(s, "b", VAULT_MAIN, 2);
}

/* Records moved, put back or bent: that device stops, the other goes on, and the damage can be mended. */
static void test_quarantine(void **state)
{
    static const struct {
        const char *sql, *says;
        bool state_lost;
    } cases[] = {
        {"UPDATE record SET record = (SELECT record FROM record WHERE device = 'b' AND slot = 0) WHERE device = 'a' AND"
         " slot = 0",
         "main credential: its record was changed or comes from another place", false},
        {"UPDATE record SET record = (SELECT record FROM record WHERE device = 'a' AND slot = 1) WHERE device = 'a' AND"
         " slot = 0",
         "another slot", false},
        {"UPDATE record SET record = substr(record, 1, 40) WHERE device = 'a' AND slot = 0", "cut off", false},
        {"DELETE FROM record WHERE device = 'a' AND slot = 0", "missing", false},
        {"UPDATE entry SET state = (SELECT state FROM entry WHERE device = 'b') WHERE device = 'a'", "state", true},
        {"UPDATE entry SET state = x'00' WHERE device = 'a'", "state", true},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct scratch *s = *state;
        struct vault_entry *entry;
        struct vault_change *c;
        struct secret *key = NULL;

        s->vault = vault_free(s->vault);
        unlink(s->path);
        assert_int_equal(scratch_open(s, NULL), 0);
        assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
        assert_int_equal(scratch_put(s, "a", VAULT_BACKUP, "a-2", 2, NULL), 0);
        assert_int_equal(scratch_put(s, "b", VAULT_MAIN, "b-1", 3, NULL), 0);
        tamper(s, cases[i].sql);
        assert_int_equal(scratch_open(s, NULL), 0);
        entry = vault_find(s->vault, "a", "cloud");
        if (!vault_quarantine(entry) || !strstr(vault_quarantine(entry), cases[i].says))
            fail_msg("case %zu: %s", i, vault_quarantine(entry));
        assert_true(vault_credential(entry, VAULT_MAIN)->quarantined);
        assert_int_equal(vault_key_open(s->vault, entry, VAULT_MAIN, &key, NULL), -EBADMSG);
        assert_int_equal(vault_credential(entry, VAULT_BACKUP)->quarantined, cases[i].state_lost);
        scratch_expect_key(s, "b", VAULT_MAIN, 3);

        if (cases[i].state_lost) {
            assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-3", 4, NULL), -EBADMSG);
            c = vault_change_new(s->vault, "a", "cloud");
            vault_change_remove(c);
            assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
            assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-3", 4, NULL), 0);
            scratch_reopen(s);
            scratch_expect_key(s, "a", VAULT_MAIN, 4);
            assert_true(vault_identity_counter(vault_find(s->vault, "a", "cloud")) >= VAULT_COUNTER_LEAP);
        } else {
            /* The operator has the key on paper: the same key goes into the same slot again. */
            assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
            scratch_reopen(s);
            scratch_expect_key(s, "a", VAULT_MAIN, 1);
            scratch_expect_key(s, "a", VAULT_BACKUP, 2);
        }
        assert_null(vault_quarantine(vault_find(s->vault, "a", "cloud")));
    }
}

/* Begun again: with either of the keys that stood there, from paper, or a new one; never with one that was retired, or
 * another device's. */
static void test_reset(void **state)
{
    static const char *const damages[] = {
        "UPDATE entry SET state = x'00' WHERE device = 'a'",
        "UPDATE entry SET state = x'00' WHERE device = 'a'; UPDATE record SET record = x'00' WHERE device = 'a'",
        "SELECT 1", /* a rotation that contradicts its keys: the vault itself sees nothing */
    };

    for (size_t i = 0; i < 3 * ELEMENTSOF(damages); i++) {
        struct scratch *s = *state;
        struct vault_change *c;
        unsigned key = (unsigned)(i % 3) + 2; /* main, backup, a new one */

        s->vault = vault_free(s->vault);
        unlink(s->path);
        assert_int_equal(scratch_open(s, NULL), 0);
        assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-0", 1, NULL), 0);
        assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 2, NULL), 0);
        assert_int_equal(scratch_put(s, "a", VAULT_BACKUP, "a-2", 3, NULL), 0);
        assert_int_equal(scratch_put(s, "b", VAULT_MAIN, "b-1", 5, NULL), 0);
        tamper(s, damages[i / 3]);
        assert_int_equal(scratch_open(s, NULL), 0);
        for (unsigned other = 1; other <= 5; other += 4) {
            c = vault_change_new(s->vault, "a", "cloud");
            vault_change_reset(c);
            scratch_put_in(c, s, VAULT_MAIN, "a-3", other, NULL);
            assert_int_equal(vault_commit_sync(s->vault, c, NULL), -EEXIST);
        }
        c = vault_change_new(s->vault, "a", "cloud");
        vault_change_reset(c);
        scratch_put_in(c, s, VAULT_MAIN, "a-1", key, NULL);
        assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
        scratch_reopen(s);
        assert_null(vault_quarantine(vault_find(s->vault, "a", "cloud")));
        scratch_expect_key(s, "a", VAULT_MAIN, key);
        assert_false(vault_credential(vault_find(s->vault, "a", "cloud"), VAULT_BACKUP)->present);
        /* The keys that were not put again are retired for ever. */
        for (unsigned old = 1; old <= 3; old++)
            if (old != key)
                assert_int_equal(scratch_put(s, "a", VAULT_BACKUP, "a-9", old, NULL), -EEXIST);
        assert_int_equal(vault_verify_sync(s->vault, &(struct vault_verify_handler){0}, NULL), 0);
    }
}

/* An old record of the same slot is no more taken back than a foreign one. */
static void test_old_record_put_back(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(scratch_open(s, NULL), 0);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    tamper(s, "CREATE TABLE hidden AS SELECT * FROM record");
    assert_int_equal(scratch_open(s, NULL), 0);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-2", 2, NULL), 0);
    tamper(s, "UPDATE record SET record = (SELECT record FROM hidden)");
    assert_int_equal(scratch_open(s, NULL), 0);
    assert_non_null(strstr(vault_quarantine(vault_find(s->vault, "a", "cloud")), "an older one put back"));
}

/* State and records gone, the index rows left: removal clears them, and the device begins anew. */
static void test_nothing_left_but_the_index(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c;

    assert_int_equal(scratch_open(s, NULL), 0);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    tamper(s, "DELETE FROM record; UPDATE entry SET state = x'00'");
    assert_int_equal(scratch_open(s, NULL), 0);
    assert_non_null(vault_quarantine(vault_find(s->vault, "a", "cloud")));
    c = vault_change_new(s->vault, "a", "cloud");
    vault_change_remove(c);
    scratch_put_in(c, s, VAULT_MAIN, "a-2", 2, NULL);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    scratch_reopen(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 2);
    assert_int_equal(scratch_put(s, "a", VAULT_BACKUP, "a-3", 1, NULL), -EEXIST);
}

static void on_done(int r, const struct error *e, void *userdata)
{
    assert_int_equal(r < 0, e != NULL);
    *(int *)userdata = r;
}

/* A write that fails in the midst of a batch takes all of it back, and nothing of it comes later. */
static void test_batch_fails_whole(void **state)
{
    static const char *const devices[] = {"a", "b"};
    struct scratch *s = *state;
    int results[2] = {1, 1};

    assert_int_equal(scratch_open(s, NULL), 0);
    tamper(s, "CREATE TRIGGER no BEFORE INSERT ON record WHEN new.device = 'b' BEGIN SELECT raise(ABORT, 'no b'); END");
    assert_int_equal(scratch_open(s, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct vault_change *c = vault_change_new(s->vault, devices[i], "cloud");

        scratch_put_in(c, s, VAULT_MAIN, devices[i], i + 1, NULL);
        assert_int_equal(vault_commit(s->vault, c, on_done, &results[i]), 0);
    }
    assert_true(vault_flush(s->vault) < 0);
    assert_true(results[0] < 0 && results[1] < 0);
    assert_int_equal(vault_entries(s->vault), 0);
    assert_int_equal(scratch_put(s, "c", VAULT_MAIN, "c", 3, NULL), 0);
    scratch_reopen(s);
    assert_null(vault_find(s->vault, "a", "cloud"));
    scratch_expect_key(s, "c", VAULT_MAIN, 3);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a", 1, NULL), 0);
}

static void test_durable(void **state)
{
    struct scratch *s = *state;
    const char *why = NULL;
    char path[] = "/dev/shm/gatehouse-unit-XXXXXX", db[64];

    if (!mkdtemp(path))
        skip();
    snprintf(db, sizeof(db), "%s/vault.db", path);
    s->options.path = db;
    for (int allow = 0; allow < 2; allow++) {
        s->options.allow_volatile = allow;
        assert_int_equal(scratch_open(s, NULL), 0);
        assert_int_equal(vault_durable(s->vault, &why), allow);
        assert_non_null(strstr(why, "tmpfs"));
        s->vault = vault_free(s->vault);
    }
    nftw(path, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#define OPEN_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_prepare, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPEN_TEST(test_made_and_found),
        OPEN_TEST(test_foreign_files),
        OPEN_TEST(test_later_format),
        OPEN_TEST(test_truncated),
        OPEN_TEST(test_missing_parts),
        OPEN_TEST(test_log_without_file),
        OPEN_TEST(test_wrong_keyfile_and_bind),
        OPEN_TEST(test_bind_not_configured_before),
        OPEN_TEST(test_second_opener_and_crash),
        OPEN_TEST(test_disk_full),
        OPEN_TEST(test_quarantine),
        OPEN_TEST(test_reset),
        OPEN_TEST(test_old_record_put_back),
        OPEN_TEST(test_nothing_left_but_the_index),
        OPEN_TEST(test_batch_fails_whole),
        OPEN_TEST(test_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
