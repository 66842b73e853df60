/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A sensor's bind key in the vault: what a cloud's key has to be it need not be, and no cloud ever gets it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

#include "vault/backup.h"

static int put_bind(struct scratch *s, const char *device, struct secret *key, const char *counted, struct error *e)
{
    struct vault_change *c = vault_change_new(s->vault, device, VAULT_OF_SENSOR);
    char identity[IDENTITY_MAX];

    snprintf(identity, sizeof(identity), "%s/%s", VAULT_OF_SENSOR, device);
    vault_change_put(c, VAULT_MAIN, identity, VAULT_BIND, key, 0, NULL);
    vault_change_rotation(c, counted, strlen(counted));
    return vault_commit_sync(s->vault, c, e);
}

static int bind_number(struct scratch *s, const char *device, unsigned number, const char *counted, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = scratch_key(s, number, 16);

    return put_bind(s, device, key, counted, e);
}

static int psk_number(struct scratch *s, const char *device, const char *identity, unsigned number, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = scratch_key(s, number, 16);
    struct vault_change *c = vault_change_new(s->vault, device, "cloud");

    vault_change_put(c, VAULT_MAIN, identity, VAULT_PSK, key, 0, NULL);
    return vault_commit_sync(s->vault, c, e);
}

static void expect(struct scratch *s, const char *device, unsigned number, const char *counted)
{
    _cleanup_(secret_freep) struct secret *key = NULL, *expected = scratch_key(s, number, 16);
    struct vault_entry *entry = vault_find(s->vault, device, VAULT_OF_SENSOR);
    const void *blob;
    size_t n;

    assert_non_null(entry);
    assert_true(vault_entry_internal(entry));
    assert_int_equal(vault_credential(entry, VAULT_MAIN)->kind, VAULT_BIND);
    assert_int_equal(vault_key_open(s->vault, entry, VAULT_MAIN, &key, NULL), 0);
    assert_int_equal(key->size, 16);
    assert_memory_equal(key->bytes, expected->bytes, 16);
    blob = vault_rotation(entry, &n);
    assert_int_equal(n, strlen(counted));
    if (n > 0)
        assert_memory_equal(blob, counted, n);
}

/* Beside the device's own credentials, which know nothing of it. */
static void test_beside_the_clouds(void **state)
{
    struct scratch *s = *state;

    assert_int_equal(psk_number(s, "d1", "id-1", 1, NULL), 0);
    assert_int_equal(bind_number(s, "d1", 2, "17", NULL), 0);
    for (int again = 0; again < 2; again++) {
        expect(s, "d1", 2, "17");
        assert_false(vault_entry_internal(vault_find(s->vault, "d1", "cloud")));
        assert_string_equal(vault_credential(vault_find(s->vault, "d1", "cloud"), VAULT_MAIN)->identity, "id-1");
        assert_int_equal(vault_verify_sync(s->vault, &(struct vault_verify_handler){.done = NULL}, NULL), 0);
        scratch_reopen(s);
    }
}

/* One sensor under two names, under a new one, and its key set again: the maker chose it, once and for all. */
static void test_any_number_of_devices(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c;

    for (int again = 0; again < 2; again++) {
        assert_int_equal(bind_number(s, "d1", 2, "", NULL), 0);
        assert_int_equal(bind_number(s, "d2", 2, "", NULL), 0);
        scratch_reopen(s);
        expect(s, "d1", 2, "");
        expect(s, "d2", 2, "");
        assert_int_equal(vault_verify_sync(s->vault, &(struct vault_verify_handler){.done = NULL}, NULL), 0);
    }
    c = vault_change_new(s->vault, "d1", VAULT_OF_SENSOR);
    vault_change_remove(c);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    assert_null(vault_find(s->vault, "d1", VAULT_OF_SENSOR));
    assert_int_equal(bind_number(s, "d3", 2, "", NULL), 0);
    expect(s, "d3", 2, "");
}

