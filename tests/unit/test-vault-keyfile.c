/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which keyfiles are taken, and that the refusal says what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"
#include "vault/keyfile.h"

static const struct {
    const char *name;
    size_t size;
    mode_t mode;
    int r;
    const char *says;
} files[] = {
    {"good", 32, 0400, 0, NULL},
    {"good, writable", 32, 0600, 0, NULL},
    {"group-readable", 32, 0440, -EPERM, "its group (mode 0440)"},
    {"group-writable", 32, 0420, -EPERM, "its group"},
    {"world-readable", 32, 0444, -EPERM, "others (mode 0444)"},
    {"short", 31, 0400, -EINVAL, "has 31 bytes"},
    {"long", 33, 0400, -EINVAL, "has 33 bytes"},
    {"empty", 0, 0400, -EINVAL, "empty"},
    {"hex text", 64, 0400, -EINVAL, "hex or base64"},
    {"base64 text", 45, 0400, -EINVAL, "hex or base64"},
};

static void test_table(void **state)
{
    struct scratch *s = *state;
    uint8_t bytes[64];

    gnutls_rnd(GNUTLS_RND_RANDOM, bytes, sizeof(bytes));
    for (size_t i = 0; i < ELEMENTSOF(files); i++) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        struct error e = {0};
        int r;

        scratch_write(s->keyfile, bytes, files[i].size, files[i].mode);
        r = keyfile_read(s->arena, s->keyfile, &key, &e);
        if (r != files[i].r || (files[i].says && !strstr(e.text, files[i].says)))
            fail_msg("%s: %d %s", files[i].name, r, e.text);
        if (r == 0)
            assert_memory_equal(key->bytes, bytes, KEYFILE_SIZE);
    }
}

static void test_not_random(void **state)
{
    struct scratch *s = *state;
    struct secret *key = NULL;
    uint8_t zero[KEYFILE_SIZE] = {0};

    scratch_write(s->keyfile, zero, sizeof(zero), 0400);
    assert_int_equal(keyfile_read(s->arena, s->keyfile, &key, NULL), -EKEYREJECTED);
}

static void test_foreign_owner(void **state)
{
    struct scratch *s = *state;
    struct secret *key = NULL;
    struct error e = {0};

    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(s->keyfile, 12345, 0), 0);
    assert_int_equal(keyfile_read(s->arena, s->keyfile, &key, &e), -EPERM);
    assert_non_null(strstr(e.text, "uid 12345"));
}

static void test_not_a_file(void **state)
{
    struct scratch *s = *state;
    struct secret *key = NULL;
    char pipe_path[96];

    assert_int_equal(keyfile_read(s->arena, s->directory, &key, NULL), -EINVAL);
    snprintf(pipe_path, sizeof(pipe_path), "%.64s/pipe", s->directory);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(keyfile_read(s->arena, pipe_path, &key, NULL), -EINVAL);
    assert_int_equal(keyfile_read(s->arena, "/nonexistent/key", &key, NULL), -ENOENT);
}

/* Below the credentials directory the mode says nothing (0440 with an ACL since systemd 254), the length does. */
static void test_credentials_directory(void **state)
{
    struct scratch *s = *state;
    struct secret *key = NULL;
    uint8_t bytes[KEYFILE_SIZE];
    struct error e = {0};
    char path[96];

    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(keyfile_read(s->arena, NULL, &key, &e), -ENOENT);
    assert_non_null(strstr(e.text, "--keyfile"));
    setenv("CREDENTIALS_DIRECTORY", s->directory, 1);
    assert_int_equal(keyfile_read(s->arena, NULL, &key, NULL), -ENOENT);
    gnutls_rnd(GNUTLS_RND_RANDOM, bytes, sizeof(bytes));
    snprintf(path, sizeof(path), "%.64s/key_current", s->directory);
    scratch_write(path, bytes, sizeof(bytes), 0440);
    assert_int_equal(keyfile_read(s->arena, NULL, &key, NULL), 0);
    assert_memory_equal(key->bytes, bytes, sizeof(bytes));
    key = secret_free(key);
    scratch_write(path, bytes, 31, 0440);
    assert_int_equal(keyfile_read(s->arena, NULL, &key, NULL), -EINVAL);
    unsetenv("CREDENTIALS_DIRECTORY");
}

#define KEYFILE_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_prepare, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEYFILE_TEST(test_table),
        KEYFILE_TEST(test_not_random),
        KEYFILE_TEST(test_foreign_owner),
        KEYFILE_TEST(test_not_a_file),
        KEYFILE_TEST(test_credentials_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
