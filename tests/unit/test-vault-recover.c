/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recovery key opens what neither keyfile nor bind value open any more; a bind value that changed is named as the
 * cause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

#include "vault/backup.h"
#include "vault/bind.h"
#include "vault/recover.h"

#define RECOVERY 900 /* numbers of keys */

static void set_recovery_key(struct scratch *s, unsigned number)
{
    assert_int_equal(vault_set_recovery_key(s->vault, scratch_key(s, number, SEAL_KEY_SIZE), NULL, NULL, NULL), 0);
    assert_int_equal(vault_flush(s->vault), 0);
}

static int recover(struct scratch *s, unsigned number, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = scratch_key(s, number, SEAL_KEY_SIZE);

    s->vault = vault_free(s->vault);
    return vault_wrap_anew(
        s->arena,
        &(struct vault_wrapping){
            .path = s->path, .keyfile = s->keyfile, .bind = s->options.bind, .bind_size = s->options.bind_size},
        NULL, key, e);
}

static void lose_keyfile(struct scratch *s, unsigned number)
{
    _cleanup_(secret_freep) struct secret *key = scratch_key(s, number, KEYFILE_SIZE);

    scratch_write(s->keyfile, key->bytes, key->size, 0400);
}

static void expect_opens(struct scratch *s)
{
    struct error e = {0};

    if (scratch_open(s, &e) < 0)
        fail_msg("%s", e.text);
    scratch_expect_key(s, "a", VAULT_MAIN, 1);
}

static void test_keyfile_lost(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    set_recovery_key(s, RECOVERY);
    scratch_reopen(s); /* it changes nothing for the keyfile */
    lose_keyfile(s, 1000);
    s->vault = vault_free(s->vault);
    assert_int_equal(scratch_open(s, NULL), -EKEYREJECTED);
    assert_int_equal(recover(s, RECOVERY + 1, &e), -EKEYREJECTED);
    assert_int_equal(scratch_open(s, NULL), -EKEYREJECTED);
    if (recover(s, RECOVERY, &e) < 0)
        fail_msg("%s", e.text);
    expect_opens(s);
    /* It opens a second time too. */
    lose_keyfile(s, 1001);
    assert_int_equal(recover(s, RECOVERY, &e), 0);
    expect_opens(s);
}

static void test_void_ones(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    assert_int_equal(recover(s, RECOVERY, &e), -ENOKEY);
    expect_opens(s);
    set_recovery_key(s, RECOVERY);
    set_recovery_key(s, RECOVERY + 1);
    assert_int_equal(recover(s, RECOVERY, &e), -EKEYREJECTED); /* replaced */
    assert_int_equal(recover(s, RECOVERY + 1, &e), 0);
    expect_opens(s);
    assert_int_equal(vault_rekey(s->vault, scratch_key(s, 1000, KEYFILE_SIZE), NULL, NULL, NULL), 0);
    assert_int_equal(vault_flush(s->vault), 0);
    lose_keyfile(s, 1000);
    assert_int_equal(recover(s, RECOVERY + 1, &e), -ENOKEY); /* rekeyed */
    assert_non_null(strstr(e.text, "rekey"));
    expect_opens(s);
}

static void test_bind_changed(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};

    s->vault = vault_free(s->vault);
    unlink(s->path);
    s->options.bind = "board one";
    s->options.bind_size = 9;
    assert_int_equal(scratch_open(s, NULL), 0);
    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    set_recovery_key(s, RECOVERY);
    s->vault = vault_free(s->vault);
    s->options.bind = "board two";
    assert_int_equal(scratch_open(s, &e), -EKEYREJECTED);
    assert_non_null(strstr(e.text, "`bind` has changed"));
    assert_int_equal(recover(s, RECOVERY, &e), 0);
    expect_opens(s);
    /* A rekey keeps the value that is right now. */
    assert_int_equal(vault_rekey(s->vault, scratch_key(s, 1000, KEYFILE_SIZE), NULL, NULL, NULL), 0);
    assert_int_equal(vault_flush(s->vault), 0);
    lose_keyfile(s, 1000);
    scratch_reopen(s);
    s->vault = vault_free(s->vault);
    s->options.bind = NULL;
    assert_int_equal(scratch_open(s, NULL), -EKEYREJECTED);
}

