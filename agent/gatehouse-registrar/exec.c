/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exec.h"

#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PROGRAM_FD (STDERR_FILENO + 1) /* in the child */

struct run {
    pid_t pid;
    int pid_fd, in, out;
    const char *request;
    size_t n, written;
    char *answer;
    size_t received;
    bool ended; /* the program itself; what it left behind may still hold its output */
};

/* The request for the program, without members that concern only us. NULL: no memory. */
static json_object *program_request(const struct request *q)
{
    static const char *const keys[] = {"action",  "device", "hardware_id", "identity", "cloud_id", "other_id",
                                       "offered", "create", "mode",        "encoding", "key"};
    json_object *o = json_object_new_object(), *v;

    for (size_t i = 0; o && i < ELEMENTSOF(keys); i++)
        if (json_object_object_get_ex(q->root, keys[i], &v) &&
            json_object_object_add(o, keys[i], json_object_get(v)) < 0)
            return json_object_put(o), NULL;
    return o;
}

/* Opens it, to be executed as it was when it was looked at, whatever the name stands for by then: only what nobody but
 * its owner, root or ourselves, could have written. The descriptor, or -1 with the outcome. */
static int open_program(const char *path, struct outcome *out)
{
    _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return outcome_retry(out, false, 0, "%s: %s", path, strerrordesc_np(errno)), -1;
    if (!S_ISREG(st.st_mode) || faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
        return outcome_retry(out, false, 0, "%s is no program that may be executed", path), -1;
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH))
        return outcome_retry(out, false, 0, "%s could be written by others than root", path), -1;
    return TAKE_FD(fd);
}

/* A script's interpreter opens it once more, as /dev/fd/3: it alone keeps the descriptor. */
static void execute(char *const arguments[], char *const environment[])
{
    fcntl(PROGRAM_FD, F_SETFD, FD_CLOEXEC);
    execveat(PROGRAM_FD, "", arguments, environment, AT_EMPTY_PATH);
    if (errno == ENOENT && fcntl(PROGRAM_FD, F_SETFD, 0) >= 0)
        execveat(PROGRAM_FD, "", arguments, environment, AT_EMPTY_PATH);
}

/* In the child. `program`: the descriptor of path. */
static void become(int program, const char *path, int in, int out)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    char variable[4096], name[4096];
    char *const arguments[] = {(char *)path, NULL};
    char *environment[] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                           (char *)"LANG=C.UTF-8", NULL, NULL, NULL};
    size_t n = 2;
    sigset_t none;

    setsid();
    /* By its descriptor a script does not see what it is called. */
    if (snprintf(name, sizeof(name), "GATEHOUSE_PROGRAM=%s", path) < (int)sizeof(name))
        environment[n++] = name;
    if (credentials &&
        snprintf(variable, sizeof(variable), "CREDENTIALS_DIRECTORY=%s", credentials) < (int)sizeof(variable))
        environment[n++] = variable;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        (program != PROGRAM_FD && dup2(program, PROGRAM_FD) < 0) || close_range(PROGRAM_FD + 1, ~0U, 0) < 0 ||
        chdir("/") < 0)
        _exit(127);
    execute(arguments, environment);
    _exit(127);
}

