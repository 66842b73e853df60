/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A copy of a vault in use has what was committed last, and nothing is written beside the original. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

#include "vault/look.h"

#include <errno.h>

struct files {
    char log[128], directory[128], copy[160], copied_log[192];
};

static void prepare(const struct scratch *s, struct files *f)
{
    snprintf(f->log, sizeof(f->log), "%s-wal", s->path);
    snprintf(f->directory, sizeof(f->directory), "%s/copy", s->directory);
    snprintf(f->copy, sizeof(f->copy), "%s/vault.db", f->directory);
    snprintf(f->copied_log, sizeof(f->copied_log), "%s-wal", f->copy);
    assert_int_equal(mkdir(f->directory, 0700), 0);
}

static void assert_same(const char *a, const char *b)
{
    _cleanup_free_ char *one = NULL, *two = NULL;
    size_t n, m;

    assert_true(file_read(AT_FDCWD, a, VAULT_BACKUP_MAX, &one, &n, NULL) >= 0);
    assert_true(file_read(AT_FDCWD, b, VAULT_BACKUP_MAX, &two, &m, NULL) >= 0);
    assert_int_equal(n, m);
    assert_memory_equal(one, two, n);
}

static void test_database_and_log(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct files f;
    struct stat st;

    prepare(s, &f);
    scratch_write(s->path, "the database", 12, 0600);
    scratch_write(f.log, "and its log", 11, 0600);
    assert_int_equal(vault_copy(s->path, f.directory, &e), 0);
    assert_same(s->path, f.copy);
    assert_same(f.log, f.copied_log);
    assert_int_equal(stat(f.copy, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_without_a_log(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct files f;

    prepare(s, &f);
    scratch_write(s->path, "the database", 12, 0600);
    assert_int_equal(vault_copy(s->path, f.directory, &e), 0);
    assert_same(s->path, f.copy);
    assert_int_equal(access(f.copied_log, F_OK), -1);
}

static void test_nothing_there(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct files f;

    prepare(s, &f);
    assert_int_equal(vault_copy(s->path, f.directory, &e), -ENOENT);
    assert_non_null(strstr(e.text, s->path));
    assert_int_equal(access(f.copy, F_OK), -1);
    assert_int_equal(access(s->path, F_OK), -1);
}

static void test_never_over_a_file(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct files f;

    prepare(s, &f);
    scratch_write(s->path, "the database", 12, 0600);
    scratch_write(f.copy, "another", 7, 0600);
    assert_int_equal(vault_copy(s->path, f.directory, &e), -EEXIST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_database_and_log, scratch_prepare, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_without_a_log, scratch_prepare, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_there, scratch_prepare, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_never_over_a_file, scratch_prepare, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
