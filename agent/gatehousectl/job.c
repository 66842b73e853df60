/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Long operations of the agent: watching, listing, ending them. */
#include "ctl.h"

#include "base/clock.h"
#include "base/limits.h"
#include "natural.h"
#include "progress.h"
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PROGRESS_INTERVAL (USEC_PER_SEC / 2)
#define LOOK_INTERVAL USEC_PER_SEC

bool job_ended(json_object *properties)
{
    const char *state = json_get_string(properties, "State");

    return state && strcmp(state, "running") != 0;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return 0; /* only wakes sd_bus_wait: the state is then asked for */
}

const char *job_number(const char *path)
{
    return strrchr(path, '/') + 1;
}

static uint64_t count(json_object *properties, const char *name)
{
    return json_object_get_uint64(json_object_object_get(properties, name));
}

/* A line that is written over, for people only. */
static void show_progress(json_object *properties)
{
    struct progress p = {count(properties, "Done"), count(properties, "Total"), count(properties, "Failed")};
    char text[PROGRESS_TEXT_MAX];
    struct terminal terminal;

    style_of_terminal(STDERR_FILENO, &terminal);
    fprintf(stderr, "\r%s%s", progress_text(&p, &terminal, text), job_ended(properties) ? "\n" : "");
    fflush(stderr);
}

/* ── Ctrl-C ── */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    interrupted = number;
}

