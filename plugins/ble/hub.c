/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

uint64_t hub_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * SEC + (uint64_t)t.tv_nsec / 1000;
}

void hub_wake(struct hub *h)
{
    uint64_t one = 1;

    (void)!write(h->wake_fd, &one, sizeof one);
}

struct sensor *hub_sensor(struct hub *h, const char *address)
{
    struct sensor *s = h->sensors;

    while (s && (s->closing || strcasecmp(s->config->address, address) != 0))
        s = s->next;
    return s;
}

struct sensor *hub_sensor_of(struct hub *h, const char *path)
{
    char address[ADDRESS_TEXT];
    size_t adapter;

    return path_address(path, address, &adapter) ? hub_sensor(h, address) : NULL;
}

int hub_wait(struct hub *h, const bool *flag, uint64_t usec)
{
    struct timespec until;
    int r = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(usec / SEC);
    until.tv_nsec += (long)(usec % SEC * 1000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!*flag && r == 0)
        r = pthread_cond_timedwait(&h->cond, &h->mutex, &until);
    return *flag ? 0 : -ETIMEDOUT;
}

/* Nothing of the bus refers to it any more. */
static void let_go(struct hub *h)
{
    for (struct sensor *s = h->sensors; s; s = s->next) {
        if (!s->closing || s->closed)
            continue;
        link_done(s);
        s->closed = true;
        pthread_cond_broadcast(&h->cond);
    }
}

static void look(struct hub *h)
{
    uint64_t now = hub_now();

    let_go(h);
    bluez_tick(h, now);
    for (struct sensor *s = h->sensors; s; s = s->next)
        if (!s->closing) {
            link_tick(s, now);
            sensor_tick(s, now);
        }
    for (struct adapter *a = h->adapters; a; a = a->next)
        adapter_tick(a, now);
}

static int on_wake(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    uint64_t count;

    (void)source;
    (void)events;
    (void)!read(fd, &count, sizeof count);
    look(userdata);
    return 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)usec;
    look(userdata);
    (void)sd_event_source_set_time_relative(source, TICK);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void leave(struct hub *h)
{
    for (struct sensor *s = h->sensors; s; s = s->next)
        link_done(s);
    bluez_close(h);
    adapters_done(h);
}

/* The mutex is held whenever events are handled, and never while they are waited for. */
static void *run(void *userdata)
{
    struct hub *h = userdata;
    sd_event_source *wake = NULL, *tick = NULL;
    int r = sd_event_new(&h->event);

    if (r >= 0)
        r = sd_event_add_io(h->event, &wake, h->wake_fd, EPOLLIN, on_wake, h);
    if (r >= 0)
        r = sd_event_add_time_relative(h->event, &tick, CLOCK_BOOTTIME, 0, 50 * MSEC, on_tick, h);
    while (r >= 0) {
        pthread_mutex_lock(&h->mutex);
        if (h->stopping) {
            leave(h);
            pthread_mutex_unlock(&h->mutex);
            break;
        }
        r = sd_event_prepare(h->event);
        pthread_mutex_unlock(&h->mutex);
        if (r == 0)
            r = sd_event_wait(h->event, UINT64_MAX);
        if (r <= 0)
            continue;
        pthread_mutex_lock(&h->mutex);
        r = sd_event_dispatch(h->event);
        pthread_mutex_unlock(&h->mutex);
    }
    if (r < 0) {
        h->host->log(NULL, LOG_ERR, "the thread that talks to BlueZ failed");
        _exit(EXIT_FAILURE); /* systemd starts it again */
    }
    sd_event_source_disable_unref(wake);
    sd_event_source_disable_unref(tick);
    h->event = sd_event_unref(h->event);
    return NULL;
}

int hub_start(struct hub *h)
{
    pthread_condattr_t attr;
    sigset_t all, old;
    int r;

    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->wake_fd < 0)
        return -errno;
    pthread_mutex_init(&h->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->cond, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = -pthread_create(&h->thread, NULL, run, h);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    h->running = r == 0;
    return r;
}

void hub_stop(struct hub *h)
{
    if (!h->running)
        return;
    pthread_mutex_lock(&h->mutex);
    h->stopping = true;
    hub_wake(h);
    pthread_mutex_unlock(&h->mutex);
    pthread_join(h->thread, NULL);
    h->running = false;
    close(h->wake_fd);
    pthread_cond_destroy(&h->cond);
    pthread_mutex_destroy(&h->mutex);
}
