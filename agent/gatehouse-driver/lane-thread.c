/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "lane.h"
#include "write.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Samples of a callback go out together, unless it takes long. */
#define REPORT_DELAY_MAX (20 * USEC_PER_MSEC)
#define POLL_LATE_MAX (2 * USEC_PER_MSEC)
#define DEADLINE_MAX (10 * USEC_PER_MINUTE)
#define OPEN_RETRY_MIN (1 * USEC_PER_SEC)
#define OPEN_RETRY_MAX (60 * USEC_PER_SEC)
#define READ_RAW_MAX 1024
#define SENSOR_KEY_MAX 64

struct watch {
    struct wait_fd wait; /* first */
    struct gatehouse_device *device;
    int fd;
    void (*ready)(void *device_data, int fd, uint32_t revents);
};

/* A timer of the plugin's. */
struct later {
    struct wait_time wait; /* first */
    struct gatehouse_device *device;
    void (*fire)(void *device_data);
};

static _Thread_local struct lane *current;

struct lane *lane_current(void)
{
    return current;
}

static void begin(struct lane *l, struct gatehouse_device *d, const char *what)
{
    pthread_mutex_lock(&l->mutex);
    l->what = what;
    l->began = clock_monotonic();
    l->deadline = l->began + DRIVER_CALLBACK_DEADLINE;
    strncpy(l->device, d ? d->id : "", sizeof(l->device) - 1);
    pthread_mutex_unlock(&l->mutex);
    current = l;
}

static void flush_samples(struct lane *l)
{
    if (l->n_samples > 0)
        inbox_put_samples(l->inbox, &l->samples, l->n_samples);
    l->n_samples = 0;
}

static void end(struct lane *l)
{
    current = NULL;
    flush_samples(l);
    pthread_mutex_lock(&l->mutex);
    l->what = NULL;
    pthread_mutex_unlock(&l->mutex);
}

void lane_set_deadline(struct lane *l, uint64_t from_now)
{
    pthread_mutex_lock(&l->mutex);
    l->deadline = clock_monotonic() + MIN_OF(from_now, DEADLINE_MAX);
    pthread_mutex_unlock(&l->mutex);
}

void lane_report(struct lane *l, struct queued *sample)
{
    TAILQ_INSERT_TAIL(&l->samples, sample, by_age);
    l->n_samples++;
    if (l->n_samples >= LINK_REPORT_MAX || clock_monotonic() > l->began + REPORT_DELAY_MAX)
        flush_samples(l);
}

/* Polls that are due within a small part of the time that it waits anyway share one wake-up: to set the kernel's timer
 * for each poll was half of what a driver of many devices cost. One that is due at once, or very soon, is not late for
 * that. */
static void poll_at(struct gatehouse_device *d, uint64_t when)
{
    uint64_t now = clock_monotonic(), wait = when > now ? when - now : 0;

    waits_set_time(&d->lane->waits, &d->thread.poll, when, (uint32_t)MIN_OF(wait / 16, POLL_LATE_MAX));
}

static void on_poll(struct wait_time *time)
{
    struct gatehouse_device *d = WAIT_OWNER(time, struct gatehouse_device, thread.poll);
    uint64_t next = UINT64_MAX;
    int r;

    begin(d->lane, d, "poll");
    r = d->lane->plugin->poll(d->thread.data, &next);
    end(d->lane);
    if (r < 0)
        log_limited(&d->thread.complaints, LOG_DEBUG, d->id, "poll: %s", strerror(-r));
    if (next != UINT64_MAX)
        poll_at(d, next);
}

static void drop_watch(struct gatehouse_device *d, struct watch **slot)
{
    if (*slot)
        waits_remove_fd(&d->lane->waits, &(*slot)->wait);
    free(TAKE_PTR(*slot));
}

static void drop_timer(struct gatehouse_device *d, struct later **slot)
{
    if (*slot)
        waits_remove_time(&d->lane->waits, &(*slot)->wait);
    free(TAKE_PTR(*slot));
}

/* Waits for anything that may come. */
static void device_drop_waits(struct gatehouse_device *d)
{
    waits_stop_time(&d->lane->waits, &d->thread.poll);
    waits_stop_time(&d->lane->waits, &d->thread.retry);
    for (size_t i = 0; i < DEVICE_WATCHES_MAX; i++)
        drop_watch(d, &d->thread.watches[i]);
    for (size_t i = 0; i < DEVICE_TIMERS_MAX; i++)
        drop_timer(d, &d->thread.timers[i]);
}

