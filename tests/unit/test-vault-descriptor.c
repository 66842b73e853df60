/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys through descriptors: every encoding both ways, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"

#include <sys/mman.h>
#include <sys/socket.h>

struct answer {
    bool called;
    int r;
    struct secret *key;
    char text[ERROR_TEXT_MAX];
};

static void on_key(int r, struct secret *key, const struct error *e, void *userdata)
{
    struct answer *a = userdata;

    a->called = true;
    a->r = r;
    a->key = key;
    if (e)
        strcpy(a->text, e->text);
    assert_int_equal(r < 0, key == NULL);
}

static int sealed_memfd(const void *data, size_t n)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(write_all(fd, data, n), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
    return fd;
}

static int filled_pipe(const void *data, size_t n)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write_all(fds[1], data, n), 0);
    close(fds[1]);
    return fds[0];
}

static void read_fd(struct scratch *s, int fd, enum vault_encoding encoding, struct answer *a)
{
    *a = (struct answer){0};
    assert_int_equal(vault_key_read(s->arena, s->event, fd, encoding, on_key, a, NULL, NULL), 0);
    /* The caller may close its own at once. */
    close(fd);
    assert_false(a->called);
    while (!a->called)
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) >= 0);
}

#define HEX64 "8f3a01b2c4d5e6978899a0b1c2d3e4f58f3a01b2c4d5e6978899a0b1c2d3e4f5"
#define RAW16 "\x8f\x3a\x01\xb2\xc4\xd5\xe6\x97\x88\x99\xa0\xb1\xc2\xd3\xe4\xf5"

static const struct {
    const char *name, *input;
    enum vault_encoding encoding;
    int r;
    const char *key, *says;
} inputs[] = {
    {"raw", RAW16, VAULT_RAW, 0, RAW16, NULL},
    {"raw keeps a newline", "0123456789abcdefg\n", VAULT_RAW, 0, "0123456789abcdefg\n", NULL},
    {"hex", "8f3a01b2c4d5e6978899A0B1C2D3E4F5", VAULT_HEX, 0, RAW16, NULL},
    {"hex, newline", "8f3a01b2c4d5e6978899a0b1c2d3e4f5\n", VAULT_HEX, 0, RAW16, NULL},
    {"hex, two newlines", "8f3a01b2c4d5e6978899a0b1c2d3e4f5\n\n", VAULT_HEX, -EINVAL, NULL, "not hex"},
    {"the longest hex, newline", HEX64 HEX64 "\n", VAULT_HEX, 0, RAW16 RAW16 RAW16 RAW16, NULL},
    {"hex of 65 bytes", HEX64 HEX64 "00", VAULT_HEX, -EMSGSIZE, NULL, "too long"},
    {"base64", "jzoBssTV5peImaCxwtPk9Q==\n", VAULT_BASE64, 0, RAW16, NULL},
    {"base64 without padding", "jzoBssTV5peImaCxwtPk9Q", VAULT_BASE64, -EINVAL, NULL, "not base64"},
    {"text", "eine Schlüsselphrase\n", VAULT_TEXT, 0, "eine Schlüsselphrase", NULL},
    {"text with a control character", "eine\tSchluesselphrase", VAULT_TEXT, -EINVAL, NULL, "not text"},
    {"hex taken for text is that text", HEX64, VAULT_TEXT, 0, HEX64, NULL},
    {"short", "0123456789abcde\n", VAULT_TEXT, -EINVAL, NULL, "15 bytes as text"},
    {"nothing", "", VAULT_HEX, -EINVAL, NULL, "0 bytes"},
    {"only a newline", "\n", VAULT_TEXT, -EINVAL, NULL, "0 bytes"},
    {"65 bytes", HEX64 "0", VAULT_TEXT, -EINVAL, NULL, "65 bytes"},
    {"256 bytes", HEX64 HEX64 HEX64 HEX64, VAULT_TEXT, -EMSGSIZE, NULL, "too long"},
    {"257 bytes", HEX64 HEX64 HEX64 HEX64 "0", VAULT_TEXT, -EMSGSIZE, NULL, "more than 256"},
};

static void test_inputs(void **state)
{
    struct scratch *s = *state;

    for (size_t i = 0; i < ELEMENTSOF(inputs); i++)
        for (int as_pipe = 0; as_pipe < 2; as_pipe++) {
            size_t n = strlen(inputs[i].input);
            struct answer a;

            read_fd(s, as_pipe ? filled_pipe(inputs[i].input, n) : sealed_memfd(inputs[i].input, n), inputs[i].encoding,
                    &a);
            if (a.r != inputs[i].r || (inputs[i].says && !strstr(a.text, inputs[i].says)))
                fail_msg("%s: %d %s", inputs[i].name, a.r, a.text);
            if (inputs[i].key) {
                assert_int_equal(a.key->size, strlen(inputs[i].key));
                assert_memory_equal(a.key->bytes, inputs[i].key, a.key->size);
            }
            secret_free(a.key);
        }
}

