/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* apply: a directory of files becomes the configuration, all or nothing. For Ansible, images and the like: a second run
 * changes nothing, and --json tells what was changed. */
#include "apply-files.h"
#include "ctl.h"

#include "base/durable.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ANSWER_MAX (4 * 1024 * 1024)
#define LOCK ".apply.lock"
#define SAID "error: " /* behind it, in a line of gatehoused, is the mistake */

struct apply {
    struct ctl *ctl;
    const char *directory, *config_dir;
    char stage[64];
    struct apply_tree wanted, present;
    struct apply_changes changes;
    json_object *mistakes; /* the result's */
    bool unanswered;       /* the agent may have carried out the reload */
    bool uncertain;        /* it may not be as it was before, which was said */
};

static void apply_done(struct apply *a)
{
    if (a->stage[0])
        apply_unstage(a->stage);
    apply_changes_done(&a->changes);
    apply_tree_done(&a->wanted);
    apply_tree_done(&a->present);
}

/* ── Mistakes ── */

static void add_mistake(struct apply *a, const char *file, int line, int column, const char *text)
{
    json_object *mistake = json_object_new_object();

    json_object_object_add(mistake, "file", json_object_new_string(file));
    json_object_object_add(mistake, "line", json_object_new_int(line));
    json_object_object_add(mistake, "column", json_object_new_int(column));
    json_object_object_add(mistake, "text", json_object_new_string(text));
    json_object_array_add(a->mistakes, mistake);
    if (line > 0)
        print_error("%s:%d:%d: %s", file, line, column, text);
    else
        print_error("%s%s%s", file, file[0] ? ": " : "", text);
}

/* Of a line "gatehoused: DEVICE: error: STAGE/FILE:LINE:COLUMN: TEXT". Files are named as the user has them. */
static void take_line(struct apply *a, char *said)
{
    char *text = strstr(said, SAID), *end, file[PATH_MAX];
    size_t stage = strlen(a->stage);
    int line = 0, column = 0, n = 0;

    if (!text)
        return;
    text += strlen(SAID);
    end = strstr(text, ": ");
    if (strncmp(text, a->stage, stage) != 0 || text[stage] != '/' || !end) {
        add_mistake(a, "", 0, 0, text);
        return;
    }
    for (char *at = text; at < end; at++)
        if (*at == ':' && sscanf(at, ":%d:%d%n", &line, &column, &n) == 2 && at + n == end) {
            *at = 0;
            break;
        }
    *end = 0;
    snprintf(file, sizeof(file), "%s%s", a->directory, text + stage);
    if (access(file, F_OK) < 0)
        snprintf(file, sizeof(file), "%s%s", a->config_dir, text + stage);
    add_mistake(a, file, line, column, end + 2);
}

