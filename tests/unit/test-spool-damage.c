/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Full disks, damaged files, and files of other versions and programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "spool-numbers.h"
#include "spool-scratch.h"
#include "spool/store-internal.h"

/* A file of the format before this one is brought to it, with all that it has. */
static void test_older_format(void **state)
{
    sqlite3 *db;
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    for (int64_t k = 0; k < 5; k++)
        put(&x, "d", k);
    scratch_kill(&x);
    assert_int_equal(sqlite3_open(x.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE boot DROP COLUMN sure; PRAGMA user_version = 1;", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    for (int round = 0; round < 2; round++) {
        scratch_start(&x);
        assert_int_equal(counts_of(&x, "d").queued, 5 + round);
        assert_int_equal(put(&x, "d", 5 + round), 1);
        scratch_kill(&x);
    }
    scratch_start(&x);
    expect(&x, "d", 0, 7);
    assert_int_equal(x.failures + x.corrupt, 0);
    scratch_done(&x);
}

/* The file may not grow: nothing is answered but what a cloud accepts, nothing is lost, and it goes on by itself. */
static void test_full(void **state)
{
    struct rlimit before, none;
    struct scratch x;
    int answers[3] = {0};
    struct spool_device *d;

    scratch_init(&x, SPOOL_ALWAYS);
    d = spool_device(x.spool, "d");
    spool_line(d, true);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
    for (int i = 0; i < 3; i++) {
        const struct sample s = number("p", REAL + (uint64_t)i, i);

        spool_append(d, NOW, &s, 1, on_answer, &answers[i]);
    }
    assert_true(answers[0] == 0 && answers[1] == 0 && answers[2] == 0);
    assert_int_equal(x.failures, 1); /* said once */
    expect(&x, "d", 0, 0);
    spool_accept(d, 1);
    assert_true(answers[0] == 1 && answers[1] == 0);
    setrlimit(RLIMIT_FSIZE, &before);
    put(&x, "d", 3);
    assert_true(answers[1] == 1 && answers[2] == 1);
    assert_int_equal(x.recoveries, 1);
    scratch_kill(&x);
    scratch_start(&x);
    expect(&x, "d", 1, 4);
    scratch_done(&x);
}

static void overwrite(const char *path, long at, const char *text)
{
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), at), strlen(text));
    close(fd);
}

static unsigned count_files(const char *directory, const char *word)
{
    DIR *d = opendir(directory);
    unsigned n = 0;

    for (struct dirent *entry; (entry = readdir(d));)
        n += strstr(entry->d_name, word) && !strstr(entry->d_name, "-wal");
    closedir(d);
    return n;
}

/* A damaged file is moved aside, at the start and while it is in use; of such files few are kept. */
static void test_corrupt(void **state)
{
    struct error e = {0};
    struct scratch x;

    scratch_init(&x, SPOOL_ALWAYS);
    for (int round = 0; round < SPOOL_CORRUPT_MAX + 2; round++) {
        for (int64_t k = 0; k < 2000; k++)
            put(&x, "d", k);
        assert_int_equal(spool_flush(x.spool, &e), 0);
        scratch_kill(&x);
        overwrite(x.path, round % 2 ? 0 : 4096, "this is no page of a database");
        scratch_start(&x);
        assert_int_equal(x.corrupt, round + 1);
        assert_int_equal(access(x.aside, F_OK), 0);
        assert_int_equal(counts_of(&x, "d").queued, 0);
        put(&x, "d", 0);
        expect(&x, "d", 0, 1);
    }
    assert_int_equal(count_files(x.directory, ".corrupt-"), SPOOL_CORRUPT_MAX);
    scratch_done(&x);
}

