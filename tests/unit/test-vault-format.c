/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The vault of format 1 kept in tests/fixtures/vault-format-1 opens, and holds what contents.txt says: for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/encode.h"
#include "vault-scratch.h"

static char bind_value[64];

static void copy(const char *from, const char *to, mode_t mode)
{
    _cleanup_free_ char *data = NULL;
    char path[512];
    size_t n;

    snprintf(path, sizeof(path), "%s/vault-format-1/%s", FIXTURES_DIR, from);
    assert_int_equal(file_read(AT_FDCWD, path, 1 << 20, &data, &n, NULL), 0);
    scratch_write(to, data, n, mode);
}

static FILE *contents(void)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof(path), "%s/vault-format-1/contents.txt", FIXTURES_DIR);
    f = fopen(path, "re");
    assert_non_null(f);
    return f;
}

static int setup(void **state)
{
    struct scratch *s;
    struct error e = {0};
    char line[512];
    FILE *f = contents();

    scratch_prepare(state);
    s = *state;
    while (fgets(line, sizeof(line), f))
        sscanf(line, "bind %63[^\n]", bind_value);
    fclose(f);
    assert_true(strlen(bind_value) > 0);
    s->options.bind = bind_value;
    s->options.bind_size = strlen(bind_value);
    copy("vault.db", s->path, 0600);
    copy("keyfile", s->keyfile, 0400);
    if (scratch_open(s, &e) < 0)
        fail_msg("%s", e.text);
    return 0;
}

static size_t from_hex(const char *text, uint8_t *data, size_t size)
{
    ssize_t n = strcmp(text, "-") == 0 ? 0 : hex_decode(text, strlen(text), data, size);

    assert_true(n >= 0);
    return (size_t)n;
}

static void expect_slot(struct scratch *s, const char *line)
{
    char device[65], uplink[65], role[8], kind[8], identity[129], cloud_id[257], fingerprint[20], hex[129];
    unsigned long long authenticated, generation;
    _cleanup_(secret_freep) struct secret *key = NULL;
    const struct vault_credential *view;
    struct vault_entry *entry;
    uint8_t bytes[KEY_MAX];
    size_t n;

    assert_int_equal(sscanf(line, "slot %64s %64s %7s %7s %128s %256s %llu %llu %19s %128s", device, uplink, role, kind,
                            identity, cloud_id, &authenticated, &generation, fingerprint, hex),
                     10);
    entry = vault_find(s->vault, device, uplink);
    assert_non_null(entry);
    view = vault_credential(entry, (enum vault_slot)vault_slot_from_string(role));
    assert_true(view->present && !view->quarantined);
    assert_string_equal(view->identity, identity);
    assert_string_equal(vault_kind_to_string(view->kind), kind);
    assert_string_equal(*view->cloud_id ? view->cloud_id : "-", cloud_id);
    assert_string_equal(view->fingerprint, fingerprint);
    assert_true(view->last_authenticated == authenticated && view->generation == generation);
    assert_int_equal(vault_key_open(s->vault, entry, (enum vault_slot)vault_slot_from_string(role), &key, NULL), 0);
    n = from_hex(hex, bytes, sizeof(bytes));
    assert_int_equal(key->size, n);
    assert_memory_equal(key->bytes, bytes, n);
}

static void expect_entry(struct scratch *s, const char *line)
{
    char device[65], uplink[65], hex[2 * VAULT_ROTATION_MAX + 1];
    uint8_t bytes[VAULT_ROTATION_MAX];
    unsigned long long counter;
    struct vault_entry *entry;
    const void *rotation;
    size_t n;

    assert_int_equal(sscanf(line, "entry %64s %64s %llu %512s", device, uplink, &counter, hex), 4);
    entry = vault_find(s->vault, device, uplink);
    assert_non_null(entry);
    assert_true(vault_identity_counter(entry) == counter);
    rotation = vault_rotation(entry, &n);
    assert_int_equal(from_hex(hex, bytes, sizeof(bytes)), n);
    if (n > 0)
        assert_memory_equal(rotation, bytes, n);
}

static void expect_retired(struct scratch *s, const char *line)
{
    struct vault_change *c = vault_change_new(s->vault, "newcomer", "cloud");
    _cleanup_(secret_freep) struct secret *key = NULL;
    char hex[129], device[65];
    struct error e = {0};

    assert_int_equal(sscanf(line, "retired %128s %64s", hex, device), 2);
    assert_int_equal(secret_new(s->arena, &key), 0);
    key->size = from_hex(hex, key->bytes, ARENA_CELL_SIZE);
    assert_int_equal(vault_change_put(c, VAULT_MAIN, "newcomer", VAULT_PSK, key, 0, &e), -EEXIST);
    assert_non_null(strstr(e.text, device));
    vault_change_free(c);
}

static void expect_opaque(struct scratch *s, const char *line)
{
    char device[65], id[16], computed[OPAQUE_ID_SIZE];

    assert_int_equal(sscanf(line, "opaque %64s %15s", device, id), 2);
    assert_int_equal(vault_opaque_id(s->vault, device, computed), 0);
    assert_string_equal(computed, id);
}

static const struct {
    const char *word;
    void (*expect)(struct scratch *s, const char *line);
} lines[] = {
    {"slot ", expect_slot},
    {"entry ", expect_entry},
    {"retired ", expect_retired},
    {"opaque ", expect_opaque},
};

static void expect_all(struct scratch *s)
{
    size_t seen[ELEMENTSOF(lines)] = {0};
    FILE *f = contents();
    char line[2048];

    while (fgets(line, sizeof(line), f))
        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
            if (strncmp(line, lines[i].word, strlen(lines[i].word)) == 0) {
                lines[i].expect(s, line);
                seen[i]++;
            }
    fclose(f);
    for (size_t i = 0; i < ELEMENTSOF(lines); i++)
        assert_true(seen[i] > 0);
    assert_int_equal(seen[1], vault_entries(s->vault));
}

static void test_opens_and_holds(void **state)
{
    struct scratch *s = *state;

    expect_all(s);
    assert_int_equal(vault_verify_sync(s->vault, &(const struct vault_verify_handler){0}, NULL), 0);
}

/* What this version writes to it leaves the rest readable. */
static void test_goes_on(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(scratch_put(s, "one-more", VAULT_MAIN, "one-more-1", 1, NULL), 0);
    scratch_reopen(s);
    scratch_expect_key(s, "one-more", VAULT_MAIN, 1);
    {
        struct vault_change *c = vault_change_new(s->vault, "one-more", "cloud");

        vault_change_remove(c);
        assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    }
    expect_all(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_opens_and_holds, setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_goes_on, setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
