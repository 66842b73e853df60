/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backup and restore: what is sealed opens with the keyfile of its time and with nothing else; what is newer than a
 * backup is named and not replaced unless forced, and even then it is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

#include "vault/backup.h"

#include <signal.h>
#include <sys/wait.h>

struct restore {
    struct vault_restore options;
    char seen[1024];
    char replaced[VAULT_REPLACED_MAX];
    struct error e;
};

static void backup_path(const struct scratch *s, char path[128])
{
    snprintf(path, 128, "%s/backup", s->directory);
}

static void backup(struct scratch *s)
{
    struct error e = {0};
    char path[128];

    backup_path(s, path);
    unlink(path);
    if (vault_backup_sync(s->vault, path, &e) < 0)
        fail_msg("%s", e.text);
}

static void on_differs(const char *device, const char *uplink, const char *how, void *userdata)
{
    struct restore *r = userdata;
    size_t n = strlen(r->seen);

    snprintf(r->seen + n, sizeof(r->seen) - n, "%s: %s; ", device, how);
}

static int restore(struct scratch *s, struct restore *r)
{
    char path[128];

    backup_path(s, path);
    s->vault = vault_free(s->vault);
    r->options.path = s->path;
    r->options.file = path;
    if (!r->options.keyfile)
        r->options.keyfile = s->keyfile;
    r->options.bind = s->options.bind;
    r->options.bind_size = s->options.bind_size;
    r->options.differs = on_differs;
    r->options.userdata = r;
    *r->seen = 0;
    return vault_restore(s->event, s->arena, &r->options, r->replaced, &r->e);
}

static void expect_restored(struct scratch *s, const char *device, bool expected)
{
    assert_int_equal(vault_restored(vault_find(s->vault, device, "cloud")), expected);
}

static void count_up(struct scratch *s, const char *device, uint64_t n)
{
    struct vault_change *c = vault_change_new(s->vault, device, "cloud");

    vault_change_counter(c, n);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
}

static void open_again(struct scratch *s)
{
    struct error e = {0};

    if (scratch_open(s, &e) < 0)
        fail_msg("%s", e.text);
}