/* The latest is kept, whatever the clock said when the others were moved aside. */
static void test_corrupt_clock_back(void **state)
{
    struct scratch x;
    char name[320];

    scratch_init(&x, SPOOL_ALWAYS);
    put(&x, "d", 0);
    scratch_kill(&x);
    for (int i = 0; i < SPOOL_CORRUPT_MAX; i++) {
        snprintf(name, sizeof(name), "%s.corrupt-20990101T000000Z.%02d", x.path, i);
        assert_int_equal(close(creat(name, 0600)), 0);
    }
    overwrite(x.path, 0, "this is no page of a database");
    scratch_start(&x);
    assert_int_equal(x.corrupt, 1);
    assert_int_equal(access(x.aside, F_OK), 0);
    assert_int_equal(count_files(x.directory, ".corrupt-"), SPOOL_CORRUPT_MAX);
    /* Of the others the oldest went. */
    snprintf(name, sizeof(name), "%s.corrupt-20990101T000000Z.00", x.path);
    assert_int_equal(access(name, F_OK), -1);
    scratch_done(&x);
}

/* The names of one second sort by age, also after the first of them was removed. */
static void test_corrupt_one_second(void **state)
{
    const time_t now = time(NULL);
    struct scratch x;
    struct tm tm;
    char when[32], name[320];

    scratch_init(&x, SPOOL_ALWAYS);
    put(&x, "d", 0);
    scratch_kill(&x);
    for (time_t second = now; second < now + 120; second++) {
        strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&second, &tm));
        for (int i = 1; i <= SPOOL_CORRUPT_MAX; i++) {
            snprintf(name, sizeof(name), "%s.corrupt-%s.%02d", x.path, when, i);
            assert_int_equal(close(creat(name, 0600)), 0);
        }
    }
    overwrite(x.path, 0, "this is no page of a database");
    scratch_start(&x);
    assert_int_equal(x.corrupt, 1);
    assert_int_equal(access(x.aside, F_OK), 0);
    assert_int_equal(strtol(strrchr(x.aside, '.') + 1, NULL, 10), SPOOL_CORRUPT_MAX + 1);
    scratch_done(&x);
}

/* What stands only in the damaged file is lost, and said; what is in memory goes to the new one. */
static void test_corrupt_in_use(void **state)
{
    struct scratch x;
    struct stat st;
    int answer = 0;
    const struct sample s = number("p", REAL + 5000, 5000);

    scratch_init(&x, SPOOL_ALWAYS);
    for (int64_t k = 0; k < 5000; k++)
        put(&x, "d", k);
    assert_int_equal(sqlite3_exec(x.spool->store->db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(stat(x.path, &st), 0);
    for (long at = 4096; at < st.st_size; at += 4096)
        overwrite(x.path, at, "this is no page of a database");
    sqlite3_db_release_memory(x.spool->store->db);
    spool_append(spool_device(x.spool, "d"), NOW, &s, 1, on_answer, &answer);
    for (int i = 0; i < 5 && x.corrupt == 0; i++) {
        struct sample out[256];
        size_t n = spool_peek(spool_device(x.spool, "d"), NOW, 0, out, 256);

        spool_accept(spool_device(x.spool, "d"), n);
    }
    assert_int_equal(x.corrupt, 1);
    assert_true(x.lost > 3000);
    assert_int_equal(counts_of(&x, "d").dropped, x.lost);
    put(&x, "d", 5001);
    scratch_kill(&x);
    scratch_start(&x);
    assert_int_equal(x.corrupt, 1);
    assert_true(counts_of(&x, "d").queued >= 1);
    scratch_done(&x);
}

/* What is no damage is an error with words, and stays as it is. */
static void test_not_ours(void **state)
{
    static const struct {
        long at;
        const char *text, *word;
        int r;
    } table[] = {
        {60, "\1\1\1\1", "later version", -EPROTONOSUPPORT},
        {68, "GHV1", "another program's", -EMEDIUMTYPE},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        struct error e = {0};
        struct scratch x;

        scratch_init(&x, SPOOL_ALWAYS);
        scratch_kill(&x);
        overwrite(x.path, table[i].at, table[i].text);
        assert_int_equal(scratch_try(&x, &e), table[i].r);
        assert_non_null(strstr(e.text, table[i].word));
        assert_int_equal(count_files(x.directory, ".corrupt-"), 0);
        scratch_done(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_older_format),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_corrupt),
        cmocka_unit_test(test_corrupt_clock_back),
        cmocka_unit_test(test_corrupt_one_second),
        cmocka_unit_test(test_corrupt_in_use),
        cmocka_unit_test(test_not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
