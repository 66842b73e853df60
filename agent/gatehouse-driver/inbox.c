/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inbox.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "lane.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

/* All that is there, samples first: a device's last ones come before the note that it is closed. */
static void empty(struct inbox *b)
{
    struct queued_list samples = TAILQ_HEAD_INITIALIZER(samples);
    struct note_list notes = TAILQ_HEAD_INITIALIZER(notes);
    struct queued *s;
    struct note *n;

    pthread_mutex_lock(&b->mutex);
    TAILQ_CONCAT(&samples, &b->samples, by_age);
    TAILQ_CONCAT(&notes, &b->notes, link);
    b->n_samples = 0;
    pthread_mutex_unlock(&b->mutex);
    while ((s = TAILQ_FIRST(&samples))) {
        TAILQ_REMOVE(&samples, s, by_age);
        b->sample(s, b->userdata);
    }
    while ((n = TAILQ_FIRST(&notes))) {
        TAILQ_REMOVE(&notes, n, link);
        b->note(n, b->userdata);
        free(n);
    }
}

static void clear(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
}

static int on_samples(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct inbox *b = userdata;
    uint64_t now = clock_monotonic();

    clear(fd);
    pthread_mutex_lock(&b->mutex);
    b->rest_until = now + DRIVER_REPORT_INTERVAL;
    pthread_mutex_unlock(&b->mutex);
    empty(b);
    return 0;
}

static int on_notes(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    clear(fd);
    empty(userdata);
    return 0;
}

int inbox_init(struct inbox *b, sd_event *event, void (*sample)(struct queued *sample, void *userdata),
               void (*note)(const struct note *note, void *userdata), void *userdata)
{
    int r;

    *b = (struct inbox){.sample_fd = -EBADF, .note_fd = -EBADF, .sample = sample, .note = note, .userdata = userdata};
    pthread_mutex_init(&b->mutex, NULL);
    TAILQ_INIT(&b->samples);
    TAILQ_INIT(&b->notes);
    b->sample_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    b->note_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->sample_fd < 0 || b->note_fd < 0)
        return -errno;
    r = sd_event_add_io(event, &b->sample_source, b->sample_fd, EPOLLIN, on_samples, b);
    if (r >= 0)
        r = sd_event_add_io(event, &b->note_source, b->note_fd, EPOLLIN, on_notes, b);
    return r;
}

void inbox_done(struct inbox *b)
{
    struct queued *s;
    struct note *n;

    while ((s = TAILQ_FIRST(&b->samples))) {
        TAILQ_REMOVE(&b->samples, s, by_age);
        free(s);
    }
    while ((n = TAILQ_FIRST(&b->notes))) {
        TAILQ_REMOVE(&b->notes, n, link);
        free(n);
    }
    sd_event_source_disable_unref(b->sample_source);
    sd_event_source_disable_unref(b->note_source);
    safe_close(b->sample_fd);
    safe_close(b->note_fd);
    pthread_mutex_destroy(&b->mutex);
}

/* Has the loop look for samples at that time. */
static void set_timer(int fd, uint64_t when)
{
    /* All zero would disarm it. */
    const struct itimerspec t = {
        .it_value = {.tv_sec = (time_t)(when / USEC_PER_SEC), .tv_nsec = (long)(when % USEC_PER_SEC) * 1000 + 1}};

    (void)timerfd_settime(fd, TFD_TIMER_ABSTIME, &t, NULL);
}

void inbox_put_samples(struct inbox *b, struct queued_list *samples, size_t n)
{
    uint64_t when = UINT64_MAX;
    struct queued *s;

    pthread_mutex_lock(&b->mutex);
    if (b->n_samples < DRIVER_REPORT_MANY && b->n_samples + n >= DRIVER_REPORT_MANY)
        when = 0;
    else if (TAILQ_EMPTY(&b->samples))
        when = b->rest_until;
    TAILQ_CONCAT(&b->samples, samples, by_age);
    for (b->n_samples += n; b->n_samples > DRIVER_QUEUE_MAX; b->n_samples--) {
        s = TAILQ_FIRST(&b->samples);
        TAILQ_REMOVE(&b->samples, s, by_age);
        free(s);
        b->dropped++;
    }
    pthread_mutex_unlock(&b->mutex);
    if (when != UINT64_MAX)
        set_timer(b->sample_fd, when);
}

static void signal_loop(int fd)
{
    uint64_t one = 1;

    /* It fails only when the counter is full, and then the loop is awake already. */
    (void)!write(fd, &one, sizeof(one));
}

void inbox_put_note(struct inbox *b, const struct note *note, const char *reason)
{
    size_t size = strlen(reason ?: "") + 1;
    struct note *copy = malloc(sizeof(*copy) + size);

    if (!copy) {
        log_error(NULL, "out of memory");
        _exit(EXIT_FAILURE);
    }
    *copy = *note;
    memcpy(copy->reason, reason ?: "", size);
    pthread_mutex_lock(&b->mutex);
    TAILQ_INSERT_TAIL(&b->notes, copy, link);
    pthread_mutex_unlock(&b->mutex);
    signal_loop(b->note_fd);
}