/* Ctrl-C is heard only while there is nothing but waiting. One that was ignored from the beginning stays so. */
static void hear_interrupts(bool hear)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    struct sigaction before;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    if (hear && sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
        sigaction(SIGINT, &action, NULL);
    sigprocmask(hear ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* Says how it goes on without us, and ends as whoever is interrupted does. */
static void leave_interrupted(const char *path)
{
    fprintf(stderr,
            "\ngatehousectl: job %s goes on\n"
            "  gatehousectl job wait %s    follows it\n"
            "  gatehousectl job cancel %s  ends it\n",
            job_number(path), job_number(path), job_number(path));
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
}

/* Whether anything had come. */
static int process_all(struct ctl *c)
{
    int r, any = 0;

    while ((r = sd_bus_process(c->bus, NULL)) > 0)
        any = 1;
    return r < 0 ? r : any;
}

/* Not for long at once: what interrupts just before the wait would be noticed behind it only. What was received
 * already ends the wait, and is processed before the next. */
static int await_signal(struct ctl *c, uint64_t timeout)
{
    int r = process_all(c);

    while (r == 0 && timeout > 0 && !interrupted) {
        uint64_t slice = MIN_OF(timeout, PROGRESS_INTERVAL);

        timeout -= timeout == UINT64_MAX ? 0 : slice;
        hear_interrupts(true);
        r = sd_bus_wait(c->bus, slice);
        hear_interrupts(false);
        if (r >= 0 || r == -EINTR)
            r = process_all(c);
    }
    return r < 0 ? ctl_failed(c, "cannot wait for the job", r, NULL) : 0;
}

/* Until it is looked at again; 0: the time is over. */
static uint64_t look_again(const struct job_watch *watch, bool progress)
{
    uint64_t wait = progress ? PROGRESS_INTERVAL : watch->look ? LOOK_INTERVAL : UINT64_MAX;
    uint64_t now = clock_boottime();

    if (watch->until == 0)
        return wait;
    return watch->until <= now ? 0 : MIN_OF(wait, watch->until - now);
}

static int wait_for_end(struct ctl *c, const char *path, const struct job_watch *watch, json_object **ret_properties)
{
    _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL, *gone = NULL;
    bool progress = watch->progress && !c->quiet && c->output == OUTPUT_TEXT && isatty(STDERR_FILENO);
    int r = ctl_connect(c);

    if (r != 0)
        return r;
    r = sd_bus_match_signal(c->bus, &slot, BUS_NAME, path, BUS_INTERFACE_JOB, "Finished", on_signal, NULL);
    if (r >= 0)
        r = sd_bus_match_signal(c->bus, &gone, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                "NameOwnerChanged", on_signal, NULL);
    if (r < 0)
        return ctl_failed(c, "cannot wait for the job", r, NULL);
    for (;;) {
        _cleanup_json_ json_object *properties = NULL;
        uint64_t wait;

        r = ctl_properties(c, path, BUS_INTERFACE_JOB, &properties);
        if (r != 0)
            return r;
        if (progress)
            show_progress(properties);
        if (interrupted && !job_ended(properties)) {
            hear_interrupts(true);
            leave_interrupted(path);
        }
        wait = look_again(watch, progress);
        if (job_ended(properties) || wait == 0) {
            r = ctl_property(c, path, BUS_INTERFACE_JOB, "Results", properties);
            *ret_properties = r == 0 ? TAKE_PTR(properties) : NULL;
            return r;
        }
        r = watch->look ? watch->look(c, watch->userdata) : 0;
        if (r == 0)
            r = await_signal(c, wait);
        if (r != 0)
            return r;
    }
}

int job_wait(struct ctl *c, const char *path, const struct job_watch *watch, json_object **ret_properties)
{
    struct sigaction before;
    int r;

    sigaction(SIGINT, NULL, &before);
    r = wait_for_end(c, path, watch, ret_properties);
    hear_interrupts(true);
    sigaction(SIGINT, &before, NULL);
    return r;
}

/* Prints failures, a line each. The finds of a scan have no outcome. */
static void print_failures(json_object *results)
{
    for (size_t i = 0; i < json_object_array_length(results); i++) {
        json_object *result = json_object_array_get_idx(results, i);
        const char *device = json_get_string(result, "device") ?: "", *reason = json_get_string(result, "reason") ?: "";
        const char *outcome = json_get_string(result, "outcome");

        if (outcome && strcmp(outcome, "done") != 0)
            print_error("%s%s%s%s%s", device, device[0] ? ": " : "", outcome, reason[0] ? ": " : "", reason);
    }
}

int job_outcome(struct ctl *c, const char *path, uint64_t until)
{
    _cleanup_json_ json_object *properties = NULL;
    uint64_t done, failed, total;
    const char *state;
    int r = job_wait(c, path, &(struct job_watch){.progress = true, .until = until}, &properties);

    if (r != 0)
        return r;
    state = json_get_string(properties, "State");
    done = count(properties, "Done");
    total = count(properties, "Total");
    failed = MIN_OF(count(properties, "Failed"), done);
    print_failures(json_object_object_get(properties, "Results"));
    print_say(c, "%s: %" PRIu64 " of %" PRIu64 " done, %" PRIu64 " failed", state, done - failed, total, failed);
    r = strcmp(state, "done") == 0 ? 0 : done > failed ? EXIT_PARTIAL : EXIT_FAILURE;
    job_result(c, path, TAKE_PTR(properties));
    return r;
}

void job_result(struct ctl *c, const char *path, json_object *properties)
{
    json_object *jobs = json_object_object_get(ctl_result(c), "jobs");

    if (!jobs)
        json_object_object_add(ctl_result(c), "jobs", jobs = json_object_new_array());
    json_object_object_add(properties, "Job", json_object_new_string(job_number(path)));
    json_object_array_add(jobs, properties);
}

/* ── The verbs ── */

/* The numbers of all jobs, as the names of the nodes below the jobs' path. */
static int each_job(struct ctl *c, int (*job)(struct ctl *c, const char *path))
{
    static const char mark[] = "<node name=\"";
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *xml;
    int r = ctl_call(c, BUS_PATH_JOB, "org.freedesktop.DBus.Introspectable", "Introspect", &reply, "");

    if (r != 0)
        return r;
    if (sd_bus_message_read(reply, "s", &xml) < 0)
        return EXIT_FAILURE;
    while (r == 0 && (xml = strstr(xml, mark))) {
        char path[64];
        int n;

        xml += strlen(mark);
        n = (int)strspn(xml, "0123456789");
        if (n == 0 || xml[n] != '"')
            continue;
        snprintf(path, sizeof(path), BUS_PATH_JOB "/%.*s", n, xml);
        r = job(c, path);
    }
    return r;
}

static int list_job(struct ctl *c, const char *path)
{
    _cleanup_json_ json_object *properties = NULL;
    int r = ctl_properties(c, path, BUS_INTERFACE_JOB, &properties);

    if (r != 0)
        return r;
    job_result(c, path, TAKE_PTR(properties));
    return 0;
}

static int by_number(const void *a, const void *b)
{
    json_object *const *x = a, *const *y = b;

    return natural_compare(json_get_string(*x, "Job"), json_get_string(*y, "Job"));
}

static int print_jobs(struct ctl *c, json_object *jobs)
{
    static const struct table_column columns[] = {
        {.heading = "JOB", .right = true, .whole = true},
        {.heading = "KIND"},
        {.heading = "STATE", .marks = true},
        {.heading = "DONE", .right = true},
        {.heading = "TOTAL", .right = true},
        {.heading = "FAILED", .right = true},
    };
    struct table *t = table_new(columns, ELEMENTSOF(columns));
    size_t n = json_object_array_length(jobs);
    int r;

    for (size_t i = 0; t && i < n; i++) {
        json_object *job = json_object_array_get_idx(jobs, i);
        const char *state = json_get_string(job, "State");

        table_cell(t, STYLE_PLAIN, json_get_string(job, "Job"));
        table_cell(t, STYLE_PLAIN, json_get_string(job, "Kind"));
        table_cell(t, style_of_state(state), state);
        table_printf(t, STYLE_PLAIN, "%" PRIu64, count(job, "Done"));
        table_printf(t, STYLE_PLAIN, "%" PRIu64, count(job, "Total"));
        table_printf(t, count(job, "Failed") > 0 ? STYLE_BAD : STYLE_PLAIN, "%" PRIu64, count(job, "Failed"));
    }
    if (!t)
        return EXIT_FAILURE;
    print_pager(c, n + 3);
    r = table_print(t, &c->out, !c->no_legend, stdout);
    table_free(t);
    if (!c->no_legend)
        printf("\n%zu job%s.\n", n, n == 1 ? "" : "s");
    return r < 0 ? EXIT_FAILURE : 0;
}

int verb_job_list(struct ctl *c, int argc, char **argv)
{
    json_object *jobs = json_object_new_array();
    int r;

    json_object_object_add(ctl_result(c), "jobs", jobs);
    r = each_job(c, list_job);
    json_object_array_sort(jobs, by_number);
    return r == 0 && print_text_wanted(c) ? print_jobs(c, jobs) : r;
}

/* The path of the job with this number. */
static int job_path(const char *number, char **ret)
{
    if (!number[0] || number[strspn(number, "0123456789")]) {
        print_error("'%s' is no number of a job; see gatehousectl job list", number);
        return EXIT_USAGE;
    }
    return asprintf(ret, BUS_PATH_JOB "/%s", number) < 0 ? EXIT_FAILURE : 0;
}

int verb_job_wait(struct ctl *c, int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    int r = job_path(argv[0], &path);

    return r != 0 ? r : job_outcome(c, path, 0);
}

int verb_job_cancel(struct ctl *c, int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    int r = job_path(argv[0], &path);

    if (r == 0)
        r = ctl_call(c, path, BUS_INTERFACE_JOB, "Cancel", NULL, "");
    if (r == 0)
        ctl_result_text(c, "job", argv[0]);
    return r;
}