/* ── Checked before anything is touched ── */

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* Runs the agent with --check-config on the copy; what it says is in `out`. Its status, or negative. */
static int run_check(struct apply *a, const char *program, int out)
{
    const char *argv[] = {
        program, "--check-config", "--config-dir", a->stage, "--state-dir", a->ctl->state_dir ?: STATE_DIR, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    r = -posix_spawn(&pid, program, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return r < 0 ? r : wait_for(pid);
}

static char *said(int out)
{
    struct stat st;
    char *text;

    if (fstat(out, &st) < 0 || st.st_size > ANSWER_MAX || !(text = calloc(1, (size_t)st.st_size + 1)))
        return NULL;
    if (pread(out, text, (size_t)st.st_size, 0) == st.st_size)
        return text;
    free(text);
    return NULL;
}

/* Exit status. */
static int check(struct apply *a)
{
    const char *program = a->ctl->agent_program ?: GATEHOUSED;
    _cleanup_close_ int out = memfd_create("said", MFD_CLOEXEC);
    _cleanup_free_ char *text = NULL;
    struct error e = {0};
    char *line, *rest;
    int r;

    snprintf(a->stage, sizeof(a->stage), "/tmp/gatehouse-apply.XXXXXX");
    if (out < 0 || !mkdtemp(a->stage)) {
        print_error("apply: no copy to be checked can be made in /tmp: %m");
        a->stage[0] = 0;
        return EXIT_FAILURE;
    }
    if (apply_stage(a->stage, &a->present, &a->wanted, &e) < 0) {
        print_error("apply: %s", e.text);
        return EXIT_FAILURE;
    }
    r = run_check(a, program, out);
    if (r == 0)
        return 0;
    text = r > 0 ? said(out) : NULL;
    for (line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
        take_line(a, line);
    if (r < 0)
        print_error("apply: %s cannot check the files: %s", program, strerrordesc_np(-r));
    else if (json_object_array_length(a->mistakes) == 0)
        print_error("apply: %s --check-config ended with status %d", program, r);
    return r > 0 && json_object_array_length(a->mistakes) > 0 ? EXIT_CONFIG : EXIT_FAILURE;
}

/* ── Put in place ── */

static bool is_unanswered(int r, const sd_bus_error *error)
{
    static const char *const names[] = {SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT, SD_BUS_ERROR_DISCONNECTED};

    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        if (sd_bus_error_has_name(error, names[i]))
            return true;
    return r == -ETIMEDOUT || r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE;
}

/* 0: the agent has it, or is not running. Exit status. */
static int reload(struct apply *a)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    struct ctl *c = a->ctl;
    int r = c->bus ? 0 : sd_bus_open_system(&c->bus);

    if (r == -ENOENT || r == -ECONNREFUSED) {
        json_object_object_add(ctl_result(c), "reloaded", json_object_new_boolean(false));
        return 0;
    }
    if (r >= 0)
        r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Reload");
    if (r >= 0)
        r = sd_bus_message_set_auto_start(m, 0);
    if (r >= 0)
        r = sd_bus_call(c->bus, m, CALL_TIMEOUT, &error, NULL);
    if (r < 0 && (sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                  sd_bus_error_has_name(&error, SD_BUS_ERROR_NAME_HAS_NO_OWNER))) {
        json_object_object_add(ctl_result(c), "reloaded", json_object_new_boolean(false));
        return 0;
    }
    json_object_object_add(ctl_result(c), "reloaded", json_object_new_boolean(r >= 0));
    if (r >= 0)
        return 0;
    a->unanswered = is_unanswered(r, &error);
    if (sd_bus_error_has_name(&error, ERROR_INVALID_ARGUMENT)) {
        add_mistake(a, "", 0, 0, error.message);
        return EXIT_CONFIG;
    }
    return ctl_failed(c, "Reload", r, &error);
}

static void tell_left(struct apply *a, const struct error *left)
{
    print_error("apply: not all files could be put back as they were: %s", left->text);
    a->uncertain = true;
}

static int publish(struct apply *a)
{
    struct error e = {0}, left = {0};
    int status;

    if (apply_publish(a->config_dir, &a->changes, &left, &e) < 0) {
        print_error("apply: %s", e.text);
        if (left.text[0])
            tell_left(a, &left);
        return EXIT_FAILURE;
    }
    status = reload(a);
    if (status == 0)
        return 0;
    if (apply_take_back(a->config_dir, &a->changes, &left) < 0)
        tell_left(a, &left);
    if (a->unanswered && (a->uncertain || reload(a) != 0)) {
        print_error(
            "apply: it is not known which configuration the agent has: run `gatehousectl reload` once it answers");
        a->uncertain = true;
    }
    json_object_object_add(ctl_result(a->ctl), "reloaded", json_object_new_boolean(false));
    return status;
}

/* ── The verb ── */

static int compare(struct apply *a)
{
    struct error e = {0};
    int r = apply_read(a->directory, true, &a->wanted, &e);

    if (r == -EINVAL) {
        add_mistake(a, "", 0, 0, e.text);
        return EXIT_CONFIG;
    }
    if (r >= 0)
        r = apply_read(a->config_dir, false, &a->present, &e);
    if (r >= 0 && a->wanted.folders == 0)
        r = error_set(&e, -ENOENT, "%s has neither " CONFIG_FILE " nor " CONFIG_DEVICES_DIR " nor profiles",
                      a->directory);
    if (r >= 0)
        r = apply_compare(&a->present, &a->wanted, &a->changes);
    if (r < 0)
        print_error("apply: %s", e.text[0] ? e.text : strerrordesc_np(-r));
    return r < 0 ? EXIT_FAILURE : 0;
}

/* Only what was carried out, or with --dry-run would be. */
static void tell(struct apply *a)
{
    json_object *changed = json_object_object_get(ctl_result(a->ctl), "changed");

    for (size_t i = 0; i < a->changes.n; i++) {
        const struct apply_change *c = &a->changes.list[i];

        json_object_array_add(changed, json_object_new_string(c->name));
        print_say(a->ctl, "%s %s", !c->before ? "add   " : !c->after ? "remove" : "change", c->name);
    }
    if (a->changes.n == 0)
        print_say(a->ctl, "nothing to change");
}

/* The directory itself can be opened, and so be locked, by every user; its owner alone makes files in it. The holder
 * removes the file, so that what was waited for may be gone. -EWOULDBLOCK: another holds it. */
static int lock_directory(const char *path)
{
    for (;;) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        struct stat st;

        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
            return -errno;
        if (st.st_nlink > 0)
            return TAKE_FD(fd);
    }
}

static int apply_locked(struct apply *a)
{
    int status = compare(a);

    if (status == 0)
        status = check(a);
    if (status == 0 && a->changes.n > 0 && !a->ctl->dry_run)
        status = publish(a);
    if (status == 0)
        tell(a);
    else if (!a->uncertain)
        print_error("nothing is changed");
    return status;
}

int verb_apply(struct ctl *c, int argc, char **argv)
{
    _cleanup_(apply_done) struct apply a = {
        .ctl = c, .directory = argv[0], .config_dir = c->config_dir ?: CONFIG_DIR, .mistakes = json_object_new_array()};
    _cleanup_close_ int lock = -EBADF;
    char path[PATH_MAX];
    int status;

    umask(0022); /* the agent's user reads what is written, whatever the caller's files are like */
    json_object_object_add(ctl_result(c), "changed", json_object_new_array());
    json_object_object_add(ctl_result(c), "mistakes", a.mistakes);
    json_object_object_add(ctl_result(c), "dry_run", json_object_new_boolean(c->dry_run));
    snprintf(path, sizeof(path), "%s/" LOCK, a.config_dir);
    lock = lock_directory(path);
    /* A look needs no right to write there, and where nobody can write there may be nothing to do. */
    if (lock < 0 && lock != -EROFS && (!c->dry_run || lock == -EWOULDBLOCK)) {
        print_error("apply: %s: %s", a.config_dir,
                    lock == -EWOULDBLOCK ? "another apply is under way" : strerrordesc_np(-lock));
        return EXIT_FAILURE;
    }
    status = apply_locked(&a);
    if (lock >= 0)
        unlink(path);
    return status;
}