static void device_try_open(struct gatehouse_device *d);

static void on_retry(struct wait_time *time)
{
    device_try_open(WAIT_OWNER(time, struct gatehouse_device, thread.retry));
}

static void retry_later(struct gatehouse_device *d)
{
    waits_set_time(&d->lane->waits, &d->thread.retry, clock_monotonic() + d->thread.backoff, 0);
    d->thread.backoff = MIN_OF(d->thread.backoff * 2, OPEN_RETRY_MAX);
}

static void say_failed(struct gatehouse_device *d, const char *reason)
{
    const struct note note = {.kind = NOTE_STATE, .device = d, .state = GATEHOUSE_STATE_FAILED};

    inbox_put_note(d->lane->inbox, &note, reason);
}

/* The key is in memory during the call only. */
static int hand_over(struct gatehouse_device *d)
{
    struct lane *l = d->lane;
    uint8_t key[SENSOR_KEY_MAX + 1];
    ssize_t n = pread(d->thread.secret_fd, key, sizeof(key), 0);
    int r = n < 0 ? -errno : n > SENSOR_KEY_MAX ? -EMSGSIZE : 0;

    if (r >= 0) {
        begin(l, d, "secret");
        r = l->plugin->secret(d->thread.data, key, (size_t)n, d->thread.kept ?: "");
        end(l);
    }
    explicit_bzero(key, sizeof(key));
    return r;
}

static void device_try_open(struct gatehouse_device *d)
{
    struct lane *l = d->lane;
    char error[ERROR_TEXT_MAX] = "";
    int r;

    begin(l, d, "device_open");
    r = l->plugin->device_open(d, d->id, d->section, d->points, d->n_points, &d->thread.data, error, sizeof(error));
    end(l);
    if (r < 0) {
        device_drop_waits(d);
        say_failed(d, error[0] ? error : strerror(-r));
        retry_later(d);
        return;
    }
    d->thread.open = true;
    if (d->thread.secret_fd >= 0 && (r = hand_over(d)) < 0)
        log_limited(&d->thread.complaints, LOG_WARNING, d->id, "the plugin does not take its key: %s", strerror(-r));
    if (l->plugin->poll)
        poll_at(d, 0);
}

static int make_times(struct gatehouse_device *d)
{
    struct waits *w = &d->lane->waits;
    int r = waits_add_time(w, &d->thread.poll, on_poll);

    if (r >= 0 && (r = waits_add_time(w, &d->thread.retry, on_retry)) < 0)
        waits_remove_time(w, &d->thread.poll);
    d->thread.timed = r >= 0;
    return r;
}

static void device_begin(struct gatehouse_device *d)
{
    d->thread.backoff = OPEN_RETRY_MIN;
    if (make_times(d) >= 0)
        device_try_open(d);
    else
        say_failed(d, strerror(ENOMEM));
}

static void device_end(struct gatehouse_device *d)
{
    struct lane *l = d->lane;

    device_drop_waits(d);
    if (d->thread.open) {
        begin(l, d, "device_close");
        l->plugin->device_close(d->thread.data);
        end(l);
        d->thread.open = false;
    }
    /* A descriptor watched from within device_close would outlive it. */
    device_drop_waits(d);
    if (d->thread.timed) {
        waits_remove_time(&l->waits, &d->thread.poll);
        waits_remove_time(&l->waits, &d->thread.retry);
    }
    pthread_mutex_lock(&l->mutex);
    if (d->woken)
        TAILQ_REMOVE(&l->woken, d, by_wake);
    d->woken = false;
    pthread_mutex_unlock(&l->mutex);
}

static void on_watch(struct wait_fd *wait, uint32_t events)
{
    struct watch *w = (struct watch *)wait;
    struct gatehouse_device *d = w->device;

    begin(d->lane, d, "a descriptor's callback");
    w->ready(d->thread.data, w->fd, events);
    end(d->lane);
}

