/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device's login in the vault: two lines, for one uplink and no other, sealed like a key. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

#include "base/encode.h"
#include "vault/backup.h"
#include "vault/login.h"

static int put_text(struct scratch *s, const char *device, const char *uplink, const char *text, struct error *e)
{
    _cleanup_(secret_freep) struct secret *login = NULL;
    struct vault_change *c;
    ssize_t n;
    int r;

    assert_int_equal(secret_new(s->arena, &login), 0);
    n = login_decode(text, strlen(text), login->bytes, e);
    if (n < 0)
        return (int)n;
    login->size = (size_t)n;
    c = vault_login_put(s->vault, device, uplink, login, &r, e);
    return c ? vault_commit_sync(s->vault, c, e) : r;
}

/* `user` NULL: it has none for this uplink. */
static void expect(struct scratch *s, const char *device, const char *uplink, const char *user, const char *password)
{
    struct vault_login login = {0};
    struct error e = {0};

    assert_int_equal(vault_login_open(s->vault, device, uplink, &login, &e), user ? 1 : 0);
    if (!user)
        return;
    assert_string_equal(login.user, user);
    if (password)
        assert_string_equal(login.password, password);
    else
        assert_null(login.password);
    secret_free(login.secret);
}

static void test_two_lines(void **state)
{
    static const struct {
        const char *text, *user, *password, *refused;
    } cases[] = {
        {"anna\nsesame", "anna", "sesame", NULL},
        {"a", "a", NULL, NULL},
        {"token\n", "token", NULL, NULL},
        {"m\xc3\xbcller\n p w ", "m\xc3\xbcller", " p w ", NULL},
        {"", NULL, NULL, "user name is missing"},
        {"\nsesame", NULL, NULL, "user name is missing"},
        {"anna\nsesame\nmore", NULL, NULL, "one with the password"},
        {"anna\r\nsesame", NULL, NULL, "control"},
        {"an\xff", NULL, NULL, "UTF-8"},
    };
    struct scratch *s = *state;

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct error e = {0};
        int r = put_text(s, "d1", "cloud", cases[i].text, &e);

        assert_int_equal(r, cases[i].refused ? -EINVAL : 0);
        if (cases[i].refused)
            assert_non_null(strstr(e.text, cases[i].refused));
        else
            expect(s, "d1", "cloud", cases[i].user, cases[i].password);
        if (strlen(cases[i].text) > 3)
            assert_null(strstr(e.text, "sesame"));
    }
}

static void test_as_long_as_fits(void **state)
{
    char text[DEVICE_LOGIN_MAX + 2], user[DEVICE_LOGIN_MAX + 1];
    struct scratch *s = *state;
    struct error e = {0};

    for (size_t n_user = 1; n_user <= DEVICE_LOGIN_MAX - 1; n_user += 25) {
        memset(text, 'p', sizeof(text));
        memset(text, 'u', n_user);
        text[n_user] = '\n';
        text[DEVICE_LOGIN_MAX] = 0;
        snprintf(user, sizeof(user), "%.*s", (int)n_user, text);
        assert_int_equal(put_text(s, "d1", "cloud", text, &e), 0);
        scratch_reopen(s);
        expect(s, "d1", "cloud", user, n_user < DEVICE_LOGIN_MAX - 1 ? text + n_user + 1 : NULL);
        memcpy(text + DEVICE_LOGIN_MAX, "p", 2);
        assert_int_equal(put_text(s, "d1", "cloud", text, &e), -EMSGSIZE);
        assert_non_null(strstr(e.text, "126 bytes together"));
    }
}

