/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A layer between a program and the C library, for LD_PRELOAD, that ends the program at a chosen call and remembers
 * what it did to files.
 *
 * GATEHOUSE_CUT_PAGE names a file of PAGE_SIZE bytes, shared with whoever holds it (tests/prove/cut_layer.py). The
 * layer counts there each call by which something becomes durable or leaves the process. Armed, it sends its own
 * process SIGKILL at the call that counts `left` down to 0 among the kinds asked for, before or after that call.
 *
 * GATEHOUSE_CUT_JOURNAL names a file to which every change of regular files and directories is appended, in the order
 * in which they were made, with what was written (tests/prove/disk.py reads it). Calls on files are made one at a time,
 * so a journal ends with the call at which the process ended. What a program does to files by other ways (mapped
 * writes, the C library's own streams) is not seen; the reader finds out by comparing.
 *
 * Names are given to the linker as labels: the headers' own declarations of these calls differ by architecture. */
#include "cut-layer.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *const names[CALLS] = {
    [CALL_WRITE] = "write",        [CALL_PWRITE] = "pwrite64", [CALL_WRITEV] = "writev",
    [CALL_PWRITEV] = "pwritev",    [CALL_FSYNC] = "fsync",     [CALL_FDATASYNC] = "fdatasync",
    [CALL_TRUNCATE] = "ftruncate", [CALL_RENAME] = "rename",   [CALL_RENAMEAT] = "renameat",
    [CALL_LINK] = "link",          [CALL_LINKAT] = "linkat",   [CALL_UNLINK] = "unlink",
    [CALL_UNLINKAT] = "unlinkat",  [CALL_MKDIR] = "mkdir",     [CALL_CREATE] = "open",
    [CALL_SEND] = "send",          [CALL_SENDTO] = "sendto",   [CALL_SENDMSG] = "sendmsg",
};