static void test_refused_descriptors(void **state)
{
    struct scratch *s = *state;
    int fds[2], sockets[2], unsealed = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int file = open(s->keyfile, O_RDONLY);
    struct answer a = {0};

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    {
        const int bad[] = {unsealed, file, fds[1], sockets[0]};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
            struct error e = {0};

            assert_int_equal(vault_key_read(s->arena, s->event, bad[i], VAULT_RAW, on_key, &a, NULL, &e), -EINVAL);
            assert_non_null(strstr(e.text, "memfd"));
            close(bad[i]);
        }
    }
    close(fds[0]);
    close(sockets[1]);
    assert_int_equal(vault_key_read(s->arena, s->event, 9999, VAULT_RAW, on_key, &a, NULL, NULL), -EBADF);
}

/* In pieces, and one that is given up. */
static void test_slow_pipe(void **state)
{
    struct scratch *s = *state;
    struct vault_key_read *reading = NULL;
    struct answer a = {0};
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(vault_key_read(s->arena, s->event, fds[0], VAULT_TEXT, on_key, &a, &reading, NULL), 0);
    for (const char *p = "a key in pieces, one at a time"; *p; p++) {
        assert_int_equal(write_all(fds[1], p, 1), 0);
        assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
        assert_false(a.called);
    }
    close(fds[1]);
    assert_true(sd_event_run(s->event, 10 * USEC_PER_SEC) > 0);
    assert_true(a.called);
    assert_int_equal(a.r, 0);
    assert_int_equal(a.key->size, 30);
    secret_free(a.key);
    close(fds[0]);

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(vault_key_read(s->arena, s->event, fds[0], VAULT_TEXT, on_key, &a, &reading, NULL), 0);
    vault_key_read_free(reading);
    close(fds[0]);
    close(fds[1]);
}

static void test_export(void **state)
{
    struct scratch *s = *state;
    struct vault_change *c = vault_change_new(s->vault, "a", "cloud");
    _cleanup_(secret_freep) struct secret *key = scratch_key(s, 1, KEY_MAX), *text = NULL;
    const enum vault_encoding encodings[] = {VAULT_RAW, VAULT_HEX, VAULT_BASE64};
    struct vault_entry *entry;
    int fd;

    assert_int_equal(secret_new(s->arena, &text), 0);
    memcpy(text->bytes, "wP7x!qK2vR9z@mL4", text->size = 16);
    vault_change_put(c, VAULT_MAIN, "id-1", VAULT_PSK, key, 0, NULL);
    vault_change_put(c, VAULT_BACKUP, "id-2", VAULT_PSK, text, 0, NULL);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    entry = vault_find(s->vault, "a", "cloud");
    for (size_t i = 0; i < ELEMENTSOF(encodings); i++) {
        struct answer a;

        assert_int_equal(vault_key_export(s->vault, entry, VAULT_MAIN, encodings[i], &fd, NULL), 0);
        assert_int_equal(write(fd, "x", 1), -1);
        read_fd(s, fd, encodings[i], &a);
        assert_int_equal(a.r, 0);
        assert_int_equal(a.key->size, KEY_MAX);
        assert_memory_equal(a.key->bytes, key->bytes, KEY_MAX);
        secret_free(a.key);
    }
    assert_int_equal(vault_key_export(s->vault, entry, VAULT_MAIN, VAULT_TEXT, &fd, NULL), -EILSEQ);
    assert_int_equal(vault_key_export(s->vault, entry, VAULT_BACKUP, VAULT_TEXT, &fd, NULL), 0);
    {
        char back[32];

        assert_int_equal(read(fd, back, sizeof(back)), 16);
        assert_memory_equal(back, "wP7x!qK2vR9z@mL4", 16);
        close(fd);
    }
    c = vault_change_new(s->vault, "a", "cloud");
    vault_change_forget(c, VAULT_BACKUP);
    assert_int_equal(vault_commit_sync(s->vault, c, NULL), 0);
    assert_int_equal(vault_key_export(s->vault, entry, VAULT_BACKUP, VAULT_HEX, &fd, NULL), -ENOENT);
}

static void test_names(void **state)
{
    assert_int_equal(vault_encoding_from_string("base64"), VAULT_BASE64);
    assert_int_equal(vault_encoding_from_string("BASE64"), -EINVAL);
    assert_string_equal(vault_encoding_to_string(VAULT_TEXT), "text");
    assert_int_equal(vault_slot_from_string("backup"), VAULT_BACKUP);
    assert_int_equal(vault_kind_from_string("bind"), VAULT_BIND);
    assert_string_equal(vault_kind_to_string(VAULT_PSK), "psk");
}

#define DESCRIPTOR_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESCRIPTOR_TEST(test_inputs),    DESCRIPTOR_TEST(test_refused_descriptors),
        DESCRIPTOR_TEST(test_slow_pipe), DESCRIPTOR_TEST(test_export),
        DESCRIPTOR_TEST(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