int lane_watch(struct gatehouse_device *d, int fd, uint32_t events, void (*ready)(void *, int, uint32_t))
{
    struct watch **slot = NULL, *w;
    int r;

    for (size_t i = 0; i < DEVICE_WATCHES_MAX; i++) {
        if (d->thread.watches[i] && d->thread.watches[i]->fd == fd) {
            slot = &d->thread.watches[i];
            break;
        }
        if (!slot && !d->thread.watches[i])
            slot = &d->thread.watches[i];
    }
    if (!slot)
        return -ENOSPC;
    drop_watch(d, slot);
    if (events == 0)
        return 0;
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct watch){.device = d, .fd = fd, .ready = ready};
    r = waits_add_fd(&d->lane->waits, &w->wait, fd, events, on_watch);
    if (r < 0) {
        free(w);
        return r;
    }
    *slot = w;
    return 0;
}

static void on_timer(struct wait_time *time)
{
    struct later *t = (struct later *)time;
    struct gatehouse_device *d = t->device;
    void (*fire)(void *) = t->fire;

    for (size_t i = 0; i < DEVICE_TIMERS_MAX; i++)
        if (d->thread.timers[i] == t)
            d->thread.timers[i] = NULL;
    drop_timer(d, &t);
    begin(d->lane, d, "a timer's callback");
    fire(d->thread.data);
    end(d->lane);
}

int lane_timer(struct gatehouse_device *d, uint64_t when, void (*fire)(void *))
{
    struct later *t;
    size_t i = 0;
    int r;

    while (i < DEVICE_TIMERS_MAX && d->thread.timers[i])
        i++;
    if (i == DEVICE_TIMERS_MAX)
        return -ENOSPC;
    t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    *t = (struct later){.device = d, .fire = fire};
    r = waits_add_time(&d->lane->waits, &t->wait, on_timer);
    if (r < 0) {
        free(t);
        return r;
    }
    waits_set_time(&d->lane->waits, &t->wait, when, 0);
    d->thread.timers[i] = t;
    return 0;
}

static void run_write(struct lane *l, struct job *j)
{
    struct gatehouse_value value = value_to_plugin(&j->value), result = value;

    begin(l, j->device, "write");
    j->r = l->plugin->write(j->device->thread.data, j->point, &value, &result, j->error, sizeof(j->error));
    job_take_result(j, &result);
    end(l);
}

static void run_writes(struct lane *l, struct job *j)
{
    begin(l, j->device, "write");
    write_points(l->plugin, j->device->thread.data, j);
    end(l);
}

static void run_read(struct lane *l, struct job *j)
{
    struct gatehouse_value result = {.type = GATEHOUSE_BOOL};

    begin(l, j->device, "read");
    j->r = l->plugin->read(j->device->thread.data, j->point, &result, j->error, sizeof(j->error));
    job_take_result(j, &result);
    end(l);
}

static void take_raw(void *context, const struct gatehouse_value *value)
{
    struct sample_value v = value_from_plugin(value), *more;
    struct job *j = context;

    if (j->n_values == READ_RAW_MAX || !sample_value_valid(&v))
        return;
    more = reallocarray(j->values, j->n_values + 1, sizeof(*more));
    if (!more)
        return;
    j->values = more;
    if (sample_value_copy(&v, &more[j->n_values]) >= 0)
        j->n_values++;
}

/* As the agent takes it. A plugin hands on what it has heard of strangers, and for what one of them sends the driver's
 * connection is not to be closed. */
static json_object *fit_for_agent(json_object *object)
{
    json_object *fit = json_object_new_object();

    json_object_object_foreach (object, key, value) {
        _cleanup_free_ char *text = NULL;

        if (!id_valid(key) || json_object_object_length(fit) >= LINK_MEMBERS_MAX)
            continue;
        if (!json_object_is_type(value, json_type_string)) {
            json_object_object_add(fit, key, json_object_get(value));
            continue;
        }
        text = strndup(json_object_get_string(value), LINK_MEMBER_MAX - 1);
        if (!text)
            continue;
        text_trim(text);
        text_repair(text);
        json_object_object_add(fit, key, json_object_new_string(text));
    }
    return fit;
}

static void take_found(void *context, const char *text)
{
    _cleanup_json_ json_object *object = json_tokener_parse(text);
    struct job *j = context;
    json_object *fit;

    if (!json_object_is_type(object, json_type_object) || json_object_array_length(j->found) >= READ_RAW_MAX)
        return;
    fit = fit_for_agent(object);
    if (json_object_array_add(j->found, fit) < 0)
        json_object_put(fit);
}

