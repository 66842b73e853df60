/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lane.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* A plugin may keep many buses; each costs what it touches of this. */
#define STACK_SIZE (512 * 1024)

static int start_thread(struct lane *l)
{
    pthread_attr_t attr;
    sigset_t all, old;
    int r;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    /* Signals are the loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = -pthread_create(&l->thread, &attr, lane_main, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return r;
}

int lane_new(const char *key, const struct gatehouse_plugin *plugin, struct inbox *inbox, struct lane **ret)
{
    struct lane *l = calloc(1, sizeof(*l));
    int r;

    if (!l)
        return -ENOMEM;
    l->plugin = plugin;
    l->inbox = inbox;
    TAILQ_INIT(&l->jobs);
    TAILQ_INIT(&l->woken);
    TAILQ_INIT(&l->samples);
    TAILQ_INIT(&l->scans);
    pthread_mutex_init(&l->mutex, NULL);
    l->key = strdup(key);
    l->stop_job = job_new(JOB_STOP, NULL);
    r = waits_init(&l->waits);
    if (r >= 0)
        r = waits_add_time(&l->waits, &l->scan_turn, lane_scan_turn);
    if (r >= 0)
        r = l->key && l->stop_job ? start_thread(l) : -ENOMEM;
    if (r < 0) {
        waits_done(&l->waits);
        pthread_mutex_destroy(&l->mutex);
        job_free(l->stop_job);
        free(l->key);
        free(l);
        return r;
    }
    *ret = l;
    return 0;
}

struct lane *lane_free(struct lane *l)
{
    if (!l)
        return NULL;
    pthread_join(l->thread, NULL);
    waits_done(&l->waits);
    pthread_mutex_destroy(&l->mutex);
    free(l->key);
    free(l);
    return NULL;
}

void lane_post(struct lane *l, struct job *job)
{
    pthread_mutex_lock(&l->mutex);
    TAILQ_INSERT_TAIL(&l->jobs, job, link);
    pthread_mutex_unlock(&l->mutex);
    waits_wake(&l->waits);
}

void lane_wake(struct gatehouse_device *d)
{
    struct lane *l = d->lane;
    bool news;

    pthread_mutex_lock(&l->mutex);
    news = !d->woken;
    d->woken = true;
    if (news)
        TAILQ_INSERT_TAIL(&l->woken, d, by_wake);
    pthread_mutex_unlock(&l->mutex);
    /* The lane's own thread looks before it waits. */
    if (news && lane_current() != l)
        waits_wake(&l->waits);
}

bool lane_overdue(struct lane *l, struct overdue *ret)
{
    uint64_t now = clock_monotonic();
    bool late;

    pthread_mutex_lock(&l->mutex);
    late = l->what && now > l->deadline;
    if (late) {
        ret->what = l->what;
        ret->after = now - l->began;
        memcpy(ret->device, l->device, sizeof(ret->device));
    }
    pthread_mutex_unlock(&l->mutex);
    return late;
}
