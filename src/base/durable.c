/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/durable.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

int write_all(int fd, const void *data, size_t n)
{
    const char *p = data;

    while (n > 0) {
        ssize_t k = write(fd, p, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

int durable_sync_directory(int dir_fd, const char *name)
{
    _cleanup_close_ int fd = -EBADF;
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof(copy), "%s", name) >= (int)sizeof(copy))
        return -ENAMETOOLONG;
    fd = openat(dir_fd, dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

static int temporary(int dir_fd, const char *name, mode_t mode, char *path, size_t size)
{
    uint64_t random;
    const char *base = strrchr(name, '/');
    int prefix = base ? (int)(base - name + 1) : 0, fd;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -errno;
    if (snprintf(path, size, "%.*s.%s.%016llx~", prefix, name, name + prefix, (unsigned long long)random) >= (int)size)
        return -ENAMETOOLONG;
    fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && fchmod(fd, mode) < 0) {
        int r = -errno;

        unlinkat(dir_fd, path, 0);
        safe_close(fd);
        return r;
    }
    return fd < 0 ? -errno : fd;
}

static int write_new(int dir_fd, const char *name, const void *data, size_t n, mode_t mode, bool replace,
                     struct error *e)
{
    _cleanup_close_ int fd = -EBADF;
    char path[PATH_MAX];
    int r;

    fd = temporary(dir_fd, name, mode, path, sizeof(path));
    if (fd < 0)
        return error_errno(e, fd, "cannot make a temporary file beside %s", name);
    r = write_all(fd, data, n);
    if (r >= 0 && fsync(fd) < 0)
        r = -errno;
    if (r >= 0 && replace && renameat(dir_fd, path, dir_fd, name) < 0)
        r = -errno;
    if (r >= 0 && !replace && linkat(dir_fd, path, dir_fd, name, 0) < 0)
        r = -errno;
    if (r < 0 || !replace)
        unlinkat(dir_fd, path, 0);
    if (r >= 0)
        r = durable_sync_directory(dir_fd, name);
    return r < 0 ? error_errno(e, r, "cannot write %s", name) : 0;
}

int durable_write(int dir_fd, const char *name, const void *data, size_t n, mode_t mode, struct error *e)
{
    return write_new(dir_fd, name, data, n, mode, true, e);
}

int durable_create(int dir_fd, const char *name, const void *data, size_t n, mode_t mode, struct error *e)
{
    return write_new(dir_fd, name, data, n, mode, false, e);
}

int durable_rename(int dir_fd, const char *from, const char *to, struct error *e)
{
    int r = renameat(dir_fd, from, dir_fd, to) < 0 ? -errno : durable_sync_directory(dir_fd, to);

    return r < 0 ? error_errno(e, r, "cannot rename %s to %s", from, to) : 0;
}

struct durable_many {
    int dir_fd;
    mode_t mode;
    struct {
        char *name, *temporary;
        bool named;
    } * files;
    size_t n, allocated;
    bool published;
};

int durable_many_new(int dir_fd, mode_t mode, struct durable_many **ret, struct error *e)
{
    struct durable_many *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    *m = (struct durable_many){.dir_fd = dir_fd, .mode = mode};
    *ret = m;
    return 0;
}

int durable_many_add(struct durable_many *m, const char *name, const void *data, size_t n, struct error *e)
{
    _cleanup_close_ int fd = -EBADF;
    char path[PATH_MAX];
    int r;

    if (m->n == m->allocated) {
        size_t more = m->allocated ? 2 * m->allocated : 64;
        void *files = reallocarray(m->files, more, sizeof(*m->files));

        if (!files)
            return -ENOMEM;
        m->files = files;
        m->allocated = more;
    }
    fd = temporary(m->dir_fd, name, m->mode, path, sizeof(path));
    if (fd < 0)
        return error_errno(e, fd, "cannot make a temporary file beside %s", name);
    m->files[m->n].name = strdup(name);
    m->files[m->n].temporary = strdup(path);
    m->files[m->n].named = false;
    if (!m->files[m->n].name || !m->files[m->n].temporary) {
        free(m->files[m->n].name);
        free(m->files[m->n].temporary);
        unlinkat(m->dir_fd, path, 0);
        return -ENOMEM;
    }
    m->n++;
    r = write_all(fd, data, n);
    return r < 0 ? error_errno(e, r, "cannot write %s", name) : 0;
}

int durable_many_publish(struct durable_many *m, struct error *e)
{
    /* One sync of the file system costs less than thousands of files. */
    if (syncfs(m->dir_fd) < 0)
        return error_errno(e, -errno, "cannot sync what was written");
    for (size_t i = 0; i < m->n; i++) {
        if (linkat(m->dir_fd, m->files[i].temporary, m->dir_fd, m->files[i].name, 0) < 0)
            return error_errno(e, -errno, "cannot write %s", m->files[i].name);
        m->files[i].named = true;
    }
    if (fsync(m->dir_fd) < 0)
        return error_errno(e, -errno, "cannot sync the directory");
    m->published = true;
    return 0;
}

struct durable_many *durable_many_free(struct durable_many *m)
{
    if (!m)
        return NULL;
    for (size_t i = 0; i < m->n; i++) {
        if (m->files[i].named && !m->published)
            unlinkat(m->dir_fd, m->files[i].name, 0);
        unlinkat(m->dir_fd, m->files[i].temporary, 0);
        free(m->files[i].name);
        free(m->files[i].temporary);
    }
    free(m->files);
    free(m);
    return NULL;
}

int durable_unlink(int dir_fd, const char *name, struct error *e)
{
    int r;

    if (unlinkat(dir_fd, name, 0) < 0)
        return errno == ENOENT ? 0 : error_errno(e, -errno, "cannot remove %s", name);
    r = durable_sync_directory(dir_fd, name);
    return r < 0 ? error_errno(e, r, "cannot sync the directory of %s", name) : 0;
}

int file_read(int dir_fd, const char *name, size_t max, char **ret_data, size_t *ret_size, struct error *e)
{
    _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    _cleanup_free_ char *data = NULL;
    struct stat st;
    size_t n = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(e, -errno, "cannot open %s", name);
    if (!S_ISREG(st.st_mode))
        return error_set(e, -EINVAL, "%s is not a regular file", name);
    if (st.st_size < 0 || (uint64_t)st.st_size > max)
        return error_set(e, -EFBIG, "%s has %lld bytes, at most %zu are read", name, (long long)st.st_size, max);
    data = malloc(max + 2 < (size_t)st.st_size + 4096 ? max + 2 : (size_t)st.st_size + 4096);
    if (!data)
        return -ENOMEM;
    for (;;) {
        size_t room = MIN_OF(max + 1, (size_t)st.st_size + 4094) - n;
        ssize_t k = read(fd, data + n, room);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_errno(e, -errno, "cannot read %s", name);
        if (k == 0)
            break;
        n += (size_t)k;
        if (n > max || (size_t)k == room)
            return error_set(e, -EFBIG, "%s grew while it was read, or has over %zu bytes", name, max);
    }
    data[n] = 0;
    *ret_data = TAKE_PTR(data);
    *ret_size = n;
    return 0;
}
