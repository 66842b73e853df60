/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-internal.h"
#include "host.h"
#include "pdu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

int device_plan(struct modbus_device *d, uint64_t due)
{
    size_t n = d->config->n_points;
    struct plan_request *plans = calloc(n ? n : 1, sizeof *plans);

    if (!plans)
        return -ENOMEM;
    d->n_items = 0;
    for (size_t i = 0; i < n; i++) {
        const struct modbus_point *p = &d->config->points[i];
        if (p->poll)
            d->items[d->n_items++] = (struct plan_item){.table = p->table,
                                                        .address = p->read_address,
                                                        .count = p->read_count,
                                                        .interval = p->interval,
                                                        .group = p->group_number,
                                                        .alone = p->alone,
                                                        .point = i};
    }
    d->n_requests = plan_make(d->items, d->n_items, &d->config->limits, plans);
    for (size_t i = 0; i < d->n_requests; i++)
        d->requests[i] = (struct device_request){
            .plan = plans[i], .due = due, .exception = -1, .forgiven = true, .join_after = JOIN_AFTER_MIN, .origin = i};
    free(plans);
    return 0;
}

static void count_missed(struct modbus_device *d, uint64_t missed, uint64_t now)
{
    char text[128];

    d->missed += missed;
    if (d->missed == 0 || (d->missed_said_at != 0 && now - d->missed_said_at < MISSED_LOG_INTERVAL))
        return;
    (void)snprintf(text, sizeof text, "%llu polls left out: they take longer than the interval",
                   (unsigned long long)d->missed);
    modbus_host->log(d->host, LOG_NOTICE, text);
    d->missed = 0;
    d->missed_said_at = now;
}

/* The next tick of the request's own grid after now, so that lateness never adds up. */
static void advance(struct modbus_device *d, struct device_request *request, uint64_t now, uint64_t earliest)
{
    uint64_t interval = request->plan.interval, missed = 0;

    request->tries = 0;
    request->not_before = 0;
    if (now >= request->due)
        missed = (now - request->due) / interval;
    request->due += (missed + 1) * interval;
    if (!request->forgiven)
        count_missed(d, missed, now);
    request->forgiven = earliest > 0;
    if (earliest > request->due)
        request->due += (earliest - request->due + interval - 1) / interval * interval;
}

/* --- splitting and joining --- */

/* Two requests in place of one; both are due from now on, and joined again later than the last time. */
static bool split(struct modbus_device *d, size_t index)
{
    struct device_request *request = &d->requests[index];
    struct plan_request halves[2];

    if (!plan_split(d->items, &request->plan, halves))
        return false;
    if (request->joined)
        request->join_after = request->join_after < JOIN_AFTER_MAX / 2 ? 2 * request->join_after : JOIN_AFTER_MAX;
    request->joined = false;
    request->good = 0;
    memmove(request + 2, request + 1, (d->n_requests - index - 1) * sizeof *request);
    request[1] = *request;
    request[0].plan = halves[0];
    request[1].plan = halves[1];
    d->n_requests++;
    return true;
}

static bool may_join(const struct device_request *a, const struct device_request *b)
{
    return a->origin == b->origin && a->plan.first + a->plan.n == b->plan.first && a->exception < 0 &&
           b->exception < 0 && a->good >= a->join_after && b->good >= b->join_after && a->due == b->due;
}

/* Points that were refused for a while are read in one request again; those refused for good stay alone. */
static void join(struct modbus_device *d, size_t index)
{
    struct device_request *a = &d->requests[index], *b = a + 1;

    if (index + 1 >= d->n_requests || !may_join(a, b))
        return;
    a->plan = plan_join(d->items, &a->plan, &b->plan);
    a->joined = true;
    a->join_after = a->join_after > b->join_after ? a->join_after : b->join_after;
    memmove(b, b + 1, (d->n_requests - index - 2) * sizeof *b);
    d->n_requests--;
}

/* --- what came back --- */

static void note_answer(struct modbus_device *d)
{
    d->tries = 0;
    d->unanswered = 0;
    d->failed = false;
}

static void answered(struct modbus_device *d, size_t index, const uint16_t *values)
{
    struct device_request *request = &d->requests[index];

    device_report(d, &request->plan, values);
    request->exception = -1;
    request->backoff.delay = 0;
    request->good += request->good < JOIN_AFTER_MAX;
    d->backoff.delay = 0;
    note_answer(d);
    advance(d, request, monotonic_now(), 0);
    join(d, index);
    if (index > 0)
        join(d, index - 1);
}

/* Repeated within its tick, as often as the configuration says. */
static bool repeat(const struct modbus_device *d, struct device_request *request, unsigned *tries, uint64_t wait)
{
    if (d->failed || *tries >= d->config->retries)
        return false;
    ++*tries;
    request->not_before = monotonic_now() + wait;
    return true;
}

/* The unit is busy for longer than the repetitions took. What its points said is not old for that, and the tick is not
 * given up: it is asked again, less and less often, until the next one. */
