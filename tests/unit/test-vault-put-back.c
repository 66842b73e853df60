/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of some devices put back to what they were, in a vault that is closed: each is noticed, named and stopped,
 * alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "vault-scratch.h"

#include <sqlite3.h>
#include <stdlib.h>

#define DEVICES 40

static void name_of(unsigned i, char name[16])
{
    snprintf(name, 16, "d%u", i);
}

static void sql(struct scratch *s, const char *text)
{
    sqlite3 *db;
    char *message = NULL;

    assert_null(s->vault);
    assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    sqlite3_close(db);
}

static void shut(struct scratch *s)
{
    s->vault = vault_free(s->vault);
}

/* What somebody may have kept: the whole file, closed. */
static void keep(struct scratch *s)
{
    char text[256];

    shut(s);
    snprintf(text, sizeof(text), "%s/kept", s->directory);
    unlink(text);
    snprintf(text, sizeof(text), "VACUUM INTO '%s/kept'", s->directory);
    sql(s, text);
    scratch_reopen(s);
}

/* All rows that have this in column `column`, in the tables that have it. */
static void put_back(struct scratch *s, const char *where, bool also_versions)
{
    char text[2048];

    shut(s);
    snprintf(text, sizeof(text),
             "ATTACH '%s/kept' AS kept; BEGIN;"
             "DELETE FROM record WHERE %s; DELETE FROM key WHERE %s; DELETE FROM entry WHERE %s;"
             "INSERT INTO entry SELECT * FROM kept.entry WHERE %s;"
             "INSERT INTO record SELECT * FROM kept.record WHERE %s;"
             "INSERT INTO key SELECT * FROM kept.key WHERE %s; %s COMMIT",
             s->directory, where, where, where, where, where, where,
             also_versions ? "DELETE FROM subkey WHERE name = 'versions'; INSERT INTO subkey SELECT * FROM kept.subkey "
                             "WHERE name = 'versions';"
                           : "");
    sql(s, text);
}

static void open_again(struct scratch *s)
{
    struct error e = {0};

    if (scratch_open(s, &e) < 0)
        fail_msg("%s", e.text);
}

static void rotate(struct scratch *s, const char *device, unsigned key)
{
    char identity[32];
    struct vault_change *c;

    snprintf(identity, sizeof(identity), "%s-%u", device, key);
    assert_int_equal(scratch_put(s, device, VAULT_BACKUP, identity, key, NULL), 0);
    c = vault_change_new(s->vault, device, "cloud");
    vault_change_swap(c);
    vault_change_forget(c, VAULT_BACKUP);
    vault_change_counter(c, key);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
}

static void fleet(struct scratch *s)
{
    char name[16];

    for (unsigned i = 0; i < DEVICES; i++) {
        name_of(i, name);
        assert_int_equal(scratch_put(s, name, VAULT_MAIN, name, 1000 + i, NULL), 0);
    }
}

/* Exactly these are in quarantine, and the others as they were. */
static void expect(struct scratch *s, unsigned every, unsigned first_key)
{
    struct secret *key = NULL;
    char name[16];

    for (unsigned i = 0; i < DEVICES; i++) {
        struct vault_entry *entry;

        name_of(i, name);
        entry = vault_find(s->vault, name, "cloud");
        assert_non_null(entry);
        if (i % every != 0) {
            assert_null(vault_quarantine(entry));
            scratch_expect_key(s, name, VAULT_MAIN, first_key + i);
            continue;
        }
        if (!vault_quarantine(entry) || !strstr(vault_quarantine(entry), "older than the vault"))
            fail_msg("%s: %s", name, vault_quarantine(entry) ? vault_quarantine(entry) : "no quarantine");
        assert_true(vault_credential(entry, VAULT_MAIN)->quarantined);
        assert_true(vault_key_open(s->vault, entry, VAULT_MAIN, &key, NULL) < 0);
        assert_true(vault_identity_counter(entry) >= VAULT_COUNTER_LEAP);
    }
}

static void on_problem(const char *device, const char *uplink, const char *reason, void *userdata)
{
    assert_string_equal(device, "d0");
    assert_non_null(strstr(reason, "older than the vault"));
    ++*(unsigned *)userdata;
}