static int start(struct run *r, int program, const char *path)
{
    int in[2] = {-EBADF, -EBADF}, out[2] = {-EBADF, -EBADF}, k = 0;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        k = -errno;
    else if ((r->pid = fork()) < 0)
        k = -errno;
    else if (r->pid == 0)
        become(program, path, in[0], out[1]);
    safe_close(in[0]);
    safe_close(out[1]);
    r->in = in[1];
    r->out = out[0];
    if (k < 0)
        return k;
    r->pid_fd = pidfd_open(r->pid, 0);
    if (r->pid_fd < 0 || fcntl(r->in, F_SETFL, O_NONBLOCK) < 0 || fcntl(r->out, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

/* A program that does not read all of its input is still believed. */
static void write_more(struct run *r)
{
    ssize_t n = write(r->in, r->request + r->written, r->n - r->written);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    r->written = n < 0 ? r->n : r->written + (size_t)n;
    if (r->written == r->n)
        r->in = safe_close(r->in);
}

/* 0, or -EMSGSIZE. */
static int read_more(struct run *r)
{
    ssize_t n = read(r->out, r->answer + r->received, REGISTRAR_MESSAGE_MAX + 1 - r->received);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        r->out = safe_close(r->out);
    else
        r->received += (size_t)n;
    return r->received > REGISTRAR_MESSAGE_MAX ? -EMSGSIZE : 0;
}

/* Until the program has ended and its output as well. 0, -ETIMEDOUT, -EMSGSIZE. */
static int attend(struct run *r, uint64_t deadline)
{
    while (!r->ended || r->out >= 0) {
        struct pollfd fds[] = {{r->ended ? -1 : r->pid_fd, POLLIN, 0}, {r->in, POLLOUT, 0}, {r->out, POLLIN, 0}};
        uint64_t now = clock_boottime();

        if (now >= deadline)
            return -ETIMEDOUT;
        if (poll(fds, 3, (int)((deadline - now) / USEC_PER_MSEC) + 1) < 0 && errno != EINTR)
            return -errno;
        if (fds[0].revents) {
            r->ended = true;
            /* Processes that it left behind may hold the output open. The group exists as long as the
             * program has not been waited for. */
            kill(-r->pid, SIGKILL);
        }
        if (r->in >= 0 && fds[1].revents)
            write_more(r);
        if (r->out >= 0 && fds[2].revents && read_more(r) < 0)
            return -EMSGSIZE;
    }
    return 0;
}

static void judge(const struct request *q, struct run *r, int k, int status, struct outcome *out)
{
    if (k == -ETIMEDOUT)
        outcome_retry(out, true, 0, "the program %s had not ended after %u s and was killed", q->program,
                      (unsigned)(q->timeout / USEC_PER_SEC));
    else if (k == -EMSGSIZE)
        outcome_retry(out, true, 0, "the program %s answered more than %d bytes", q->program, REGISTRAR_MESSAGE_MAX);
    else if (k < 0)
        outcome_retry(out, true, 0, "the program %s cannot be waited for: %s", q->program, strerrordesc_np(-k));
    else if (WIFSIGNALED(status))
        outcome_retry(out, true, 0, "the program %s was ended by SIG%s", q->program,
                      sigabbrev_np(WTERMSIG(status)) ?: "?");
    else if (WEXITSTATUS(status) == 127 && r->received == 0)
        outcome_retry(out, false, 0, "the program %s cannot be executed", q->program);
    else if (WEXITSTATUS(status) != 0)
        outcome_retry(out, true, 0, "the program %s ended with status %d", q->program, WEXITSTATUS(status));
    else
        wire_read_answer(q->action, r->answer, r->received, &out->texts, &out->answer);
}

static void run(const struct request *q, int program, const char *path, const char *request, struct outcome *out)
{
    struct run r = {.pid = -1, .pid_fd = -EBADF, .in = -EBADF, .out = -EBADF, .request = request, .n = strlen(request)};
    int k, status = 0;

    r.answer = malloc(REGISTRAR_MESSAGE_MAX + 1);
    k = r.answer ? start(&r, program, path) : -ENOMEM;
    if (r.pid < 0) {
        outcome_retry(out, false, 0, "the program %s cannot be started: %s", q->program, strerrordesc_np(-k));
    } else {
        if (k >= 0)
            k = attend(&r, clock_boottime() + q->timeout);
        kill(-r.pid, SIGKILL);
        kill(r.pid, SIGKILL); /* before it had its own group */
        while (waitpid(r.pid, &status, 0) < 0 && errno == EINTR)
            ;
        judge(q, &r, k, status, out);
    }
    safe_close(r.pid_fd);
    safe_close(r.in);
    safe_close(r.out);
    free(r.answer);
}

int exec_serve(const struct request *q, const char *directory, struct outcome *out)
{
    _cleanup_json_ json_object *o = program_request(q);
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int program = -EBADF;
    const char *text =
        o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;

    if (!text || asprintf(&path, "%s/%s", directory, q->program) < 0)
        return outcome_retry(out, false, 0, "no memory for the request");
    program = open_program(path, out);
    if (program >= 0)
        run(q, program, path, text, out);
    return 0;
}
