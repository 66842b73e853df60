/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/list.h"

#include "vault/list-internal.h"

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char *const formats[] = {[LIST_CSV] = "csv",
                                      [LIST_MOSQUITTO] = "mosquitto",
                                      [LIST_EMQX] = "emqx",
                                      [LIST_HONO] = "hono",
                                      [LIST_GOLIOTH] = "golioth"};

const char *list_format_to_string(enum list_format format)
{
    return formats[format];
}

int list_format_from_string(const char *text)
{
    for (size_t i = 0; i < ELEMENTSOF(formats); i++)
        if (strcmp(formats[i], text) == 0)
            return (int)i;
    return -EINVAL;
}

/* ── Memory ── */

int list_memory_new(size_t size, void **ret, struct error *e)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r;

    if (memory == MAP_FAILED)
        return -errno;
    if (mlock(memory, size) < 0 || madvise(memory, size, MADV_DONTDUMP) < 0 ||
        madvise(memory, size, MADV_WIPEONFORK) < 0) {
        r = -errno;
        munmap(memory, size);
        return error_errno(e, r, "cannot lock %zu bytes for keys (raise LimitMEMLOCK=)", size);
    }
    *ret = memory;
    return 0;
}

void list_memory_free(void *memory, size_t size)
{
    if (!memory)
        return;
    gnutls_memset(memory, 0, size);
    munmap(memory, size);
}

int list_rows_new(struct list_rows **ret, struct error *e)
{
    void *memory = NULL;
    int r = list_memory_new(sizeof(struct list_rows), &memory, e);

    if (r >= 0)
        *ret = memory;
    return r;
}

void list_rows_clear(struct list_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        struct list_row *row = &rows->rows[i];

        free(row->hardware_id);
        free(row->device);
        free(row->settings);
        free(row->identity);
        free(row->mistake);
        gnutls_memset(row, 0, sizeof(*row));
    }
    rows->n = 0;
}

struct list_rows *list_rows_free(struct list_rows *rows)
{
    if (!rows)
        return NULL;
    list_rows_clear(rows);
    list_memory_free(rows, sizeof(*rows));
    return NULL;
}

int list_row_key(struct arena *arena, const struct list_row *row, struct secret **ret)
{
    int r = secret_new(arena, ret);

    if (r < 0)
        return r;
    memcpy((*ret)->bytes, row->key, row->key_size);
    (*ret)->size = row->key_size;
    return 0;
}

/* ── Rows ── */

int list_mistake(struct list_row *row, const char *column, const char *text)
{
    free(row->mistake);
    row->mistake = NULL;
    if (asprintf(&row->mistake, "%s%s%s", column ?: "", column ? ": " : "", text) < 0) {
        row->mistake = NULL;
        return -ENOMEM;
    }
    return 0;
}

int list_set_text(struct list_row *row, const char *column, const char *text, size_t n, char **ret)
{
    if (n == 0 || *ret)
        return 0;
    if (!text_printable(text, n))
        return list_mistake(row, column, "not UTF-8 without control characters");
    *ret = strndup(text, n);
    return *ret ? 0 : -ENOMEM;
}

int list_set_key(struct list_row *row, enum vault_encoding encoding, const char *text, size_t n)
{
    uint8_t bytes[ARENA_CELL_SIZE];
    struct error e;
    ssize_t k = key_decode(encoding, text, n, bytes, &e);

    if (k >= 0) {
        row->key_size = (size_t)k;
        memcpy(row->key, bytes, row->key_size);
    }
    gnutls_memset(bytes, 0, sizeof(bytes));
    return k < 0 ? list_mistake(row, "key", e.text) : 0;
}

/* ── The reader ── */

static int check_descriptor(int fd, struct error *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return error_set(e, -EINVAL, "a list comes in a regular file or a memfd: it is read twice");
    return 0;
}

int list_reader_new(int fd, enum list_format format, struct list_reader **ret, struct error *e)
{
    _cleanup_(list_reader_freep) struct list_reader *l = NULL;
    void *memory = NULL;
    int r = check_descriptor(fd, e);

    if (r < 0)
        return r;
    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    l->format = format;
    if (l->fd < 0)
        return error_errno(e, -errno, "cannot read the list");
    r = list_memory_new(LIST_BUFFER, &memory, e);
    if (r < 0)
        return r;
    l->buffer = memory;
    *ret = TAKE_PTR(l);
    return 0;
}

struct list_reader *list_reader_free(struct list_reader *l)
{
    if (!l)
        return NULL;
    safe_close(l->fd);
    list_memory_free(l->buffer, LIST_BUFFER);
    free(l);
    return NULL;
}

void list_reader_rewind(struct list_reader *l)
{
    l->position = 0;
    l->begin = l->end = l->number = 0;
    l->ended = l->headed = false;
}

/* More of the file behind what is in the buffer. */
static int fill(struct list_reader *l, struct error *e)
{
    memmove(l->buffer, l->buffer + l->begin, l->end - l->begin);
    l->end -= l->begin;
    l->begin = 0;
    while (!l->ended && l->end < LIST_FILL) {
        ssize_t k = pread(l->fd, l->buffer + l->end, LIST_FILL - l->end, (off_t)l->position);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_errno(e, -errno, "cannot read the list");
        l->ended = k == 0;
        l->end += (size_t)k;
        l->position += (uint64_t)k;
    }
    return 0;
}

static int read_line(struct list_reader *l, struct list_row *row, size_t *ret_used)
{
    size_t n = MIN_OF(l->end - l->begin, (size_t)LIST_RECORD_MAX);
    char *text = l->buffer + l->begin, *end = memchr(text, '\n', n);
    bool last = l->ended && n == l->end - l->begin;

    n = end ? (size_t)(end - text) : n;
    *ret_used = end ? n + 1 : n;
    if (!end && !last)
        return list_mistake(row, NULL, "it is longer than " LIST_RECORD_TEXT);
    if (n > 0 && text[n - 1] == '\r')
        n--;
    text[n] = 0;
    if (strlen(text) != n)
        return list_mistake(row, NULL, "a zero byte");
    if (n == 0 || text[0] == '#')
        return LIST_SKIP;
    return list_parse_line(l->format, text, n, row);
}

/* One row. LIST_SKIP: it is none. */
static int read_row(struct list_reader *l, struct list_row *row, struct error *e)
{
    size_t used = 0;
    int r;

    row->number = ++l->number;
    r = l->format == LIST_CSV ? list_read_csv(l, row, &used, e) : read_line(l, row, &used);
    gnutls_memset(l->buffer + l->begin, 0, used);
    l->begin += used;
    return r;
}

int list_read(struct list_reader *l, struct list_rows *rows, struct error *e)
{
    list_rows_clear(rows);
    while (rows->n < LIST_ROWS) {
        struct list_row *row = &rows->rows[rows->n];
        int r = 0;

        if (l->end - l->begin < LIST_RECORD_MAX && !l->ended)
            r = fill(l, e);
        if (r >= 0 && l->begin == l->end)
            break;
        if (r < 0)
            return r;
        rows->n++;
        r = read_row(l, row, e);
        if (r < 0)
            return r;
        if (r != LIST_SKIP)
            continue;
        gnutls_memset(row, 0, sizeof(*row));
        rows->n--;
    }
    return rows->n > 0;
}
