/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct work {
    struct work *next;
    int (*run)(void *userdata);
    void (*done)(int r, void *userdata);
    void *userdata;
    int r;
};

struct queue {
    struct work *first, **last;
};

struct workers {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t *threads;
    unsigned n_threads;
    bool stop;
    struct queue todo, finished;
    int event_fd;
    sd_event_source *source;
};

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void queue_push(struct queue *q, struct work *work)
{
    work->next = NULL;
    *q->last = work;
    q->last = &work->next;
}

static struct work *queue_pop(struct queue *q)
{
    struct work *work = q->first;

    if (work) {
        q->first = work->next;
        if (!q->first)
            q->last = &q->first;
    }
    return work;
}

static void *thread_main(void *userdata)
{
    struct workers *w = userdata;

    pthread_mutex_lock(&w->mutex);
    while (!w->stop) {
        struct work *work = queue_pop(&w->todo);
        uint64_t one = 1;

        if (!work) {
            pthread_cond_wait(&w->wake, &w->mutex);
            continue;
        }
        pthread_mutex_unlock(&w->mutex);
        work->r = work->run(work->userdata);
        pthread_mutex_lock(&w->mutex);
        queue_push(&w->finished, work);
        pthread_mutex_unlock(&w->mutex);
        /* Without the lock: it wakes the loop, which would find it taken and, on a busy machine, wait for long. An
         * eventfd write fails only when the counter is full, and then the loop is awake already. */
        (void)!write(w->event_fd, &one, sizeof(one));
        pthread_mutex_lock(&w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static void finish(struct workers *w, struct queue *q)
{
    for (;;) {
        struct work *work;

        pthread_mutex_lock(&w->mutex);
        work = queue_pop(q);
        pthread_mutex_unlock(&w->mutex);
        if (!work)
            return;
        work->done(work->r, work->userdata);
        free(work);
    }
}

static int on_finished(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct workers *w = userdata;
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
    finish(w, &w->finished);
    return 0;
}

static int start_threads(struct workers *w, unsigned threads)
{
    sigset_t all, old;
    int r = 0;

    w->threads = calloc(threads, sizeof(*w->threads));
    if (!w->threads)
        return -ENOMEM;
    /* Signals are the loop's (signalfd): a worker that took one would lose it. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (w->n_threads < threads && r == 0) {
        r = -pthread_create(&w->threads[w->n_threads], NULL, thread_main, w);
        if (r == 0)
            w->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

int workers_new(sd_event *event, unsigned threads, struct workers **ret)
{
    _cleanup_(workers_freep) struct workers *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);
    queue_init(&w->todo);
    queue_init(&w->finished);
    w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->event_fd < 0)
        return -errno;
    r = sd_event_add_io(event, &w->source, w->event_fd, EPOLLIN, on_finished, w);
    if (r >= 0)
        r = start_threads(w, threads);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(w);
    return 0;
}

struct workers *workers_free(struct workers *w)
{
    struct work *work;

    if (!w)
        return NULL;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    for (unsigned i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);
    for (work = w->todo.first; work; work = work->next)
        work->r = -ECANCELED;
    finish(w, &w->finished);
    finish(w, &w->todo);
    sd_event_source_disable_unref(w->source);
    safe_close(w->event_fd);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
    free(w->threads);
    free(w);
    return NULL;
}

int workers_submit(struct workers *w, int (*run)(void *userdata), void (*done)(int r, void *userdata), void *userdata)
{
    struct work *work = malloc(sizeof(*work));

    if (!work)
        return -ENOMEM;
    *work = (struct work){.run = run, .done = done, .userdata = userdata};
    pthread_mutex_lock(&w->mutex);
    queue_push(&w->todo, work);
    pthread_mutex_unlock(&w->mutex);
    pthread_cond_signal(&w->wake);
    return 0;
}