static struct cut_page nobody, *page = &nobody;
static int journal_fd = -EBADF;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define NEXT(name) ((__typeof__(&on_##name))(next_of(#name)))

static void *next_of(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

__attribute__((constructor)) static void layer_init(void)
{
    const char *path = getenv("GATEHOUSE_CUT_PAGE"), *journal = getenv("GATEHOUSE_CUT_JOURNAL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -EBADF;

    if (path && fd < 0)
        abort();
    if (fd >= 0) {
        page = mmap(NULL, CUT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
            abort();
        close(fd);
        atomic_store(&page->deciding, 0);
        for (int i = 0; i < CALLS; i++)
            snprintf(page->names[i], sizeof(page->names[i]), "%s", names[i]);
    }
    if (!journal)
        return;
    journal_fd = open(journal, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (journal_fd < 0)
        abort();
}

/* ── The cut ── */

struct turn {
    enum cut_call call;
    bool alone; /* holds the mutex: the call is about files */
    bool last;  /* the process ends after it */
};

/* What another thread does to a file just now is finished, and in the journal. */
static void cut(const struct turn *t)
{
    page->cut = (uint64_t)t->call + 1;
    if (!t->alone)
        pthread_mutex_lock(&mutex);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static struct turn begin(enum cut_call call, bool alone)
{
    struct turn t = {.call = call, .alone = alone};

    if (alone)
        pthread_mutex_lock(&mutex);
    atomic_fetch_add(&page->made[call], 1);
    atomic_fetch_add(&page->deciding, 1);
    if (!atomic_load(&page->armed) || !(page->calls & UINT64_C(1) << call) || atomic_fetch_sub(&page->left, 1) != 1) {
        atomic_fetch_sub(&page->deciding, 1);
        return t;
    }
    if (!page->after)
        cut(&t);
    t.last = true;
    return t;
}

static void end(const struct turn *t)
{
    if (t->last)
        cut(t);
    if (t->alone)
        pthread_mutex_unlock(&mutex);
}

/* ── The journal ── */

static void note(enum cut_change change, uint64_t inode, uint64_t at, const void *first, size_t n_first,
                 const void *second, size_t n_second)
{
    struct cut_record r = {
        .change = change, .n_first = (uint32_t)n_first, .n_second = (uint32_t)n_second, .inode = inode, .at = at};
    const struct iovec parts[] = {
        {&r, sizeof(r)}, {(void *)(uintptr_t)first, n_first}, {(void *)(uintptr_t)second, n_second}};

    /* Half a record would make the journal unreadable, and a proof of it worthless. */
    if (syscall(SYS_writev, journal_fd, parts, 3) != (long)(sizeof(r) + n_first + n_second))
        abort();
}

static bool regular(int fd, struct stat *st)
{
    return journal_fd >= 0 && fstat(fd, st) >= 0 && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode));
}

static void note_data(int fd, const void *data, ssize_t n, int64_t at)
{
    int error = errno;
    struct stat st;

    if (n > 0 && regular(fd, &st))
        note(CHANGE_WRITE, st.st_ino, (uint64_t)(at >= 0 ? at : lseek(fd, 0, SEEK_CUR) - n), data, (size_t)n, NULL, 0);
    errno = error;
}

static void note_parts(int fd, const struct iovec *parts, int count, ssize_t n, int64_t at)
{
    int64_t from = n > 0 && at < 0 && journal_fd >= 0 ? lseek(fd, 0, SEEK_CUR) - n : at;

    for (int i = 0; i < count && n > 0; i++) {
        ssize_t k = (ssize_t)parts[i].iov_len < n ? (ssize_t)parts[i].iov_len : n;

        note_data(fd, parts[i].iov_base, k, from);
        from += k;
        n -= k;
    }
}

static void note_file(enum cut_change change, int fd, int result, uint64_t at)
{
    int error = errno;
    struct stat st;

    if (result >= 0 && regular(fd, &st))
        note(change, st.st_ino, at, NULL, 0, NULL, 0);
    errno = error;
}

static size_t absolute(int dir_fd, const char *path, char *ret)
{
    char link[64];
    ssize_t n = 0;

    if (*path == '/') {
        n = 0;
    } else if (dir_fd == AT_FDCWD) {
        n = getcwd(ret, PATH_MAX) ? (ssize_t)strlen(ret) : 0;
    } else {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
        n = readlink(link, ret, PATH_MAX - 1);
    }
    n += snprintf(ret + n, (size_t)(PATH_MAX - n), "%s%s", n > 0 ? "/" : "", path);
    if (n >= PATH_MAX)
        abort();
    return (size_t)n;
}

static void note_names(enum cut_change change, int result, int first_fd, const char *first, int second_fd,
                       const char *second)
{
    char a[PATH_MAX], b[PATH_MAX];
    int error = errno;
    struct stat st = {0};

    if (result >= 0 && journal_fd >= 0) {
        size_t n = absolute(first_fd, first, a), m = second ? absolute(second_fd, second, b) : 0;

        if (change == CHANGE_CREATE || change == CHANGE_MKDIR)
            lstat(a, &st);
        note(change, st.st_ino, 0, a, n, b, m);
    }
    errno = error;
}

/* ── Data ── */

ssize_t on_write(int fd, const void *data, size_t n) __asm__("write");
ssize_t on_write(int fd, const void *data, size_t n)
{
    struct turn t = begin(CALL_WRITE, true);
    ssize_t r = NEXT(write)(fd, data, n);

    note_data(fd, data, r, -1);
    end(&t);
    return r;
}

ssize_t on_pwrite64(int fd, const void *data, size_t n, int64_t at) __asm__("pwrite64");
ssize_t on_pwrite64(int fd, const void *data, size_t n, int64_t at)
{
    struct turn t = begin(CALL_PWRITE, true);
    ssize_t r = NEXT(pwrite64)(fd, data, n, at);

    note_data(fd, data, r, at);
    end(&t);
    return r;
}

ssize_t on_pwrite(int fd, const void *data, size_t n, long at) __asm__("pwrite");
ssize_t on_pwrite(int fd, const void *data, size_t n, long at)
{
    return on_pwrite64(fd, data, n, at);
}

ssize_t on_writev(int fd, const struct iovec *parts, int count) __asm__("writev");
ssize_t on_writev(int fd, const struct iovec *parts, int count)
{
    struct turn t = begin(CALL_WRITEV, true);
    ssize_t r = NEXT(writev)(fd, parts, count);

    note_parts(fd, parts, count, r, -1);
    end(&t);
    return r;
}

ssize_t on_pwritev64(int fd, const struct iovec *parts, int count, int64_t at) __asm__("pwritev64");
ssize_t on_pwritev64(int fd, const struct iovec *parts, int count, int64_t at)
{
    struct turn t = begin(CALL_PWRITEV, true);
    ssize_t r = NEXT(pwritev64)(fd, parts, count, at);

    note_parts(fd, parts, count, r, at);
    end(&t);
    return r;
}

ssize_t on_pwritev(int fd, const struct iovec *parts, int count, long at) __asm__("pwritev");
ssize_t on_pwritev(int fd, const struct iovec *parts, int count, long at)
{
    return on_pwritev64(fd, parts, count, at);
}

int on_ftruncate64(int fd, int64_t size) __asm__("ftruncate64");
int on_ftruncate64(int fd, int64_t size)
{
    struct turn t = begin(CALL_TRUNCATE, true);
    int r = NEXT(ftruncate64)(fd, size);

    note_file(CHANGE_TRUNCATE, fd, r, (uint64_t)size);
    end(&t);
    return r;
}

int on_ftruncate(int fd, long size) __asm__("ftruncate");
int on_ftruncate(int fd, long size)
{
    return on_ftruncate64(fd, size);
}

int on_fsync(int fd) __asm__("fsync");
int on_fsync(int fd)
{
    struct turn t = begin(CALL_FSYNC, true);
    int r = NEXT(fsync)(fd);

    note_file(CHANGE_SYNC, fd, r, 0);
    end(&t);
    return r;
}

int on_fdatasync(int fd) __asm__("fdatasync");
int on_fdatasync(int fd)
{
    struct turn t = begin(CALL_FDATASYNC, true);
    int r = NEXT(fdatasync)(fd);

    note_file(CHANGE_SYNC, fd, r, 0);
    end(&t);
    return r;
}

/* ── Names ── */

int on_openat64(int dir_fd, const char *path, int flags, ...) __asm__("openat64");

static int open_file(int dir_fd, const char *path, int flags, mode_t mode)
{
    struct turn t;
    int r;

    if (!(flags & (O_CREAT | O_TRUNC)))
        return NEXT(openat64)(dir_fd, path, flags, mode);
    t = begin(CALL_CREATE, true);
    r = NEXT(openat64)(dir_fd, path, flags, mode);
    if (flags & O_CREAT)
        note_names(CHANGE_CREATE, r, dir_fd, path, 0, NULL);
    if (flags & O_TRUNC)
        note_file(CHANGE_TRUNCATE, r, r, 0);
    end(&t);
    return r;
}

#define OPEN_MODE(flags, mode)                                                                                         \
    do {                                                                                                               \
        va_list args;                                                                                                  \
                                                                                                                       \
        va_start(args, flags);                                                                                         \
        if ((flags) & (O_CREAT | O_TMPFILE))                                                                           \
            mode = va_arg(args, mode_t);                                                                               \
        va_end(args);                                                                                                  \
    } while (0)

int on_openat64(int dir_fd, const char *path, int flags, ...)
{
    mode_t mode = 0;

    OPEN_MODE(flags, mode);
    return open_file(dir_fd, path, flags, mode);
}

int on_openat(int dir_fd, const char *path, int flags, ...) __asm__("openat");
int on_openat(int dir_fd, const char *path, int flags, ...)
{
    mode_t mode = 0;

    OPEN_MODE(flags, mode);
    return open_file(dir_fd, path, flags, mode);
}

int on_open64(const char *path, int flags, ...) __asm__("open64");
int on_open64(const char *path, int flags, ...)
{
    mode_t mode = 0;

    OPEN_MODE(flags, mode);
    return open_file(AT_FDCWD, path, flags, mode);
}

int on_open(const char *path, int flags, ...) __asm__("open");
int on_open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    OPEN_MODE(flags, mode);
    return open_file(AT_FDCWD, path, flags, mode);
}

int on_mkdirat(int dir_fd, const char *path, mode_t mode) __asm__("mkdirat");
int on_mkdirat(int dir_fd, const char *path, mode_t mode)
{
    struct turn t = begin(CALL_MKDIR, true);
    int r = NEXT(mkdirat)(dir_fd, path, mode);

    note_names(CHANGE_MKDIR, r, dir_fd, path, 0, NULL);
    end(&t);
    return r;
}

int on_mkdir(const char *path, mode_t mode) __asm__("mkdir");
int on_mkdir(const char *path, mode_t mode)
{
    return on_mkdirat(AT_FDCWD, path, mode);
}

static int remove_name(enum cut_call call, int dir_fd, const char *path, int flags);

int on_unlinkat(int dir_fd, const char *path, int flags) __asm__("unlinkat");
int on_unlinkat(int dir_fd, const char *path, int flags)
{
    return remove_name(CALL_UNLINKAT, dir_fd, path, flags);
}

int on_unlink(const char *path) __asm__("unlink");
int on_unlink(const char *path)
{
    return remove_name(CALL_UNLINK, AT_FDCWD, path, 0);
}

static int remove_name(enum cut_call call, int dir_fd, const char *path, int flags)
{
    struct turn t = begin(call, true);
    int r = NEXT(unlinkat)(dir_fd, path, flags);

    note_names(CHANGE_UNLINK, r, dir_fd, path, 0, NULL);
    end(&t);
    return r;
}

int on_renameat(int from_fd, const char *from, int to_fd, const char *to) __asm__("renameat");

static int rename_name(enum cut_call call, int from_fd, const char *from, int to_fd, const char *to)
{
    struct turn t = begin(call, true);
    int r = NEXT(renameat)(from_fd, from, to_fd, to);

    note_names(CHANGE_RENAME, r, from_fd, from, to_fd, to);
    end(&t);
    return r;
}

int on_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return rename_name(CALL_RENAMEAT, from_fd, from, to_fd, to);
}

int on_rename(const char *from, const char *to) __asm__("rename");
int on_rename(const char *from, const char *to)
{
    return rename_name(CALL_RENAME, AT_FDCWD, from, AT_FDCWD, to);
}

int on_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) __asm__("linkat");

static int link_name(enum cut_call call, int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    struct turn t = begin(call, true);
    int r = NEXT(linkat)(from_fd, from, to_fd, to, flags);

    note_names(CHANGE_LINK, r, from_fd, from, to_fd, to);
    end(&t);
    return r;
}

int on_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    return link_name(CALL_LINKAT, from_fd, from, to_fd, to, flags);
}

int on_link(const char *from, const char *to) __asm__("link");
int on_link(const char *from, const char *to)
{
    return link_name(CALL_LINK, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ── What leaves the process ── */

ssize_t on_send(int fd, const void *data, size_t n, int flags) __asm__("send");
ssize_t on_send(int fd, const void *data, size_t n, int flags)
{
    struct turn t = begin(CALL_SEND, false);
    ssize_t r = NEXT(send)(fd, data, n, flags);

    end(&t);
    return r;
}

ssize_t on_sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *to,
                  socklen_t size) __asm__("sendto");
ssize_t on_sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *to, socklen_t size)
{
    struct turn t = begin(CALL_SENDTO, false);
    ssize_t r = NEXT(sendto)(fd, data, n, flags, to, size);

    end(&t);
    return r;
}

ssize_t on_sendmsg(int fd, const struct msghdr *message, int flags) __asm__("sendmsg");
ssize_t on_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct turn t = begin(CALL_SENDMSG, false);
    ssize_t r = NEXT(sendmsg)(fd, message, flags);

    end(&t);
    return r;
}
