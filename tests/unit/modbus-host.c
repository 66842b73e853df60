/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "modbus-host.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define POINTS_MAX 64

static const struct gatehouse_plugin *plugin;

uint64_t test_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECONDS + (uint64_t)t.tv_nsec / 1000;
}

/* --- host functions --- */

static int report(struct gatehouse_device *d, const char *point, uint64_t time, const struct gatehouse_value *value,
                  const char *unit, uint32_t quality)
{
    struct sample *s;

    (void)time;
    (void)unit;
    (void)quality;
    d->samples = realloc(d->samples, (d->n_samples + 1) * sizeof *d->samples);
    assert_non_null(d->samples);
    s = &d->samples[d->n_samples++];
    *s = (struct sample){.value = *value};
    (void)snprintf(s->point, sizeof s->point, "%s", point);
    if (value->type == GATEHOUSE_STRING)
        (void)snprintf(s->text, sizeof s->text, "%s", value->s);
    return 0;
}

static void device_state(struct gatehouse_device *d, enum gatehouse_state state, const char *reason)
{
    const char *text = reason ? reason : "";

    if (d->has_state && d->state == state && strcmp(d->reason, text) == 0)
        return;
    d->has_state = true;
    d->state = state;
    d->state_changes++;
    (void)snprintf(d->reason, sizeof d->reason, "%s", text);
}

static void log_text(struct gatehouse_device *d, int level, const char *text)
{
    (void)level;
    d->logged++;
    (void)snprintf(d->last_log, sizeof d->last_log, "%s", text);
}

static void deadline(uint64_t microseconds)
{
    (void)microseconds;
}

static int watch_fd(struct gatehouse_device *d, int fd, uint32_t events, void (*ready)(void *, int, uint32_t))
{
    (void)d;
    (void)fd;
    (void)events;
    (void)ready;
    return -ENOSPC;
}

static int add_timer(struct gatehouse_device *d, uint64_t when, void (*fire)(void *))
{
    (void)d;
    (void)when;
    (void)fire;
    return -ENOSPC;
}

static void wake(struct gatehouse_device *d)
{
    d->woken = true;
}

static int count(struct gatehouse_device *d, const char *name, uint64_t value)
{
    size_t n = strlen(d->counts);
    char *at = strstr(d->counts, name);

    /* The last of each: "requests=2 timeouts=0 ". */
    if (at)
        n = (size_t)(at - d->counts);
    (void)snprintf(d->counts + n, sizeof d->counts - n, "%s=%llu ", name, (unsigned long long)value);
    return 0;
}