static void run_scan(struct lane *l, struct job *j)
{
    j->found = json_object_new_array();
    begin(l, NULL, "scan");
    lane_set_deadline(l, DEADLINE_MAX);
    j->r = j->found ? l->plugin->scan(j->options, take_found, j, j->error, sizeof(j->error)) : -ENOMEM;
    end(l);
}

static void run_read_raw(struct lane *l, struct job *j)
{
    begin(l, NULL, "read_raw");
    j->r = l->plugin->read_raw(j->options, take_raw, j, j->error, sizeof(j->error));
    end(l);
}

/* Kept for whenever it is opened anew. */
static void run_secret(struct job *j)
{
    struct gatehouse_device *d = j->device;

    safe_close(d->thread.secret_fd);
    free(d->thread.kept);
    d->thread.secret_fd = TAKE_FD(j->fd);
    d->thread.kept = TAKE_PTR(j->kept);
    d->secret = j->secret;
    if (d->thread.open)
        j->r = hand_over(d);
}

static void run_on_device(struct lane *l, struct job *j)
{
    if (j->kind == JOB_SECRET)
        run_secret(j);
    else if (!j->device->thread.open) {
        j->r = -EIO;
        strncpy(j->error, "the device is not open", sizeof(j->error) - 1);
    } else if (j->kind == JOB_WRITE)
        run_write(l, j);
    else if (j->kind == JOB_WRITES)
        run_writes(l, j);
    else
        run_read(l, j);
}

/* Does one job; it is the loop's again once its note is put. */
static void run_job(struct lane *l, struct job *j)
{
    struct note note = {.kind = NOTE_JOB, .device = j->device, .job = j, .lane = l};

    switch (j->kind) {
    case JOB_OPEN:
        device_begin(j->device);
        job_free(j);
        return;
    case JOB_CLOSE:
        device_end(j->device);
        job_free(j);
        note.kind = NOTE_CLOSED;
        note.job = NULL;
        break;
    case JOB_WRITE:
    case JOB_WRITES:
    case JOB_READ:
    case JOB_SECRET:
        if (!j->cancelled)
            run_on_device(l, j);
        break;
    case JOB_READ_RAW:
        if (!j->cancelled)
            run_read_raw(l, j);
        break;
    case JOB_SCAN:
        if (!j->cancelled)
            run_scan(l, j);
        break;
    case JOB_STOP:
        l->stop = true;
        job_free(j);
        return;
    }
    inbox_put_note(l->inbox, &note, NULL);
}

void lane_scan_turn(struct wait_time *turn)
{
    struct lane *l = WAIT_OWNER(turn, struct lane, scan_turn);
    struct job *j = TAILQ_FIRST(&l->scans);

    TAILQ_REMOVE(&l->scans, j, link);
    run_job(l, j);
    if (!TAILQ_EMPTY(&l->scans))
        waits_set_time(&l->waits, turn, 0, 0);
}

/* Behind what is due by now. */
static void line_up_scan(struct lane *l, struct job *j)
{
    TAILQ_INSERT_TAIL(&l->scans, j, link);
    waits_set_time(&l->waits, &l->scan_turn, 0, 0);
}

/* One job or wake; false: there is none. */
static bool work(struct lane *l)
{
    struct gatehouse_device *d = NULL;
    struct job *j;

    pthread_mutex_lock(&l->mutex);
    j = TAILQ_FIRST(&l->jobs);
    if (j)
        TAILQ_REMOVE(&l->jobs, j, link);
    else if ((d = TAILQ_FIRST(&l->woken))) {
        TAILQ_REMOVE(&l->woken, d, by_wake);
        d->woken = false;
    }
    pthread_mutex_unlock(&l->mutex);
    if (j && j->kind == JOB_SCAN)
        line_up_scan(l, j);
    else if (j)
        run_job(l, j);
    else if (d && d->thread.open && l->plugin->poll)
        poll_at(d, 0);
    return j || d;
}

/* All jobs go before anything else that is due. */
void *lane_main(void *lane)
{
    struct lane *l = lane;
    const struct note ended = {.kind = NOTE_LANE_ENDED, .lane = l};
    int r = 0;

    while (r >= 0 && !l->stop)
        if (!work(l))
            r = waits_step(&l->waits);
    if (r < 0) {
        log_error(NULL, "%s: a thread's loop failed: %s", l->key, strerror(-r));
        _exit(EXIT_FAILURE);
    }
    inbox_put_note(l->inbox, &ended, NULL);
    return NULL;
}
