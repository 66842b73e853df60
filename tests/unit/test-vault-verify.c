/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verification reads the file, not memory, and names each device that is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

#include <sqlite3.h>

struct found {
    unsigned problems, progress, done;
    size_t last, total;
    int r;
    char text[512];
};

static void on_problem(const char *device, const char *uplink, const char *reason, void *userdata)
{
    struct found *f = userdata;
    size_t n = strlen(f->text);

    f->problems++;
    snprintf(f->text + n, sizeof(f->text) - n, "%s/%s %s\n", device, uplink, reason);
}

static void on_progress(size_t done, size_t total, void *userdata)
{
    struct found *f = userdata;

    f->progress++;
    assert_true(done >= f->last && done <= total);
    f->last = done;
    f->total = total;
}

static void on_done(int r, size_t n_problems, const struct error *e, void *userdata)
{
    struct found *f = userdata;

    f->done++;
    f->r = r;
    assert_int_equal(n_problems, f->problems);
}

static const struct vault_verify_handler handler = {on_problem, on_progress, on_done};

static void fill(struct scratch *s, unsigned n)
{
    for (unsigned i = 1; i <= n; i++) {
        struct vault_change *c;
        char device[16];

        snprintf(device, sizeof(device), "d%u", i);
        c = vault_change_new(s->vault, device, "cloud");
        scratch_put_in(c, s, VAULT_MAIN, device, i, NULL);
        assert_int_equal(vault_commit(s->vault, c, NULL, NULL), 0);
    }
    assert_int_equal(vault_flush(s->vault), 0);
}

static void test_sound_in_slices(void **state)
{
    struct scratch *s = *state;
    struct found f = {0}, sync = {0};

    fill(s, 2 * VAULT_VERIFY_SLICE + 10);
    assert_int_equal(vault_verify(s->vault, &handler, &f), 0);
    assert_int_equal(vault_verify(s->vault, &handler, &f), -EBUSY);
    while (!f.done) {
        /* Commits go on in between. */
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
        if (f.progress == 1 && vault_pending(s->vault) == 0) {
            struct vault_change *c = vault_change_new(s->vault, "d1", "cloud");

            vault_change_counter(c, 3);
            vault_commit(s->vault, c, NULL, NULL);
        }
    }
    assert_int_equal(f.r, 0);
    assert_int_equal(f.problems, 0);
    assert_int_equal(f.progress, 3);
    assert_int_equal(f.last, 2 * VAULT_VERIFY_SLICE + 10);
    assert_int_equal(vault_verify_sync(s->vault, &handler, &sync), 0);
    assert_int_equal(sync.last, f.last);
    assert_int_equal(sync.done, 1);
}

static void test_damage_is_named(void **state)
{
    struct scratch *s = *state;
    struct found f = {0};
    sqlite3 *db;

    fill(s, 4);
    s->vault = vault_free(s->vault);
    assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE record SET record = (SELECT record FROM record WHERE device = 'd2')"
                                  " WHERE device = 'd1';"
                                  "DELETE FROM key WHERE device = 'd3';"
                                  "UPDATE entry SET state = x'00' WHERE device = 'd4';"
                                  "INSERT INTO entry VALUES (printf('%.70c', 'x'), '..', x'00')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(scratch_open(s, NULL), 0);
    assert_int_equal(vault_verify_sync(s->vault, &handler, &f), 4);
    assert_int_equal(f.problems, 4);
    assert_non_null(strstr(f.text, "d1/cloud main credential: its record was changed"));
    assert_non_null(strstr(f.text, "d3/cloud main credential: its key is missing from the index"));
    assert_non_null(strstr(f.text, "d4/cloud its state record does not open"));
    assert_non_null(strstr(f.text, "the name is none of ours"));
    assert_null(strstr(f.text, "d2/"));
}

static void test_cancelled_by_closing(void **state)
{
    struct scratch *s = *state;
    struct found f = {0};

    fill(s, 2 * VAULT_VERIFY_SLICE);
    assert_int_equal(vault_verify(s->vault, &handler, &f), 0);
    s->vault = vault_free(s->vault);
    assert_int_equal(f.done, 1);
    assert_int_equal(f.r, -ECANCELED);
}

#define VERIFY_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(test_sound_in_slices),
        VERIFY_TEST(test_damage_is_named),
        VERIFY_TEST(test_cancelled_by_closing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
