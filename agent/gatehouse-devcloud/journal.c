/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "journal.h"

#include "base/durable.h"
#include "base/encode.h"
#include "base/json.h"

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define JOURNAL_MAX (256 * 1024 * 1024)

struct journal {
    int fd;
    off_t end;
    char *path;
};

static const char *const kinds[] = {
    [JOURNAL_PUT] = "put",   [JOURNAL_DELETE] = "delete", [JOURNAL_FORGET] = "forget",
    [JOURNAL_NAME] = "name", [JOURNAL_DEVICE] = "device", [JOURNAL_SET] = "set",
};

void journal_entry_done(struct journal_entry *j)
{
    json_object_put(j->details);
    gnutls_memset(j, 0, sizeof(*j));
}

static json_object *encode(const struct journal_entry *j)
{
    json_object *o = json_object_new_object();
    char hex[HEX_SIZE(KEY_MAX)];

    json_object_object_add(o, "op", json_object_new_string(kinds[j->kind]));
    if (j->kind == JOURNAL_PUT) {
        hex_encode(j->key, j->key_size, hex);
        json_object_object_add(o, "id", json_object_new_string(j->id));
        json_object_object_add(o, "key", json_object_new_string(hex));
        json_object_object_add(o, "named", json_object_new_boolean(j->named));
    }
    if (j->kind == JOURNAL_PUT || j->kind == JOURNAL_DELETE)
        json_object_object_add(o, "identity", json_object_new_string(j->identity));
    json_object_object_add(o, "device", json_object_new_string(j->device));
    if (j->kind == JOURNAL_NAME)
        json_object_object_add(o, "name", json_object_new_string(j->name));
    if (j->details)
        json_object_object_add(o, "details", json_object_get(j->details));
    return o;
}

static int text(json_object *o, const char *key, char *ret, size_t size, struct error *e)
{
    const char *value = json_get_string(o, key);

    if (!value || strlen(value) >= size)
        return error_set(e, -EINVAL, "no valid \"%s\"", key);
    snprintf(ret, size, "%s", value);
    return 0;
}

static int decode_put(json_object *o, struct journal_entry *j, struct error *e)
{
    char hex[HEX_SIZE(KEY_MAX)];
    json_object *named;
    ssize_t n;
    int r = text(o, "id", j->id, sizeof(j->id), e);

    if (r >= 0)
        r = text(o, "key", hex, sizeof(hex), e);
    if (r < 0)
        return r;
    n = hex_decode(hex, strlen(hex), j->key, sizeof(j->key));
    if (n < KEY_MIN)
        return error_set(e, -EINVAL, "no valid \"key\"");
    j->key_size = (size_t)n;
    j->named = json_object_object_get_ex(o, "named", &named) && json_object_get_boolean(named);
    return 0;
}

static int decode_details(json_object *o, struct journal_entry *j, struct error *e)
{
    json_object *details;

    if (!json_object_object_get_ex(o, "details", &details))
        return j->kind == JOURNAL_SET ? error_set(e, -EINVAL, "no \"details\"") : 0;
    if (!json_object_is_type(details, json_type_object))
        return error_set(e, -EINVAL, "no valid \"details\"");
    j->details = json_object_get(details);
    return 0;
}

static int decode(const char *line, size_t n, struct journal_entry *j, struct error *e)
{
    _cleanup_json_ json_object *o = NULL;
    const char *op;
    size_t kind = 0;
    int r;

    *j = (struct journal_entry){};
    r = json_parse(line, n, &o, e);
    if (r < 0)
        return r;
    op = json_get_string(o, "op");
    while (op && kind < ELEMENTSOF(kinds) && strcmp(kinds[kind], op) != 0)
        kind++;
    if (!op || kind == ELEMENTSOF(kinds))
        return error_set(e, -EINVAL, "no \"op\" that is known");
    j->kind = (enum journal_kind)kind;
    if (j->kind == JOURNAL_PUT)
        r = decode_put(o, j, e);
    if (r >= 0 && (j->kind == JOURNAL_PUT || j->kind == JOURNAL_DELETE))
        r = text(o, "identity", j->identity, sizeof(j->identity), e);
    if (r >= 0 && (j->kind != JOURNAL_DELETE || json_get_string(o, "device")))
        r = text(o, "device", j->device, sizeof(j->device), e);
    if (r >= 0 && j->kind == JOURNAL_NAME)
        r = text(o, "name", j->name, sizeof(j->name), e);
    return r < 0 ? r : decode_details(o, j, e);
}

