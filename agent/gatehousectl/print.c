/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"

#include "base/clock.h"
#include "human.h"
#include "table.h"

#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

static pid_t pager;
static json_object *errors, *warnings; /* of print_error() and print_warning() */

json_object *ctl_result(struct ctl *c)
{
    if (!c->result)
        c->result = json_object_new_object();
    return c->result;
}

void ctl_result_text(struct ctl *c, const char *name, const char *text)
{
    json_object_object_add(ctl_result(c), name, json_object_new_string(text));
}

bool print_text_wanted(const struct ctl *c)
{
    return !c->quiet && c->output == OUTPUT_TEXT;
}

/* ── JSON ── */

/* MainIdentity: main_identity. Names that are in lower case already stay. */
static void snake_case(const char *name, char *ret, size_t size)
{
    size_t n = 0;

    for (const char *p = name; *p && n + 2 < size; p++) {
        if (isupper((unsigned char)*p) && p > name && !isupper((unsigned char)p[-1]))
            ret[n++] = '_';
        ret[n++] = (char)tolower((unsigned char)*p);
    }
    ret[n] = 0;
}

/* The same value with such names all the way down. */
static json_object *with_our_names(json_object *o)
{
    json_object *copy;

    switch (json_object_get_type(o)) {
    case json_type_array:
        copy = json_object_new_array();
        for (size_t i = 0; i < json_object_array_length(o); i++)
            json_object_array_add(copy, with_our_names(json_object_array_get_idx(o, i)));
        return copy;
    case json_type_object:
        copy = json_object_new_object();
        json_object_object_foreach (o, name, value) {
            char ours[128];

            snake_case(name, ours, sizeof(ours));
            json_object_object_add(copy, ours, with_our_names(value));
        }
        return copy;
    default: /* a plain value, or null */
        return json_object_get(o);
    }
}

void print_json(struct ctl *c, json_object *o)
{
    _cleanup_json_ json_object *ours = with_our_names(o);
    int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

    flags |=
        c->output == OUTPUT_JSON_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN;
    puts(json_object_to_json_string_ext(ours, flags));
}

json_object *print_document(void)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "version", json_object_new_int(CTL_JSON_VERSION));
    return o;
}

void print_envelope(struct ctl *c, const char *verb, int status)
{
    _cleanup_json_ json_object *o = NULL;

    if (c->output == OUTPUT_TEXT || c->quiet)
        return;
    o = print_document();
    json_object_object_add(o, "verb", json_object_new_string(verb));
    json_object_object_add(o, "status", json_object_new_int(status));
    json_object_object_add(o, "errors", errors ? json_object_get(errors) : json_object_new_array());
    json_object_object_add(o, "warnings", warnings ? json_object_get(warnings) : json_object_new_array());
    json_object_object_add(o, "result", json_object_get(ctl_result(c)));
    print_json(c, o);
}

/* The line on standard error after `before`, and among the texts of the envelope. */
static void print_line(const char *before, json_object **texts, const char *format, va_list ap)
{
    _cleanup_free_ char *text = NULL;

    if (vasprintf(&text, format, ap) < 0)
        return;
    fprintf(stderr, "gatehousectl: %s%s\n", before, text);
    if (!*texts)
        *texts = json_object_new_array();
    json_object_array_add(*texts, json_object_new_string(text));
}

void print_error(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_line("", &errors, format, ap);
    va_end(ap);
}

void print_warning(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_line("warning: ", &warnings, format, ap);
    va_end(ap);
}

/* ── Words ── */

const char *print_time_text(uint64_t usec, char text[PRINT_TIME_MAX])
{
    time_t seconds = (time_t)(usec / 1000000);
    struct tm tm;

    snprintf(text, PRINT_TIME_MAX, "never");
    if (usec > 0 && localtime_r(&seconds, &tm))
        strftime(text, PRINT_TIME_MAX, "%a %Y-%m-%d %H:%M:%S %Z", &tm);
    return text;
}

void print_time(struct ctl *c, const char *label, uint64_t usec)
{
    char text[PRINT_TIME_MAX], when[HUMAN_TEXT_MAX];

    if (usec == 0)
        print_field(&c->out, stdout, label, STYLE_PLAIN, "never");
    else
        print_field(&c->out, stdout, label, STYLE_PLAIN, "%s (%s)", print_time_text(usec, text),
                    human_when(usec, clock_realtime(), when));
}

int print_waits(json_object *device, char *text, size_t size)
{
    const char *reason = json_get_string(device, "RotationReason") ?: "";
    uint64_t until = json_object_get_uint64(json_object_object_get(device, "RotationUntil"));
    char when[PRINT_TIME_MAX];

    if (until > 0 && reason[0])
        return snprintf(text, size, "%s, until %s", reason, print_time_text(until, when));
    return snprintf(text, size, "%s", reason);
}

void print_say(struct ctl *c, const char *format, ...)
{
    va_list ap;

    if (!print_text_wanted(c))
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

    if (c->no_pager || c->output != OUTPUT_TEXT || !isatty(STDOUT_FILENO) ||
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
        /* A reader who leaves the pager early is done, and so are we. */
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
