/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inbox.h"

#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int on_inbox(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct queued_list samples = TAILQ_HEAD_INITIALIZER(samples);
    struct note_list notes = TAILQ_HEAD_INITIALIZER(notes);
    struct inbox *b = userdata;
    struct queued *s;
    struct note *n;
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
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
    return 0;
}

int inbox_init(struct inbox *b, sd_event *event, void (*sample)(struct queued *sample, void *userdata),
               void (*note)(const struct note *note, void *userdata), void *userdata)
{
    *b = (struct inbox){.sample = sample, .note = note, .userdata = userdata};
    pthread_mutex_init(&b->mutex, NULL);
    TAILQ_INIT(&b->samples);
    TAILQ_INIT(&b->notes);
    b->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->event_fd < 0)
        return -errno;
    return sd_event_add_io(event, &b->source, b->event_fd, EPOLLIN, on_inbox, b);
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
    sd_event_source_disable_unref(b->source);
    safe_close(b->event_fd);
    pthread_mutex_destroy(&b->mutex);
}

static void signal_loop(struct inbox *b)
{
    uint64_t one = 1;

    /* It fails only when the counter is full, and then the loop is awake already. */
    (void)!write(b->event_fd, &one, sizeof(one));
}

void inbox_put_samples(struct inbox *b, struct queued_list *samples, size_t n)
{
    struct queued *s;
    bool first;

    pthread_mutex_lock(&b->mutex);
    first = TAILQ_EMPTY(&b->samples);
    TAILQ_CONCAT(&b->samples, samples, by_age);
    for (b->n_samples += n; b->n_samples > DRIVER_QUEUE_MAX; b->n_samples--) {
        s = TAILQ_FIRST(&b->samples);
        TAILQ_REMOVE(&b->samples, s, by_age);
        free(s);
        b->dropped++;
    }
    pthread_mutex_unlock(&b->mutex);
    if (first)
        signal_loop(b);
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
    signal_loop(b);
}
