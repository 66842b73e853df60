/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into a program (LD_PRELOAD): counts how often it has what it wrote brought to the disk. The sum stands in
 * the file that SYNC_COUNT_FILE names, eight bytes in the machine's order, and is up to date after each call. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t *count;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("SYNC_COUNT_FILE");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *p;

    if (fd < 0 || ftruncate(fd, sizeof(*count)) < 0)
        abort();
    p = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        abort();
    count = p;
}

static int next(const char *name, int fd)
{
    int (*call)(int fd) = (int (*)(int fd))dlsym(RTLD_NEXT, name);

    atomic_fetch_add(count, 1);
    return call(fd);
}

int fsync(int fd)
{
    return next("fsync", fd);
}

int fdatasync(int fd)
{
    return next("fdatasync", fd);
}

int sync_file_range(int fd, off_t offset, off_t n, unsigned flags)
{
    int (*call)(int fd, off_t offset, off_t n, unsigned flags) =
        (int (*)(int, off_t, off_t, unsigned))dlsym(RTLD_NEXT, "sync_file_range");

    atomic_fetch_add(count, 1);
    return call(fd, offset, n, flags);
}
