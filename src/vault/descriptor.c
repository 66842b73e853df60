/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys in and out of descriptors. What is read stands in two arena cells, which is KEY_DESCRIPTOR_MAX bytes. */
#include "base/durable.h"
#include "base/encode.h"
#include "base/text.h"
#include "vault/internal.h"
#include "vault/key.h"
#include "vault/login.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

_Static_assert(KEY_DESCRIPTOR_MAX == 2 * ARENA_CELL_SIZE, "two cells hold what is read");

struct vault_key_read {
    struct arena *arena;
    int fd;
    bool is_file;
    enum vault_encoding encoding;
    bool login; /* the text of one, and no key */
    vault_key_done_fn *done;
    void *userdata;
    struct secret *cells[2];
    size_t n;
    sd_event_source *source, *timer;
};

static const char *what(bool login)
{
    return login ? "login" : "key";
}

struct vault_key_read *vault_key_read_free(struct vault_key_read *reading)
{
    if (!reading)
        return NULL;
    sd_event_source_disable_unref(reading->source);
    sd_event_source_disable_unref(reading->timer);
    safe_close(reading->fd);
    secret_free(reading->cells[0]);
    secret_free(reading->cells[1]);
    free(reading);
    return NULL;
}
DEFINE_FREEP(struct vault_key_read, vault_key_read_free)

ssize_t key_decode(enum vault_encoding encoding, const char *text, size_t n, uint8_t bytes[ARENA_CELL_SIZE],
                   struct error *e)
{
    const char *expected = "bytes";
    ssize_t k = -EINVAL;

    switch (encoding) {
    case VAULT_RAW:
    case VAULT_TEXT:
        expected = "text (UTF-8 without control characters)";
        if (n <= ARENA_CELL_SIZE && (encoding == VAULT_RAW || text_printable(text, n))) {
            memcpy(bytes, text, n);
            k = (ssize_t)n;
        }
        break;
    case VAULT_HEX:
        expected = "hex (two digits a byte, nothing else)";
        k = hex_decode(text, n, bytes, ARENA_CELL_SIZE);
        break;
    case VAULT_BASE64:
        expected = "base64 (with its padding)";
        k = base64_decode(text, n, bytes, ARENA_CELL_SIZE);
        break;
    }
    if (k < 0)
        return error_set(e, -EINVAL, "the key is not %s", expected);
    if (k < KEY_MIN || k > KEY_MAX)
        return error_set(e, -EINVAL, "the key has %zd bytes as %s: it must have %d to %d", k,
                         vault_encoding_to_string(encoding), KEY_MIN, KEY_MAX);
    return k;
}

/* The text in the first cell, decoded into a new one. Whatever is longer than a cell is too long for a key. */
static int decode(struct vault_key_read *reading, struct secret **ret, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    size_t n = reading->n;
    ssize_t k;
    int r;

    if (reading->encoding != VAULT_RAW && n > 0 &&
        reading->cells[(n - 1) / ARENA_CELL_SIZE]->bytes[(n - 1) % ARENA_CELL_SIZE] == '\n')
        n--;
    if (n > ARENA_CELL_SIZE)
        return reading->login ? login_too_long(e)
                              : error_set(e, -EMSGSIZE, "that is too long: a key has at most %d bytes", KEY_MAX);
    r = secret_new(reading->arena, &key);
    if (r < 0)
        return error_errno(e, r, "no room for a %s", what(reading->login));
    k = reading->login ? login_decode((const char *)reading->cells[0]->bytes, n, key->bytes, e)
                       : key_decode(reading->encoding, (const char *)reading->cells[0]->bytes, n, key->bytes, e);
    if (k < 0)
        return (int)k;
    key->size = (size_t)k;
    *ret = TAKE_PTR(key);
    return 0;
}

/* Answers, and is gone. */
static void finish(struct vault_key_read *reading, int r, struct error *e)
{
    vault_key_done_fn *done = reading->done;
    void *userdata = reading->userdata;
    struct secret *key = NULL;

    if (r >= 0)
        r = decode(reading, &key, e);
    vault_key_read_free(reading);
    done(r < 0 ? r : 0, key, r < 0 ? e : NULL, userdata);
}

/* 1: the end was seen; 0: more may come. A file is read by position: its sender may have left the offset anywhere. */
static int read_more(struct vault_key_read *key, struct error *e)
{
    for (;;) {
        struct secret *cell = key->cells[MIN_OF(key->n / ARENA_CELL_SIZE, (size_t)1)];
        size_t at = key->n % ARENA_CELL_SIZE;
        uint8_t beyond;
        bool full = key->n == KEY_DESCRIPTOR_MAX;
        void *to = full ? &beyond : cell->bytes + at;
        size_t room = full ? 1 : ARENA_CELL_SIZE - at;
        ssize_t k = key->is_file ? pread(key->fd, to, room, (off_t)key->n) : read(key->fd, to, room);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0 && errno == EAGAIN)
            return 0;
        if (k < 0)
            return error_errno(e, -errno, "cannot read the %s", what(key->login));
        if (k == 0)
            return 1;
        if (full && key->login)
            return login_too_long(e);
        if (full)
            return error_set(e, -EMSGSIZE, "more than %d bytes came: that is no key", KEY_DESCRIPTOR_MAX);
        key->n += (size_t)k;
    }
}

static void proceed(struct vault_key_read *reading)
{
    struct error e = {0};
    int r = read_more(reading, &e);

    if (r != 0)
        finish(reading, r, &e);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    proceed(userdata);
    return 0;
}