/* What a driver has seen is no cloud's, and what is a cloud's no driver sees; also once it is forgotten. */
static void test_never_a_clouds(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct vault_change *c;

    assert_int_equal(bind_number(s, "d1", 2, "", NULL), 0);
    assert_int_equal(psk_number(s, "d9", "id-9", 3, NULL), 0);
    for (int again = 0; again < 3; again++) {
        assert_int_equal(psk_number(s, "d2", "id-2", 2, &e), -EEXIST);
        assert_non_null(strstr(e.text, "bind key"));
        assert_int_equal(bind_number(s, "d2", 3, "", &e), -EEXIST);
        assert_non_null(strstr(e.text, "d9"));
        if (again == 1) {
            c = vault_change_new(s->vault, "d1", VAULT_OF_SENSOR);
            vault_change_remove(c);
            assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
            c = vault_change_new(s->vault, "d9", "cloud");
            vault_change_remove(c);
            assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
        }
        scratch_reopen(s);
    }
}

/* Of what a maker chose nobody asks how random it looks; of other kinds nothing belongs there. */
static void test_form(void **state)
{
    _cleanup_(secret_freep) struct secret *plain = NULL, *good = scratch_key(*state, 5, 16);
    struct scratch *s = *state;
    struct vault_change *c;

    assert_int_equal(secret_new(s->arena, &plain), 0);
    memset(plain->bytes, 0x11, 16);
    plain->size = 16;
    assert_int_equal(put_bind(s, "d1", plain, "", NULL), 0);
    c = vault_change_new(s->vault, "d2", VAULT_OF_SENSOR);
    assert_int_equal(vault_change_put(c, VAULT_MAIN, "x", VAULT_PSK, good, 0, NULL), -EINVAL);
    vault_change_free(c);
    c = vault_change_new(s->vault, "d2", "*other");
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), -EINVAL);
}

static void test_rekey_carries_it(void **state)
{
    struct scratch *s = *state;
    struct secret *next = scratch_key(s, 9, KEYFILE_SIZE);
    char path[128];
    struct error e = {0};

    assert_int_equal(bind_number(s, "d1", 2, "17", NULL), 0);
    snprintf(path, sizeof(path), "%s/next", s->directory);
    scratch_write(path, next->bytes, KEYFILE_SIZE, 0400);
    if (vault_rekey(s->vault, next, NULL, NULL, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(vault_flush(s->vault), 0);
    s->options.keyfile = path;
    scratch_reopen(s);
    expect(s, "d1", 2, "17");
}

/* A restore must not make what was recorded since acceptable; and the sensor waits for no cloud. */
static void test_restore_keeps_what_was_counted(void **state)
{
    struct scratch *s = *state;
    struct vault_restore options = {.keyfile = s->keyfile, .path = s->path};
    char file[128], replaced[VAULT_REPLACED_MAX];
    struct error e = {0};
    struct vault_change *c;

    assert_int_equal(bind_number(s, "d1", 2, "17", NULL), 0);
    assert_int_equal(bind_number(s, "d2", 3, "5", NULL), 0);
    snprintf(file, sizeof(file), "%s/backup", s->directory);
    assert_int_equal(vault_backup_sync(s->vault, file, &e), 0);
    c = vault_change_new(s->vault, "d1", VAULT_OF_SENSOR);
    vault_change_rotation(c, "4711", 4);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    s->vault = vault_free(s->vault);
    options.file = file;
    if (vault_restore(s->event, s->arena, &options, replaced, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(scratch_open(s, &e), 0);
    expect(s, "d1", 2, "4711");
    expect(s, "d2", 3, "5");
    assert_false(vault_restored(vault_find(s->vault, "d1", VAULT_OF_SENSOR)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_beside_the_clouds, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_any_number_of_devices, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_never_a_clouds, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_form, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_rekey_carries_it, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_restore_keeps_what_was_counted, scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