static void test_one(void **state)
{
    static const struct vault_verify_handler handler = {.problem = on_problem};
    struct scratch *s = *state;
    struct vault_change *c;
    unsigned problems = 0;
    char name[16];

    fleet(s);
    keep(s);
    for (unsigned i = 0; i < DEVICES; i++) {
        name_of(i, name);
        rotate(s, name, 2000 + i);
    }
    put_back(s, "device = 'd0'", false);
    open_again(s);
    assert_null(vault_put_back(s->vault));
    expect(s, DEVICES, 2000);
    assert_int_equal(vault_verify_sync(s->vault, &handler, &problems), 1);
    assert_int_equal(problems, 1);
    /* So it stays, whatever the others do, until somebody sees to it. */
    rotate(s, "d1", 3001);
    rotate(s, "d1", 2001 + 5000);
    scratch_reopen(s);
    assert_non_null(vault_quarantine(vault_find(s->vault, "d0", "cloud")));
    c = vault_change_new(s->vault, "d0", "cloud");
    vault_change_remove(c);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    scratch_reopen(s);
    assert_null(vault_find(s->vault, "d0", "cloud"));
    assert_int_equal(scratch_put(s, "d0", VAULT_MAIN, "d0", 7000, NULL), 0);
    scratch_reopen(s);
    assert_null(vault_quarantine(vault_find(s->vault, "d0", "cloud")));
    scratch_expect_key(s, "d0", VAULT_MAIN, 7000);
}

static void test_many(void **state)
{
    struct scratch *s = *state;
    char name[16];

    fleet(s);
    keep(s);
    for (unsigned i = 0; i < DEVICES; i++) {
        name_of(i, name);
        rotate(s, name, 2000 + i);
    }
    put_back(s, "cast(substr(device, 2) AS INTEGER) % 2 = 0", false);
    open_again(s);
    assert_null(vault_put_back(s->vault));
    expect(s, 2, 2000);
}

/* Removed since, and back again with its old key. */
static void test_removed(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c = vault_change_new(s->vault, "a", "cloud");

    vault_change_free(c);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    keep(s);
    c = vault_change_new(s->vault, "a", "cloud");
    vault_change_remove(c);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    put_back(s, "device = 'a'", false);
    open_again(s);
    assert_non_null(vault_quarantine(vault_find(s->vault, "a", "cloud")));
}

/* With the record that tells of it, or without: that at least is seen. */
static void test_record(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    assert_int_equal(scratch_put(s, "b", VAULT_MAIN, "b-1", 2, NULL), 0);
    keep(s);
    rotate(s, "a", 11);
    rotate(s, "b", 12);
    put_back(s, "device = 'a'", true);
    open_again(s);
    assert_non_null(strstr(vault_put_back(s->vault), "it was put back"));
    scratch_expect_key(s, "b", VAULT_MAIN, 12);
    rotate(s, "b", 13);
    scratch_reopen(s);
    shut(s);
    sql(s, "DELETE FROM subkey WHERE name = 'versions'");
    open_again(s);
    assert_non_null(strstr(vault_put_back(s->vault), "is missing"));
    rotate(s, "b", 14);
    shut(s);
    sql(s, "UPDATE subkey SET sealed = randomblob(100) WHERE name = 'versions'");
    open_again(s);
    assert_non_null(strstr(vault_put_back(s->vault), "does not open"));
    scratch_expect_key(s, "b", VAULT_MAIN, 14);
    rotate(s, "b", 15);
    shut(s);
    sql(s, "PRAGMA foreign_keys=OFF; DELETE FROM record WHERE device = 'b'; DELETE FROM key WHERE device = 'b';"
           "DELETE FROM entry WHERE device = 'b'");
    open_again(s);
    assert_non_null(strstr(vault_put_back(s->vault), "are missing"));
    assert_null(vault_find(s->vault, "b", "cloud"));
    assert_null(vault_quarantine(vault_find(s->vault, "a", "cloud")));
}

static struct secret *keyfile(struct scratch *s)
{
    return scratch_key(s, 99, KEYFILE_SIZE);
}

static void on_done(int r, const struct error *e, void *userdata)
{
    assert_int_equal(r, 0);
}

/* What was counted goes through a rekey. */
static void test_rekeyed(void **state)
{
    struct scratch *s = *state;
    uint8_t bytes[KEYFILE_SIZE];
    struct secret *key;
    struct error e;

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    keep(s);
    rotate(s, "a", 2);
    rotate(s, "a", 3);
    key = keyfile(s);
    memcpy(bytes, key->bytes, sizeof(bytes));
    assert_int_equal(vault_rekey(s->vault, key, on_done, NULL, &e), 0);
    assert_int_equal(vault_flush(s->vault), 0);
    shut(s);
    scratch_write(s->keyfile, bytes, sizeof(bytes), 0400);
    open_again(s);
    assert_null(vault_put_back(s->vault));
    assert_null(vault_quarantine(vault_find(s->vault, "a", "cloud")));
    scratch_expect_key(s, "a", VAULT_MAIN, 3);
    keep(s);
    rotate(s, "a", 4);
    put_back(s, "device = 'a'", false);
    open_again(s);
    assert_non_null(vault_quarantine(vault_find(s->vault, "a", "cloud")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_many, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_removed, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_record, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_rekeyed, scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