static void test_nothing_changed_since(void **state)
{
    struct scratch *s = *state;
    struct restore r = {0};

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    count_up(s, "a", 7);
    backup(s);
    if (restore(s, &r) != 1)
        fail_msg("%s", r.e.text);
    open_again(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
    expect_restored(s, "a", true);
    assert_int_equal(vault_identity_counter(vault_find(s->vault, "a", "cloud")), 7 + VAULT_COUNTER_LEAP);
    assert_int_equal(access(r.replaced, F_OK), 0);
    /* It stays restored until somebody says otherwise. */
    scratch_reopen(s);
    expect_restored(s, "a", true);
}

static void test_newer_is_named_and_kept(void **state)
{
    struct scratch *s = *state;
    struct restore r = {0};
    struct vault_change *c;
    uint8_t before[32], after[32];

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(scratch_put(s, (const char *[]){"same", "rotated", "removed", "swapped"}[i], VAULT_MAIN,
                                     (const char *[]){"i0", "i1", "i2", "i3"}[i], i, NULL),
                         0);
    assert_int_equal(scratch_put(s, "swapped", VAULT_BACKUP, "i4", 4, NULL), 0);
    backup(s);
    assert_int_equal(scratch_put(s, "rotated", VAULT_BACKUP, "i5", 5, NULL), 0);
    count_up(s, "rotated", 50);
    assert_int_equal(scratch_put(s, "added", VAULT_MAIN, "i6", 6, NULL), 0);
    c = vault_change_new(s->vault, "swapped", "cloud");
    vault_change_swap(c);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    c = vault_change_new(s->vault, "removed", "cloud");
    vault_change_remove(c);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    s->vault = vault_free(s->vault);
    scratch_hash(s->path, before);
    assert_int_equal(restore(s, &r), -ESTALE);
    scratch_hash(s->path, after);
    assert_memory_equal(before, after, 32);
    assert_non_null(strstr(r.seen, "rotated: has a newer key"));
    assert_non_null(strstr(r.seen, "added: not in the backup"));
    assert_non_null(strstr(r.seen, "removed: has been removed"));
    assert_non_null(strstr(r.seen, "swapped: has the backup's other key"));
    assert_null(strstr(r.seen, "same:"));
    r.options.force = true;
    if (restore(s, &r) != 4)
        fail_msg("%s", r.e.text);
    scratch_hash(r.replaced, after);
    assert_memory_equal(before, after, 32);
    open_again(s);
    scratch_expect_key(s, "rotated", VAULT_MAIN, 1);
    assert_false(vault_credential(vault_find(s->vault, "rotated", "cloud"), VAULT_BACKUP)->present);
    /* Past what the vault that was replaced had given out. */
    assert_int_equal(vault_identity_counter(vault_find(s->vault, "rotated", "cloud")), 50 + VAULT_COUNTER_LEAP);
    scratch_expect_key(s, "removed", VAULT_MAIN, 2);
    assert_null(vault_find(s->vault, "added", "cloud"));
}

static void test_no_present_vault(void **state)
{
    struct scratch *s = *state;
    struct restore r = {0};

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    backup(s);
    s->vault = vault_free(s->vault);
    assert_int_equal(unlink(s->path), 0);
    if (restore(s, &r) != 1)
        fail_msg("%s", r.e.text);
    assert_string_equal(r.replaced, "");
    open_again(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
}

/* A damaged present vault is replaced only by force, and is kept with its log. */
static void test_damaged_present_vault(void **state)
{
    struct scratch *s = *state;
    struct restore r = {0};
    char log[128];

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    backup(s);
    s->vault = vault_free(s->vault);
    scratch_write(s->path, "garbage", 7, 0600);
    snprintf(log, sizeof(log), "%s-wal", s->path);
    scratch_write(log, "log", 3, 0600);
    assert_int_equal(restore(s, &r), -ESTALE);
    assert_non_null(strstr(r.e.text, "not a vault"));
    r.options.force = true;
    if (restore(s, &r) != 1)
        fail_msg("%s", r.e.text);
    snprintf(log, sizeof(log), "%.100s-wal", r.replaced);
    assert_int_equal(access(log, F_OK), 0);
    open_again(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
}

static void test_keyfile_of_its_time(void **state)
{
    struct scratch *s = *state;
    _cleanup_(secret_freep) struct secret *next = scratch_key(s, 1000, KEYFILE_SIZE);
    struct restore r = {0};
    char old[128];

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    backup(s);
    assert_int_equal(vault_rekey(s->vault, scratch_key(s, 1000, KEYFILE_SIZE), NULL, NULL, NULL), 0);
    assert_int_equal(vault_flush(s->vault), 0);
    snprintf(old, sizeof(old), "%s.old", s->keyfile);
    assert_int_equal(rename(s->keyfile, old), 0);
    scratch_write(s->keyfile, next->bytes, next->size, 0400);
    assert_int_equal(restore(s, &r), -EKEYREJECTED);
    assert_non_null(strstr(r.e.text, "of its time"));
    r.options.backup_keyfile = old;
    if (restore(s, &r) != 1)
        fail_msg("%s", r.e.text);
    /* The vault that came back opens with the present keyfile. */
    open_again(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
    /* And its own backup with that. */
    backup(s);
    r.options.backup_keyfile = NULL;
    assert_int_equal(restore(s, &r), 1);
    open_again(s);
}

/* Bound to this board, restored on another. */
static void test_bind_is_no_part_of_it(void **state)
{
    struct scratch *s = *state;
    struct restore r = {0};

    s->vault = vault_free(s->vault);
    unlink(s->path);
    s->options.bind = "board one";
    s->options.bind_size = 9;
    open_again(s);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    backup(s);
    s->vault = vault_free(s->vault);
    unlink(s->path);
    s->options.bind = "board two";
    if (restore(s, &r) != 1)
        fail_msg("%s", r.e.text);
    open_again(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
    s->vault = vault_free(s->vault);
    s->options.bind = "board one";
    assert_int_equal(scratch_open(s, NULL), -EKEYREJECTED);
}

static void test_another_vaults_backup(void **state)
{
    struct scratch *s = *state;
    struct restore r = {0};

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    backup(s);
    s->vault = vault_free(s->vault);
    unlink(s->path);
    open_again(s);
    assert_int_equal(scratch_put(s, "b", VAULT_MAIN, "b-1", 2, NULL), 0);
    assert_int_equal(restore(s, &r), -ESTALE);
    assert_non_null(strstr(r.e.text, "another vault"));
}

/* Every byte counts, and what is cut off is no backup. */
static void test_damaged_backup(void **state)
{
    struct scratch *s = *state;
    struct restore r = {.options = {.force = true}};
    _cleanup_free_ char *data = NULL;
    char path[128];
    size_t n;

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    backup(s);
    backup_path(s, path);
    assert_int_equal(file_read(AT_FDCWD, path, VAULT_BACKUP_MAX, &data, &n, NULL), 0);
    for (size_t at = 0; at < n; at += at < BACKUP_HEAD_SIZE ? 7 : n / 16) {
        data[at] ^= 1;
        scratch_write(path, data, n, 0600);
        assert_true(restore(s, &r) < 0);
        data[at] ^= 1;
    }
    for (size_t size = 0; size < n; size += n / 8) {
        scratch_write(path, data, size, 0600);
        assert_int_equal(restore(s, &r), -EBADMSG);
    }
    open_again(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
    expect_restored(s, "a", false);
}

static void test_held_by_an_agent(void **state)
{
    struct scratch *s = *state;
    pid_t child;
    int status, ready[2];
    char byte;

    backup(s);
    s->vault = vault_free(s->vault);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        if (sd_event_new(&s->event) < 0 || arena_new(&s->arena, NULL) < 0 || scratch_open(s, NULL) < 0)
            _exit(1);
        (void)!write(ready[1], "r", 1);
        pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(restore(s, &(struct restore){.options = {.force = true}}), -EBUSY);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(ready[0]);
    close(ready[1]);
}

static void on_backup(int r, uint8_t *data, size_t n, const struct error *e, void *userdata)
{
    char *path = userdata;

    assert_int_equal(r, 0);
    scratch_write(path, data, n, 0600);
    free(data);
    *path = 0;
}

/* Made by itself, of a vault that is bound: it opens where the vault would have. */
static void test_bound(void **state)
{
    struct scratch *s = *state;
    struct restore r = {.options.force = true};
    char path[128], written[128];

    s->vault = vault_free(s->vault);
    s->options.bind = "a board's serial";
    s->options.bind_size = 16;
    s->options.adopt_bind = true;
    open_again(s);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    for (int who = VAULT_BACKUP_ANY_BOARD; who <= VAULT_BACKUP_THIS_BOARD; who++) {
        static const struct {
            const char *bind;
            size_t size;
        } binds[] = {{NULL, 0}, {"another's serial", 16}, {"a board's serial", 16}};

        backup_path(s, path);
        strcpy(written, path);
        assert_int_equal(vault_backup(s->vault, (enum vault_backup_for)who, on_backup, written, NULL), 0);
        while (*written)
            assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
        for (size_t i = 0; i < ELEMENTSOF(binds); i++) {
            s->options.bind = binds[i].bind;
            s->options.bind_size = binds[i].size;
            assert_int_equal(restore(s, &r), who == VAULT_BACKUP_ANY_BOARD || i == 2 ? 1 : -EKEYREJECTED);
            if (who == VAULT_BACKUP_THIS_BOARD && i < 2)
                assert_non_null(strstr(r.e.text, "its own board"));
        }
        open_again(s);
        scratch_expect_key(s, "a", VAULT_MAIN, 1);
    }
}

/* Online, among commits: what was committed before it is in it. */
static void test_online(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c = vault_change_new(s->vault, "late", "cloud");
    struct restore r = {0};
    char path[128], written[128];
    struct error e;

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    backup_path(s, path);
    strcpy(written, path);
    assert_int_equal(vault_backup(s->vault, VAULT_BACKUP_ANY_BOARD, on_backup, written, NULL), 0);
    assert_int_equal(vault_rekey(s->vault, scratch_key(s, 1000, KEYFILE_SIZE), NULL, NULL, &e), -EBUSY);
    assert_int_equal(scratch_put_in(c, s, VAULT_MAIN, "late-1", 9, NULL), 0);
    assert_int_equal(vault_commit(s->vault, c, NULL, NULL), 0);
    while (*written)
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
    assert_int_equal(vault_flush(s->vault), 0);
    r.options.force = true;
    assert_true(restore(s, &r) >= 1);
    open_again(s);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_changed_since, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_newer_is_named_and_kept, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_no_present_vault, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_present_vault, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_keyfile_of_its_time, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_bind_is_no_part_of_it, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_another_vaults_backup, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_backup, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_held_by_an_agent, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_bound, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_online, scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
