/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loop.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define TURN_SAID (2 * USEC_PER_MSEC)

/* Wall clock and CPU time of this thread so far. */
struct account {
    uint64_t wall, cpu;
    uint64_t ready; /* to run, and did not get to */
    long waits;     /* how often it gave the processor away, to wait for something */
};

/* Microseconds that this thread was ready to run and did not get to; 0 if the kernel does not say. */
static uint64_t ready_time(int fd)
{
    char text[128];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    char *end;

    if (n <= 0)
        return 0;
    text[n] = 0;
    strtoull(text, &end, 10); /* on the processor; then ready for it, both in nanoseconds */
    return strtoull(end, NULL, 10) / 1000;
}

static void take_account(int fd, struct account *ret)
{
    struct rusage usage = {0};
    struct timespec cpu;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    getrusage(RUSAGE_THREAD, &usage);
    *ret = (struct account){.wall = clock_boottime(),
                            .cpu = (uint64_t)cpu.tv_sec * USEC_PER_SEC + (uint64_t)cpu.tv_nsec / 1000,
                            .ready = ready_time(fd),
                            .waits = usage.ru_nvcsw};
}

/* How long a turn took, less what other processes, or another machine on the same host, took of it. Who waited for
 * nothing has spent his time on the processor. */
static uint64_t took(const struct account *begin, const struct account *end)
{
    uint64_t wall = end->wall - begin->wall, ready = end->ready - begin->ready;

    return end->waits == begin->waits ? end->cpu - begin->cpu : wall - MIN_OF(wall, ready);
}

/* All between two waits for events is one turn. The library sorts out which timers have come after it has waited: for
 * that time, what was spent on the processor is counted. */
static int turn(sd_event *event, int fd)
{
    struct account begin, prepared, woken, end;
    uint64_t usec;
    int r;

    take_account(fd, &begin);
    r = sd_event_prepare(event);
    take_account(fd, &prepared);
    if (r == 0)
        r = sd_event_wait(event, UINT64_MAX);
    if (r <= 0)
        return r;
    take_account(fd, &woken);
    r = sd_event_dispatch(event);
    take_account(fd, &end);
    usec = took(&begin, &prepared) + (woken.cpu - prepared.cpu) + took(&woken, &end);
    if (usec >= TURN_SAID)
        log_debug(NULL, "a turn of the loop took %u us, %u us of them on the processor", (unsigned)usec,
                  (unsigned)(end.cpu - begin.cpu));
    return r;
}

int loop_run(sd_event *event)
{
    _cleanup_close_ int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    int r = 0, code;

    while (r >= 0 && sd_event_get_state(event) != SD_EVENT_FINISHED)
        r = log_level() >= LOG_DEBUG ? turn(event, fd) : sd_event_run(event, UINT64_MAX);
    if (r < 0)
        return r;
    r = sd_event_get_exit_code(event, &code);
    return r < 0 ? r : code;
}