/* A cloud is never shown what is another's, and a login is no key. */
static void test_for_its_uplink_alone(void **state)
{
    _cleanup_(secret_freep) struct secret *key = scratch_key(*state, 5, 32);
    struct scratch *s = *state;
    struct vault_change *c;
    struct vault_entry *entry;
    char uplink[DEVICE_ID_MAX + 1];

    assert_int_equal(put_text(s, "d1", "cloud", "anna\nsesame", NULL), 0);
    for (int again = 0; again < 2; again++) {
        expect(s, "d1", "cloud", "anna", "sesame");
        expect(s, "d1", "other", NULL, NULL);
        expect(s, "d2", "cloud", NULL, NULL);
        entry = vault_login_find(s->vault, "d1", uplink);
        assert_true(entry && vault_entry_internal(entry));
        assert_string_equal(uplink, "cloud");
        assert_int_equal(vault_verify_sync(s->vault, &(struct vault_verify_handler){.done = NULL}, NULL), 0);
        scratch_reopen(s);
    }
    c = vault_change_new(s->vault, "d1", VAULT_OF_LOGIN);
    assert_int_equal(vault_change_put(c, VAULT_MAIN, "x", VAULT_PSK, key, 0, NULL), -EINVAL);
    vault_change_free(c);
    c = vault_change_new(s->vault, "d1", "cloud");
    assert_int_equal(vault_change_put(c, VAULT_MAIN, "x", VAULT_LOGIN, key, 0, NULL), -EINVAL);
    vault_change_free(c);
    assert_int_equal(put_text(s, "d1", "other", "bert", NULL), 0);
    expect(s, "d1", "cloud", NULL, NULL);
    expect(s, "d1", "other", "bert", NULL);
}

/* One login for all children of a gateway, set again, and forgotten. */
static void test_shared_and_forgotten(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c;

    for (int again = 0; again < 3; again++) {
        assert_int_equal(put_text(s, "d1", "cloud", "anna\nsesame", NULL), 0);
        assert_int_equal(put_text(s, "d2", "cloud", "anna\nsesame", NULL), 0);
        scratch_reopen(s);
        expect(s, "d2", "cloud", "anna", "sesame");
        c = vault_change_new(s->vault, "d1", VAULT_OF_LOGIN);
        vault_change_remove(c);
        assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
        expect(s, "d1", "cloud", NULL, NULL);
        expect(s, "d2", "cloud", "anna", "sesame");
        assert_int_equal(vault_verify_sync(s->vault, &(struct vault_verify_handler){.done = NULL}, NULL), 0);
        scratch_reopen(s);
    }
}

/* Nothing of it stands in the file as it was typed. */
static void test_sealed(void **state)
{
    static const char *const parts[] = {"user-name-of-d1", "pass-word-of-d1"};
    struct scratch *s = *state;
    _cleanup_free_ char *file = NULL;
    size_t n;

    assert_int_equal(put_text(s, "d1", "cloud", "user-name-of-d1\npass-word-of-d1", NULL), 0);
    s->vault = vault_free(s->vault);
    assert_int_equal(file_read(AT_FDCWD, s->path, 16 * 1024 * 1024, &file, &n, NULL), 0);
    for (size_t i = 0; i < ELEMENTSOF(parts); i++)
        assert_null(memmem(file, n, parts[i], strlen(parts[i])));
    assert_int_equal(scratch_open(s, NULL), 0);
}

static void test_a_backup_has_it(void **state)
{
    struct scratch *s = *state;
    struct vault_restore options = {.keyfile = s->keyfile, .path = s->path};
    char file[128], replaced[VAULT_REPLACED_MAX];
    struct error e = {0};

    assert_int_equal(put_text(s, "d1", "cloud", "anna\nsesame", NULL), 0);
    snprintf(file, sizeof(file), "%s/backup", s->directory);
    assert_int_equal(vault_backup_sync(s->vault, file, &e), 0);
    assert_int_equal(put_text(s, "d1", "other", "anna\nsesame", NULL), 0);
    s->vault = vault_free(s->vault);
    options.file = file;
    if (vault_restore(s->event, s->arena, &options, replaced, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(scratch_open(s, &e), 0);
    expect(s, "d1", "cloud", "anna", "sesame");
    expect(s, "d1", "other", NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_lines, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_as_long_as_fits, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_for_its_uplink_alone, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_shared_and_forgotten, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_sealed, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_backup_has_it, scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
