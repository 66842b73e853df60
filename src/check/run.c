/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/run.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_AGAIN (5 * USEC_PER_MSEC)

/* Until `until`; 0: in vain. */
static int wait_readable(int fd, uint64_t until)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t now = clock_boottime();

    return now < until ? poll(&p, 1, (int)((until - now) / USEC_PER_MSEC) + 1) : 0;
}

/* All that comes in time. Whether it came to an end. */
static bool read_all(int fd, uint64_t until, char *ret, size_t size)
{
    size_t n = 0;
    ssize_t k = 1;
    int r = 1;

    while (k > 0 && n < size - 1 && r != 0) {
        r = wait_readable(fd, until);
        if (r > 0 && (k = read(fd, ret + n, size - 1 - n)) > 0)
            n += (size_t)k;
    }
    ret[n] = 0;
    return k == 0 || n == size - 1;
}

/* Nobody may wake us then; it is looked for, again and again. */
static bool ends_unwatched(pid_t pid, uint64_t until)
{
    const struct timespec pause = {.tv_nsec = LOOK_AGAIN * 1000};
    siginfo_t info = {0};

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) {
        if (clock_boottime() >= until)
            return false;
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

/* It may have closed its output and go on. Whether it ended in time. */
static bool ends(pid_t pid, uint64_t until)
{
    _cleanup_close_ int fd = pidfd_open(pid, 0);
    int r = -1;

    if (fd < 0) /* no descriptor is left, or a sandbox does not know the call */
        return ends_unwatched(pid, until);
    while (r < 0)
        r = wait_readable(fd, until);
    return r > 0;
}

static int spawn(const struct check_run *run, int out, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    int r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (run->errors)
        posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    else
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    r = -posix_spawn(ret, run->argv[0], &actions, NULL, (char *const *)run->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

int check_run(const struct check_run *run, char *ret, size_t size)
{
    _cleanup_close_ int in = -EBADF, out = -EBADF;
    uint64_t until = clock_boottime() + run->wait;
    int pair[2], status = 0, r;
    bool over;
    pid_t pid;

    if (access(run->argv[0], X_OK) < 0 || pipe2(pair, O_CLOEXEC) < 0)
        return -errno;
    in = pair[0];
    out = pair[1];
    r = spawn(run, out, &pid);
    if (r < 0)
        return r;
    out = safe_close(out);
    over = read_all(in, until, ret, size);
    in = safe_close(in);
    over = over && ends(pid, until);
    if (!over)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!over)
        return -ETIMEDOUT;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}
