/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plugins that are installed and cannot be loaded. Only a driver host ever loads one, so one is started for each: it
 * reads no question, and ends, or says why it could not begin. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "check/local.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* All that comes within CHECK_PLUGIN_WAIT, up to size - 1 bytes. Whether it came to an end. */
static bool read_all(int fd, char *ret, size_t size)
{
    uint64_t until = clock_boottime() + CHECK_PLUGIN_WAIT, now;
    size_t n = 0;
    ssize_t k = 1;

    while (k > 0 && n < size - 1 && (now = clock_boottime()) < until) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (poll(&p, 1, (int)((until - now) / USEC_PER_MSEC) + 1) > 0 && (k = read(fd, ret + n, size - 1 - n)) > 0)
            n += (size_t)k;
    }
    ret[n] = 0;
    return k == 0 || n == size - 1;
}

static int spawn_host(const struct check_place *p, const char *driver, int out, pid_t *ret)
{
    const char *argv[] = {p->driver_program, driver, "--check-config", "--plugin-dir", p->plugin_dir, NULL};
    posix_spawn_file_actions_t actions;
    int r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    r = -posix_spawn(ret, p->driver_program, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* The words of a host that could not load its plugin, in one line. */
static bool cannot_load(const struct check_place *p, const char *driver, char *words, size_t size)
{
    int ends[2], status = 0;
    bool over;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    if (spawn_host(p, driver, ends[1], &pid) < 0) {
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    close(ends[1]);
    over = read_all(ends[0], words, size);
    close(ends[0]);
    if (!over)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    for (char *c = words; *c; c++)
        *c = *c == '\n' ? ' ' : (unsigned char)*c < 0x20 ? '?' : *c;
    return over && WIFEXITED(status) && WEXITSTATUS(status) != 0;
}

void check_plugin_loads(const struct check_place *p, const char *driver, struct findings *f)
{
    char words[ERROR_TEXT_MAX];

    if (p->root[0] || !p->driver_program || access(p->driver_program, X_OK) < 0 ||
        !cannot_load(p, driver, words, sizeof(words)))
        return;
    finding_mend(f, findings_add(f, FINDING_PLUGIN_ABI, driver, "%s", words[0] ? words : "its host gives no reason"),
                 strcmp(driver, "sim") == 0 ? "apt install --reinstall gatehouse-devcloud"
                                            : "apt install --reinstall gatehouse gatehouse-plugin-%s",
                 driver);
}