static void stayed_busy(struct device_request *request, int exception)
{
    uint64_t now = monotonic_now();

    request->exception = exception;
    request->forgiven = true;
    request->tries = 0;
    request->not_before = now + backoff_next(&request->backoff);
}

static void refused(struct modbus_device *d, size_t index, int exception)
{
    struct device_request *request = &d->requests[index];
    const struct device_request *first;
    uint64_t now;

    note_answer(d);
    if (pdu_exception_passes(exception)) {
        if (!repeat(d, request, &request->tries, d->config->retry_wait))
            stayed_busy(request, exception);
        return;
    }
    if (split(d, index))
        return;
    now = monotonic_now();
    request->exception = exception;
    request->good = 0;
    for (size_t i = 0; i < request->plan.n; i++)
        d->last[d->items[request->plan.first + i].point].known = false;
    advance(d, request, now, now + backoff_next(&request->backoff));
    if (d->n_requests < 2 || device_count_refused(d, &first) < d->n_requests)
        return;
    /* All of them are refused, so it is the unit that refuses, and splitting taught nothing. */
    if (device_plan(d, now + backoff_next(&d->backoff)) == 0)
        for (size_t i = 0; i < d->n_requests; i++)
            d->requests[i].exception = exception;
}

static void silent(struct modbus_device *d, struct device_request *request, const struct modbus_failure *failure)
{
    uint64_t now;

    if (repeat(d, request, &d->tries, failure->exception == EXCEPTION_GATEWAY_PATH ? d->config->retry_wait : 0))
        return;
    now = monotonic_now();
    d->tries = 0;
    if (++d->unanswered < d->config->degrade_after) {
        advance(d, request, now, 0);
        device_say_silent(d, failure->text);
        return;
    }
    d->retry_at = now + backoff_next_up_to(&d->backoff, d->config->degrade_for);
    device_say_failed(d, failure->text);
}

enum outcome {
    OUTCOME_ANSWERED, /* in some way */
    OUTCOME_SILENT,   /* others on the bus go first now */
    OUTCOME_AWAY,     /* the server, with all behind it */
};

static enum outcome run(struct modbus_device *d, size_t index)
{
    const struct plan_request *plan = &d->requests[index].plan;
    uint16_t *values = server_room(d->server);
    struct modbus_failure failure;

    if (server_read(d->server, &d->terms, plan->table, plan->address, plan->count, values, &failure) == 0) {
        answered(d, index, values);
        return OUTCOME_ANSWERED;
    }
    switch (failure.kind) {
    case FAILURE_EXCEPTION:
        refused(d, index, failure.exception);
        return OUTCOME_ANSWERED;
    case FAILURE_UNIT:
        silent(d, &d->requests[index], &failure);
        return OUTCOME_SILENT;
    case FAILURE_SERVER:
        device_say_failed(d, failure.text);
        break;
    }
    return OUTCOME_AWAY;
}

/* --- when --- */

static uint64_t request_time(const struct device_request *request)
{
    return request->due > request->not_before ? request->due : request->not_before;
}

static size_t earliest_request(const struct modbus_device *d)
{
    size_t earliest = 0;

    for (size_t i = 1; i < d->n_requests; i++)
        if (request_time(&d->requests[i]) < request_time(&d->requests[earliest]))
            earliest = i;
    return earliest;
}

static bool is_left_alone(struct modbus_device *d, uint64_t now, uint64_t *ret_until)
{
    uint64_t until = server_retry_at(d->server);

    if (now < until)
        device_say_failed(d, server_reason(d->server));
    if (d->retry_at > until)
        until = d->retry_at;
    *ret_until = until;
    return now < until;
}

/* Reads what is due, in the order in which it is due, until the bus has been held long enough. */
static bool read_due(struct modbus_device *d, uint64_t *ret_next)
{
    uint64_t start = monotonic_now();
    bool ran = false;

    for (;;) {
        uint64_t now = monotonic_now();
        size_t next = earliest_request(d);
        if (is_left_alone(d, now, ret_next))
            return false;
        *ret_next = request_time(&d->requests[next]);
        if (*ret_next > now || now - start >= POLL_SLICE)
            return ran;
        switch (run(d, next)) {
        case OUTCOME_ANSWERED:
            ran = true;
            break;
        case OUTCOME_SILENT:
            /* A little later than now: then whatever else is due on this bus by now goes first. */
            now = monotonic_now() + GIVE_WAY;
            *ret_next = d->retry_at > now ? d->retry_at : now;
            return ran && !d->failed && d->unanswered == 0;
        case OUTCOME_AWAY:
            break;
        }
    }
}

int device_poll(struct modbus_device *d, uint64_t *ret_next)
{
    uint64_t beat = device_beat(d);

    *ret_next = UINT64_MAX;
    if (d->n_requests > 0 && read_due(d, ret_next))
        device_say_state(d);
    if (beat < *ret_next)
        *ret_next = beat;
    device_tell_counts(d);
    if (d->config->close_after_poll && *ret_next > monotonic_now())
        server_disconnect(d->server);
    return 0;
}
