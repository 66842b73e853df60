/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loop.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TURN_SAID (2 * USEC_PER_MSEC)

/* Microseconds that this thread was ready to run and did not get to; 0 if the kernel does not say. */
static uint64_t waited(int fd)
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

static uint64_t on_processor(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* Everything between two waits for events is one turn. */
static int turn(sd_event *event, int fd)
{
    uint64_t begun = clock_boottime(), took, behind, cpu;
    int r = sd_event_prepare(event);

    took = clock_boottime() - begun;
    if (r == 0)
        r = sd_event_wait(event, UINT64_MAX);
    if (r <= 0)
        return r;
    behind = waited(fd);
    cpu = on_processor();
    begun = clock_boottime();
    r = sd_event_dispatch(event);
    took += clock_boottime() - begun;
    if (took < TURN_SAID)
        return r;
    behind = waited(fd) - behind;
    took -= MIN_OF(took, behind);
    if (took >= TURN_SAID)
        log_debug(NULL, "a turn of the loop took %u us, %u us of them on the processor", (unsigned)took,
                  (unsigned)(on_processor() - cpu));
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
