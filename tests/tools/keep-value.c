/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps one value in a directory, rightly or with one step forgotten: what the power cut layer is tested with.
 *
 *     keep-value DIRECTORY HOW ROUNDS
 *
 * After each round, when value N should outlive a power cut, it writes "N\n" to its standard output. HOW: one of the
 * ways below. */
#include "base/cleanup.h"
#include "base/durable.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define VALUE_SIZE 1500 /* over sectors, so that half of one shows */

struct round {
    int dir_fd;
    char text[VALUE_SIZE];
    size_t n;
};

static int put(int dir_fd, const char *name, const struct round *r, int flags, bool sync)
{
    _cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);

    if (fd < 0 || write_all(fd, r->text, r->n) < 0)
        return -errno;
    return sync && fsync(fd) < 0 ? -errno : 0;
}

static int replace(const struct round *r, bool sync_file, bool sync_directory)
{
    int e = put(r->dir_fd, "value~", r, O_TRUNC, sync_file);

    if (e < 0)
        return e;
    if (renameat(r->dir_fd, "value~", r->dir_fd, "value") < 0)
        return -errno;
    return sync_directory && fsync(r->dir_fd) < 0 ? -errno : 0;
}

static int rightly(const struct round *r)
{
    return durable_write(r->dir_fd, "value", r->text, r->n, 0600, NULL);
}

static int without_file_sync(const struct round *r)
{
    return replace(r, false, true);
}

static int without_directory_sync(const struct round *r)
{
    return replace(r, true, false);
}

static int in_place(const struct round *r)
{
    return put(r->dir_fd, "value", r, O_TRUNC, true);
}

static int in_log(const struct round *r)
{
    int e = put(r->dir_fd, "log", r, O_APPEND, true);

    return e < 0 ? e : fsync(r->dir_fd) < 0 ? -errno : 0;
}

static int in_log_without_sync(const struct round *r)
{
    return put(r->dir_fd, "log", r, O_APPEND, false);
}

static int in_new_directory(const struct round *r, bool sync_parent)
{
    _cleanup_close_ int fd = -EBADF;
    char name[32];

    snprintf(name, sizeof(name), "%d", (int)strtol(r->text, NULL, 10));
    if (mkdirat(r->dir_fd, name, 0700) < 0 || (sync_parent && fsync(r->dir_fd) < 0))
        return -errno;
    fd = openat(r->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : durable_create(fd, "value", r->text, r->n, 0600, NULL);
}

static int in_directory(const struct round *r)
{
    return in_new_directory(r, true);
}

static int in_directory_without_sync(const struct round *r)
{
    return in_new_directory(r, false);
}

static const struct {
    const char *name;
    int (*keep)(const struct round *r);
} ways[] = {
    {"rightly", rightly},
    {"without-file-sync", without_file_sync},
    {"without-directory-sync", without_directory_sync},
    {"in-place", in_place},
    {"in-log", in_log},
    {"in-log-without-sync", in_log_without_sync},
    {"in-directory", in_directory},
    {"in-directory-without-sync", in_directory_without_sync},
};

int main(int argc, char **argv)
{
    struct round r = {.dir_fd = argc == 4 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF};
    long rounds = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    size_t way = 0;

    while (way < ELEMENTSOF(ways) && argc == 4 && strcmp(ways[way].name, argv[2]) != 0)
        way++;
    if (r.dir_fd < 0 || way == ELEMENTSOF(ways)) {
        fprintf(stderr, "usage: keep-value DIRECTORY HOW ROUNDS\n");
        return EXIT_FAILURE;
    }
    for (int i = 1; i <= rounds; i++) {
        int e;

        memset(r.text, 'a' + i % 26, sizeof(r.text));
        snprintf(r.text, sizeof(r.text), "%d ", i);
        r.text[strlen(r.text)] = '.';
        r.text[sizeof(r.text) - 1] = '\n';
        r.n = sizeof(r.text);
        e = ways[way].keep(&r);
        if (e < 0) {
            fprintf(stderr, "keep-value: %s\n", strerrordesc_np(-e));
            return EXIT_FAILURE;
        }
        printf("%d\n", i);
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}
