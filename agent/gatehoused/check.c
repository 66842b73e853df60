/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ANSWER_MAX (16 * 1024 * 1024)

/* ── Plugins ── */

static bool first_of_driver(const struct config *c, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(c->devices[k]->driver, c->devices[i]->driver) == 0)
            return false;
    return true;
}

/* A device of this driver a line: {"section": ..., "points": ...}. */
static int write_questions(int fd, const struct config *c, const char *driver)
{
    struct strbuf b = {0};
    _cleanup_free_ char *text = NULL;
    int r;

    for (size_t i = 0; i < c->n_devices; i++)
        if (strcmp(c->devices[i]->driver, driver) == 0)
            strbuf_printf(&b, "{\"section\":%s,\"points\":%s}\n", c->devices[i]->section, c->devices[i]->points_text);
    r = strbuf_take(&b, &text);
    if (r < 0)
        return r;
    for (size_t n = strlen(text), done = 0; done < n;) {
        ssize_t k = write(fd, text + done, n - done);

        if (k < 0)
            return -errno;
        done += (size_t)k;
    }
    return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int wait_for(pid_t pid, int *ret_status)
{
    _cleanup_close_ int fd = pidfd_open(pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int timeout = (int)(DRIVER_CALLBACK_DEADLINE / USEC_PER_MSEC), r = 0;

    if (fd >= 0 && poll(&p, 1, timeout) == 0) {
        kill(pid, SIGKILL);
        r = -ETIMEDOUT;
    }
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return r;
}

/* Its answers are in `out`. */
static int run_host(const struct options *o, const char *driver, int in, int out)
{
    const char *argv[] = {o->driver_program, driver, "--check-config", "--plugin-dir", o->plugin_dir, NULL};
    posix_spawn_file_actions_t actions;
    int r, status = 0;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    r = -posix_spawn(&pid, o->driver_program, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (r >= 0)
        r = wait_for(pid, &status);
    return r < 0 ? r : WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? 0 : -EIO;
}

/* [[pointer, message], ...] of one device. */
static void note_answer(const struct config_device *d, const char *line, size_t n, struct mistakes *mistakes)
{
    _cleanup_json_ json_object *list = NULL;

    if (json_parse(line, n, &list, NULL) < 0 || !json_object_is_type(list, json_type_array)) {
        mistakes_add(mistakes, d->file, 0, 0, d->id, "its driver %s gave no answer that can be read", d->driver);
        return;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *pair = json_object_array_get_idx(list, i);
        const char *pointer = json_object_get_string(json_object_array_get_idx(pair, 0));
        const char *message = json_object_get_string(json_object_array_get_idx(pair, 1));

        if (pointer && message)
            config_device_complain(d, mistakes, pointer, message);
    }
}

static void note_answers(const struct config *c, const char *driver, int out, struct mistakes *mistakes)
{
    _cleanup_free_ char *text = NULL;
    struct stat st;
    char *line, *end;

    if (fstat(out, &st) < 0 || st.st_size > ANSWER_MAX || !(text = calloc(1, (size_t)st.st_size + 1)) ||
        pread(out, text, (size_t)st.st_size, 0) != st.st_size) {
        mistakes->failed = -ENOMEM;
        return;
    }
    line = text;
    for (size_t i = 0; i < c->n_devices; i++) {
        if (strcmp(c->devices[i]->driver, driver) != 0)
            continue;
        end = strchrnul(line, '\n');
        note_answer(c->devices[i], line, (size_t)(end - line), mistakes);
        line = *end ? end + 1 : end;
    }
}

static void ask_plugin(const struct options *o, const struct config *c, const struct config_device *first,
                       struct mistakes *mistakes)
{
    _cleanup_close_ int in = memfd_create("questions", MFD_CLOEXEC), out = memfd_create("answers", MFD_CLOEXEC);
    int r = in < 0 || out < 0 ? -errno : write_questions(in, c, first->driver);

    if (r >= 0)
        r = run_host(o, first->driver, in, out);
    if (r < 0)
        config_device_complain(first, mistakes, "/driver",
                               r == -ETIMEDOUT ? "its driver did not answer in time"
                               : r == -EIO     ? "its driver could not check its devices; it said why above"
                                               : "its driver could not be started");
    else
        note_answers(c, first->driver, out, mistakes);
}

static void check_driver(const struct options *o, const struct config *c, const struct config_device *first,
                         struct mistakes *mistakes)
{
    char path[PATH_MAX], text[PATH_MAX + 256];

    snprintf(path, sizeof(path), "%s/%s.so", o->plugin_dir, first->driver);
    if (access(o->driver_program, X_OK) < 0)
        snprintf(text, sizeof(text), "no driver can be asked: %s: %s", o->driver_program, strerrordesc_np(errno));
    else if (access(path, F_OK) < 0)
        snprintf(text, sizeof(text),
                 "driver \"%s\" is not installed: there is no %s; is the package gatehouse-plugin-%s installed?",
                 first->driver, path, first->driver);
    else {
        ask_plugin(o, c, first, mistakes);
        return;
    }
    config_device_complain(first, mistakes, "/driver", text);
}

/* ── Files ── */

static void check_readable(const char *path, const char *user, const char *device, struct mistakes *mistakes)
{
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) < 0 && errno == EACCES)
        mistakes_add(
            mistakes, path, 0, 0, device,
            "user %s, as which the agent runs, cannot read it: expected a file that it may read, in directories "
            "that it may enter",
            user);
}

static void check_files(const struct config *c, const char *config_dir, const char *user, struct mistakes *mistakes)
{
    check_readable(c->file, user, NULL, mistakes);
    for (size_t i = 0; i < c->n_uplinks; i++) {
        char path[PATH_MAX];

        if (snprintf(path, sizeof(path), "%s/profiles/%s.json", config_dir, c->uplinks[i]->profile) < (int)sizeof(path))
            check_readable(path, user, NULL, mistakes);
    }
    for (size_t i = 0; i < c->n_devices; i++)
        check_readable(c->devices[i]->file, user, c->devices[i]->id, mistakes);
}

/* With the rights of the agent's user, where they can be taken on. */
static void check_as_user(const struct options *o, const struct config *c, struct mistakes *mistakes)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam(o->user) : NULL;

    if (!user || user->pw_uid == 0)
        return;
    if (initgroups(user->pw_name, user->pw_gid) < 0 || setegid(user->pw_gid) < 0 || seteuid(user->pw_uid) < 0)
        log_warning(NULL, "cannot tell what user %s may read: %s", o->user, strerrordesc_np(errno));
    else
        check_files(c, o->config_dir, o->user, mistakes);
    if (seteuid(0) < 0 || setegid(0) < 0 || setgroups(0, NULL) < 0)
        mistakes->failed = -errno;
}

int check_installed(const struct options *o, const struct config *config, struct mistakes *mistakes)
{
    for (size_t i = 0; i < config->n_devices; i++)
        if (first_of_driver(config, i))
            check_driver(o, config, config->devices[i], mistakes);
    check_as_user(o, config, mistakes);
    return mistakes->failed;
}