static int on_turn(sd_event_source *source, void *userdata)
{
    proceed(userdata);
    return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    const struct vault_key_read *reading = userdata;
    struct error e;
    int r = error_set(&e, -ETIMEDOUT, "the %s did not come to its end within %d s", what(reading->login),
                      (int)(KEY_DESCRIPTOR_TIMEOUT / USEC_PER_SEC));

    finish(userdata, r, &e);
    return 0;
}

/* 1: a file that cannot change any more; 0: a pipe to read from. */
static int check_descriptor(int fd, bool login, struct error *e)
{
    int seals = fcntl(fd, F_GET_SEALS), flags = fcntl(fd, F_GETFL);
    struct stat st;

    if (flags < 0 || fstat(fd, &st) < 0)
        return error_errno(e, -errno, "cannot look at the descriptor of the %s", what(login));
    if (S_ISREG(st.st_mode) && seals >= 0 && (seals & F_SEAL_WRITE))
        return 1;
    if (S_ISFIFO(st.st_mode) && (flags & O_ACCMODE) == O_RDONLY)
        return 0;
    return error_set(e, -EINVAL, "a %s comes in a memfd sealed against writing, or in the read end of a pipe",
                     what(login));
}

static int watch(struct vault_key_read *reading, sd_event *event)
{
    int flags, r;

    if (reading->is_file)
        return sd_event_add_defer(event, &reading->source, on_turn, reading);
    flags = fcntl(reading->fd, F_GETFL);
    if (flags < 0 || fcntl(reading->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    r = sd_event_add_io(event, &reading->source, reading->fd, EPOLLIN, on_readable, reading);
    if (r < 0)
        return r;
    return sd_event_add_time_relative(event, &reading->timer, CLOCK_BOOTTIME, KEY_DESCRIPTOR_TIMEOUT, 0, on_timeout,
                                      reading);
}

static int begin_reading(struct arena *arena, sd_event *event, int fd, enum vault_encoding encoding, bool login,
                         vault_key_done_fn *done, void *userdata, struct vault_key_read **ret, struct error *e)
{
    _cleanup_(vault_key_read_freep) struct vault_key_read *reading = NULL;
    int is_file = check_descriptor(fd, login, e), r;

    if (is_file < 0)
        return is_file;
    reading = calloc(1, sizeof(*reading));
    if (!reading)
        return error_set(e, -ENOMEM, "out of memory");
    *reading = (struct vault_key_read){
        .arena = arena, .is_file = is_file, .encoding = encoding, .login = login, .done = done, .userdata = userdata};
    reading->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    r = reading->fd < 0 ? -errno : 0;
    for (int i = 0; r >= 0 && i < 2; i++)
        r = secret_new(arena, &reading->cells[i]);
    if (r >= 0)
        r = watch(reading, event);
    if (r < 0)
        return error_errno(e, r, "cannot read a %s", what(login));
    if (ret)
        *ret = reading;
    TAKE_PTR(reading);
    return 0;
}

int vault_key_read(struct arena *arena, sd_event *event, int fd, enum vault_encoding encoding, vault_key_done_fn *done,
                   void *userdata, struct vault_key_read **ret, struct error *e)
{
    return begin_reading(arena, event, fd, encoding, false, done, userdata, ret, e);
}

int vault_login_read(struct arena *arena, sd_event *event, int fd, vault_key_done_fn *done, void *userdata,
                     struct vault_key_read **ret, struct error *e)
{
    return begin_reading(arena, event, fd, VAULT_TEXT, true, done, userdata, ret, e);
}

/* Half a cell at a time, since the hex of 64 bytes with its NUL is longer than a cell. */
static int write_hex(int fd, const struct secret *key, struct secret *room)
{
    int r = 0;

    for (size_t at = 0; r >= 0 && at < key->size; at += 32) {
        size_t n = MIN_OF(key->size - at, (size_t)32);

        hex_encode(key->bytes + at, n, (char *)room->bytes);
        r = write_all(fd, room->bytes, 2 * n);
    }
    return r;
}

static int write_key(int fd, const struct secret *key, enum vault_encoding encoding, struct secret *room)
{
    switch (encoding) {
    case VAULT_RAW:
        return write_all(fd, key->bytes, key->size);
    case VAULT_TEXT:
        return text_printable(key->bytes, key->size) ? write_all(fd, key->bytes, key->size) : -EILSEQ;
    case VAULT_HEX:
        return write_hex(fd, key, room);
    case VAULT_BASE64:
        base64_encode(key->bytes, key->size, (char *)room->bytes);
        return write_all(fd, room->bytes, strlen((const char *)room->bytes));
    }
    return -EINVAL;
}

int vault_key_export(struct vault *vault, const struct vault_entry *entry, enum vault_slot slot,
                     enum vault_encoding encoding, int *ret_fd, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = NULL, *room = NULL;
    _cleanup_close_ int fd = -EBADF;
    int r = vault_key_open(vault, entry, slot, &key, e);

    if (r < 0)
        return r;
    r = secret_new(vault->arena, &room);
    if (r < 0)
        return error_errno(e, r, "no room for a key");
    fd = memfd_create("gatehouse-key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    r = fd < 0 ? -errno : write_key(fd, key, encoding, room);
    if (r == -EILSEQ)
        return error_set(e, r, "the key of %s is no text: ask for hex or base64", entry->device);
    if (r >= 0 && (lseek(fd, 0, SEEK_SET) < 0 ||
                   fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0))
        r = -errno;
    if (r < 0)
        return error_errno(e, r, "cannot hand out the key of %s", entry->device);
    *ret_fd = TAKE_FD(fd);
    return 0;
}