static int read_lines(struct journal *j, const char *data, size_t size,
                      int (*replay)(void *userdata, const struct journal_entry *j), void *userdata, struct error *e)
{
    const char *p = data, *newline;
    size_t number = 0;

    while ((newline = memchr(p, '\n', size - (size_t)(p - data)))) {
        struct journal_entry entry;
        int r = decode(p, (size_t)(newline - p), &entry, e);

        number++;
        if (r >= 0)
            r = replay(userdata, &entry);
        journal_entry_done(&entry);
        if (r < 0)
            return error_prefix(e, r, "%s:%zu", j->path, number);
        p = newline + 1;
    }
    j->end = p - data;
    return 0;
}

int journal_open(const char *path, int (*replay)(void *userdata, const struct journal_entry *j), void *userdata,
                 struct journal **ret, struct error *e)
{
    _cleanup_(journal_freep) struct journal *j = calloc(1, sizeof(*j));
    _cleanup_free_ char *data = NULL;
    size_t size;
    int r;

    if (!j)
        return -ENOMEM;
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    j->path = strdup(path);
    if (j->fd < 0 || !j->path)
        return error_errno(e, -errno, "cannot open %s", path);
    r = file_read(AT_FDCWD, path, JOURNAL_MAX, &data, &size, e);
    if (r < 0)
        return r;
    r = read_lines(j, data, size, replay, userdata, e);
    gnutls_memset(data, 0, size);
    if (r < 0)
        return r;
    if (ftruncate(j->fd, j->end) < 0)
        return error_errno(e, -errno, "cannot drop a torn line of %s", path);
    *ret = TAKE_PTR(j);
    return 0;
}

struct journal *journal_free(struct journal *j)
{
    if (!j)
        return NULL;
    safe_close(j->fd);
    free(j->path);
    free(j);
    return NULL;
}

int journal_append(struct journal *j, const struct journal_entry *entry, struct error *e)
{
    _cleanup_json_ json_object *o = encode(entry);
    const char *line = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    size_t n;
    int r;

    if (!line)
        return -ENOMEM;
    n = strlen(line);
    r = lseek(j->fd, j->end, SEEK_SET) < 0 ? -errno : write_all(j->fd, line, n);
    if (r >= 0)
        r = write_all(j->fd, "\n", 1);
    if (r >= 0 && fdatasync(j->fd) < 0)
        r = -errno;
    if (r < 0) {
        (void)!ftruncate(j->fd, j->end);
        return error_errno(e, r, "cannot keep it in %s", j->path);
    }
    j->end += (off_t)n + 1;
    return 0;
}

int journal_cut(struct journal *j, size_t lines, struct error *e)
{
    _cleanup_free_ char *data = NULL;
    const char *p, *newline;
    size_t size;
    int r = file_read(AT_FDCWD, j->path, JOURNAL_MAX, &data, &size, e);

    if (r < 0)
        return r;
    p = data;
    while (lines-- > 0 && (newline = memchr(p, '\n', size - (size_t)(p - data))))
        p = newline + 1;
    r = ftruncate(j->fd, p - data) < 0 || fdatasync(j->fd) < 0 ? -errno : 0;
    if (r >= 0)
        j->end = p - data;
    gnutls_memset(data, 0, size);
    return r < 0 ? error_errno(e, r, "cannot cut %s", j->path) : 0;
}
