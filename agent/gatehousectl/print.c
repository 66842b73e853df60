/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

static pid_t pager;

void print_json(struct ctl *c, json_object *o)
{
    int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

    flags |=
        c->output == OUTPUT_JSON_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN;
    puts(json_object_to_json_string_ext(o, flags));
}

void print_time(const char *label, uint64_t usec)
{
    time_t seconds = (time_t)(usec / 1000000);
    char text[64] = "never";
    struct tm tm;

    if (usec > 0 && localtime_r(&seconds, &tm))
        strftime(text, sizeof(text), "%a %Y-%m-%d %H:%M:%S %Z", &tm);
    printf("%16s: %s\n", label, text);
}

void print_say(struct ctl *c, const char *format, ...)
{
    va_list ap;

    if (c->quiet)
        return;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
}

void print_pager(struct ctl *c, size_t rows)
{
    struct winsize size = {0};
    int ends[2];

    if (!c->pager || c->output != OUTPUT_TEXT || !isatty(STDOUT_FILENO) ||
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || rows < size.ws_row || pipe(ends) < 0)
        return;
    pager = fork();
    if (pager == 0) {
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv("LESS", "FRSXMK", 0);
        execlp("sh", "sh", "-c", "exec ${PAGER:-less}", NULL);
        _exit(EXIT_FAILURE);
    }
    if (pager > 0) {
        /* Who leaves the pager early is done, and so are we. */
        signal(SIGPIPE, SIG_DFL);
        fflush(stdout);
        dup2(ends[1], STDOUT_FILENO);
    }
    close(ends[0]);
    close(ends[1]);
}

void print_pager_end(void)
{
    if (pager <= 0)
        return;
    fflush(stdout);
    fclose(stdout);
    waitpid(pager, NULL, 0);
    _exit(EXIT_SUCCESS);
}
