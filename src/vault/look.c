/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/look.h"

#include "base/cleanup.h"
#include "base/durable.h"
#include "base/limits.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_SUFFIX "-wal"

/* A file as it was at one moment. */
struct part {
    const char *suffix;
    char *data; /* NULL: it was not there */
    size_t n;
    struct stat st;
};

static int part_path(const char *path, const struct part *p, char ret[PATH_MAX], struct error *e)
{
    int n = snprintf(ret, PATH_MAX, "%s%s", path, p->suffix);

    return n < PATH_MAX ? 0 : error_set(e, -ENAMETOOLONG, "%s: the path is too long", path);
}

/* Zeroes for one that is not there. */
static int part_stat(const char *path, const struct part *p, struct stat *ret, struct error *e)
{
    char file[PATH_MAX];
    int r = part_path(path, p, file, e);

    *ret = (struct stat){0};
    if (r < 0)
        return r;
    if (stat(file, ret) >= 0 || errno == ENOENT)
        return 0;
    return error_errno(e, -errno, "cannot look at %s", file);
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int part_read(const char *path, struct part *p, struct error *e)
{
    char file[PATH_MAX];
    int r = part_path(path, p, file, e);

    free(p->data);
    p->data = NULL;
    p->n = 0;
    if (r < 0 || p->st.st_ino == 0)
        return r;
    return file_read(AT_FDCWD, file, VAULT_BACKUP_MAX, &p->data, &p->n, e);
}

/* 1: all parts are of one moment; 0: something changed meanwhile. */
static int read_parts(const char *path, struct part *parts, size_t n, struct error *e)
{
    struct stat now;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++)
        r = part_stat(path, &parts[i], &parts[i].st, e);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = part_read(path, &parts[i], e);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        r = part_stat(path, &parts[i], &now, e);
        if (r >= 0 && !same(&now, &parts[i].st))
            return 0;
    }
    return r < 0 ? r : 1;
}

int vault_copy(const char *path, const char *directory, struct error *e)
{
    struct part parts[] = {{.suffix = ""}, {.suffix = LOG_SUFFIX}};
    char file[PATH_MAX];
    int r = 0;

    for (unsigned tries = 0; r == 0 && tries < VAULT_COPY_TRIES; tries++)
        r = read_parts(path, parts, ELEMENTSOF(parts), e);
    if (r == 0)
        r = error_set(e, -EAGAIN, "%s changed each time that it was read; try again", path);
    else if (r > 0 && !parts[0].data)
        r = error_set(e, -ENOENT, "%s is not there", path);
    for (size_t i = 0; r >= 0 && i < ELEMENTSOF(parts); i++) {
        if (!parts[i].data)
            continue;
        if (snprintf(file, sizeof(file), "%s/" VAULT_FILE "%s", directory, parts[i].suffix) >= (int)sizeof(file))
            r = error_set(e, -ENAMETOOLONG, "%s: the path is too long", directory);
        else
            r = durable_create(AT_FDCWD, file, parts[i].data, parts[i].n, 0600, e);
    }
    for (size_t i = 0; i < ELEMENTSOF(parts); i++)
        free(parts[i].data);
    return r < 0 ? r : 0;
}