const struct gatehouse_plugin *host_load(void)
{
    static const struct gatehouse_host host = {.size = sizeof host,
                                               .abi = GATEHOUSE_PLUGIN_ABI,
                                               .report = report,
                                               .device_state = device_state,
                                               .log = log_text,
                                               .deadline = deadline,
                                               .watch_fd = watch_fd,
                                               .add_timer = add_timer,
                                               .wake = wake,
                                               .count = count};
    if (plugin)
        return plugin;
    void *so = dlopen(MODBUS_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (!so)
        fail_msg("%s", dlerror());
    gatehouse_plugin_entry_fn entry = (gatehouse_plugin_entry_fn)dlsym(so, GATEHOUSE_PLUGIN_ENTRY);
    assert_non_null(entry);
    plugin = entry();
    assert_int_equal(plugin->abi, GATEHOUSE_PLUGIN_ABI);
    assert_int_equal(plugin->load(&host), 0);
    return plugin;
}

/* --- devices --- */

static void complain(void *context, const char *pointer, const char *message)
{
    (void)context;
    print_error("%s: %s\n", pointer, message);
    fail();
}

struct gatehouse_device *host_open(const char *section, const char *const *texts)
{
    struct gatehouse_point points[POINTS_MAX];
    char names[POINTS_MAX][65], error[256] = "";
    size_t n = 0;

    for (; texts[n]; n++) {
        const char *json = strchr(texts[n], ' ');
        bool writable = texts[n][0] == '!';
        assert_true(n < POINTS_MAX && json);
        (void)snprintf(names[n], sizeof names[n], "%.*s", (int)(json - texts[n]) - writable, texts[n] + writable);
        points[n] = (struct gatehouse_point){.name = names[n], .config = json + 1, .writable = writable};
    }
    struct gatehouse_device *d = calloc(1, sizeof *d);
    assert_non_null(d);
    (void)host_load();
    assert_int_equal(plugin->config_check(section, points, n, complain, NULL), 0);
    int r = plugin->device_open(d, "device", section, points, n, &d->data, error, sizeof error);
    if (r < 0)
        fail_msg("device_open: %d %s", r, error);
    return d;
}

struct gatehouse_device *host_close(struct gatehouse_device *d)
{
    plugin->device_close(d->data);
    free(d->samples);
    free(d);
    return NULL;
}

bool host_run(struct gatehouse_device **devices, size_t n, bool (*done)(struct gatehouse_device **), uint64_t timeout)
{
    uint64_t end = test_now() + timeout;

    while (!done(devices)) {
        struct gatehouse_device *d = devices[0];
        for (size_t i = 0; i < n; i++) {
            if (devices[i]->woken)
                devices[i]->next = 0;
            devices[i]->woken = false;
            if (devices[i]->next < d->next)
                d = devices[i];
        }
        uint64_t now = test_now();
        if (now >= end)
            return false;
        if (d->next > now) {
            uint64_t when = d->next < end ? d->next : end;
            struct timespec t = {.tv_sec = (time_t)(when / SECONDS), .tv_nsec = (long)(when % SECONDS) * 1000};
            (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
            continue;
        }
        d->next = UINT64_MAX;
        assert_int_equal(plugin->poll(d->data, &d->next), 0);
    }
    return true;
}

size_t host_count(const struct gatehouse_device *d, const char *point)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n_samples; i++)
        n += strcmp(d->samples[i].point, point) == 0;
    return n;
}

const struct sample *host_last(const struct gatehouse_device *d, const char *point)
{
    for (size_t i = d->n_samples; i > 0; i--)
        if (strcmp(d->samples[i - 1].point, point) == 0)
            return &d->samples[i - 1];
    return NULL;
}

/* --- server processes --- */

static void spawn(struct server *s, const char *const *command, const char *const *arguments)
{
    char port[16], line[32] = "";
    const char *argv[32];
    size_t n = 0;
    int out[2];

    while (*command)
        argv[n++] = *command++;
    (void)snprintf(port, sizeof port, "%u", s->port);
    argv[n++] = "--port";
    argv[n++] = port;
    argv[n++] = "--log";
    argv[n++] = s->log;
    while (arguments && *arguments && n < 31)
        argv[n++] = *arguments++;
    argv[n] = NULL;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves no server behind */
        (void)dup2(out[1], STDOUT_FILENO);
        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    s->port = (unsigned)strtoul(line, NULL, 10);
    assert_true(s->port > 0);
    fclose(f);
}

void server_start(struct server *s, const char *const *command, const char *const *arguments)
{
    *s = (struct server){.log = "/tmp/gatehouse-modbus-XXXXXX"};
    int fd = mkstemp(s->log);
    assert_true(fd >= 0);
    close(fd);
    spawn(s, command, arguments);
}

void server_restart(struct server *s, const char *const *command, const char *const *arguments)
{
    spawn(s, command, arguments);
}

static void read_log(struct server *s)
{
    unsigned long long time;
    char verb[8];
    struct served e;
    FILE *f = fopen(s->log, "r");

    assert_non_null(f);
    s->n_served = 0;
    while (fscanf(f, "%llu %7s %u %15s %u %u", &time, verb, &e.unit, e.table, &e.address, &e.value) == 6) {
        e.time = time;
        e.write = strcmp(verb, "write") == 0;
        s->served = realloc(s->served, (s->n_served + 1) * sizeof e);
        assert_non_null(s->served);
        s->served[s->n_served++] = e;
    }
    fclose(f);
}

void server_end(struct server *s, int signal_number)
{
    int status;

    assert_int_equal(kill(s->pid, signal_number), 0);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    s->pid = 0;
    read_log(s);
}

void server_done(struct server *s)
{
    if (s->pid > 0)
        server_end(s, SIGTERM);
    (void)unlink(s->log);
    free(s->served);
    *s = (struct server){0};
}