static void test_bind_adopted(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    set_recovery_key(s, RECOVERY);
    s->vault = vault_free(s->vault);
    s->options.bind = "board";
    s->options.bind_size = 5;
    assert_int_equal(scratch_open(s, NULL), -EKEYREJECTED);
    s->options.adopt_bind = true;
    expect_opens(s);
    s->vault = vault_free(s->vault);
    s->options.adopt_bind = false;
    expect_opens(s);
    s->vault = vault_free(s->vault);
    s->options.bind = NULL;
    assert_int_equal(scratch_open(s, &e), -EKEYREJECTED);
    assert_non_null(strstr(e.text, "bound"));
    /* Unbound again by the recovery key alone. */
    assert_int_equal(recover(s, RECOVERY, &e), 0);
    expect_opens(s);
}

/* A backup opens with the recovery key of its time. */
static void test_backup(void **state)
{
    struct scratch *s = *state;
    _cleanup_(secret_freep) struct secret *key = scratch_key(s, RECOVERY, SEAL_KEY_SIZE);
    char file[128], replaced[VAULT_REPLACED_MAX];
    struct error e = {0};

    assert_int_equal(scratch_put(s, "a", VAULT_MAIN, "a-1", 1, NULL), 0);
    set_recovery_key(s, RECOVERY);
    snprintf(file, sizeof(file), "%s/backup", s->directory);
    assert_int_equal(vault_backup_sync(s->vault, file, NULL), 0);
    s->vault = vault_free(s->vault);
    unlink(s->path);
    lose_keyfile(s, 1000);
    if (vault_restore(
            s->event, s->arena,
            &(struct vault_restore){.path = s->path, .file = file, .keyfile = s->keyfile, .recovery_key = key},
            replaced, &e) != 1)
        fail_msg("%s", e.text);
    expect_opens(s);
}

static int read_text(struct scratch *s, const char *text, struct secret **ret)
{
    int fds[2], r;

    assert_int_equal(pipe(fds), 0);
    assert_true(write(fds[1], text, strlen(text)) >= 0);
    close(fds[1]);
    r = recovery_key_read(s->arena, fds[0], ret, NULL);
    close(fds[0]);
    return r;
}

static void test_as_text(void **state)
{
    static const char digits[] = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
    struct scratch *s = *state;
    struct secret *key = NULL;
    char text[200] = "";

    for (size_t i = 0; i < strlen(digits); i += 4)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.4s%s", digits + i, i % 8 ? " " : "-");
    strcat(text, "\nand more");
    assert_int_equal(read_text(s, text, &key), 0);
    assert_int_equal(key->size, SEAL_KEY_SIZE);
    assert_int_equal(key->bytes[1], 0x11);
    assert_int_equal(key->bytes[31], 0xff);
    key = secret_free(key);
    assert_int_equal(read_text(s, digits, &key), 0);
    key = secret_free(key);
    assert_int_equal(read_text(s, digits + 1, &key), -EINVAL);
    assert_int_equal(read_text(s, "", &key), -EINVAL);
    text[0] = 'x';
    assert_int_equal(read_text(s, text, &key), -EINVAL);
    memset(text, 'a', sizeof(text) - 1);
    assert_int_equal(read_text(s, text, &key), -EINVAL);
}

static void test_bind_values(void **state)
{
    struct scratch *s = *state;
    struct bind_value value;
    struct error e = {0};
    char spec[128];

    assert_int_equal(bind_serial("10000000abcdef01", 17, &value), 0);
    assert_int_equal(value.size, 16);
    assert_int_equal(bind_serial("abc\n", 4, &value), 0);
    assert_int_equal(value.size, 3);
    assert_int_equal(bind_serial("", 1, &value), -EINVAL);
    assert_int_equal(bind_serial("0000000000000000", 17, &value), -EINVAL);
    assert_int_equal(bind_read(NULL, &value, NULL), 0);
    assert_int_equal(value.size, 0);
    snprintf(spec, sizeof(spec), "file:%s/bind", s->directory);
    assert_int_equal(bind_read(spec, &value, &e), -ENOENT);
    assert_non_null(strstr(e.text, "bound to file:"));
    scratch_write(spec + 5, "", 0, 0600);
    assert_int_equal(bind_read(spec, &value, NULL), -EINVAL);
    scratch_write(spec + 5, "value", 5, 0600);
    assert_int_equal(bind_read(spec, &value, NULL), 0);
    assert_int_equal(value.size, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keyfile_lost, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_void_ones, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_bind_changed, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_bind_adopted, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_backup, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_as_text, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_bind_values, scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
