/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the clock was never set since the machine started (no battery behind it, no way to an NTP server), samples
 * would wait for ever. A cloud whose profile names an option for its time is asked by it, with the profile's probe,
 * over a session that stands, so by somebody who has the device's key.
 *
 * It is the time of samples and of nothing else: the clock is left alone, no key has an age by it, and as soon as the
 * clock is synchronised it counts no more. */
#include "device/server-time.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/ratelimit.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/message.h"
#include "device/server-clock.h"
#include "device/walk.h"
#include "payload/profile.h"
#include "spool/spool.h"
#include "uplink/backoff.h"

#include <errno.h>
#include <string.h>

#define COMPLAINTS_INTERVAL (10 * USEC_PER_MINUTE)

void server_time_init(struct fleet *f)
{
    ratelimit_init(&f->clock.server_time.complaints, COMPLAINTS_INTERVAL, 1);
}

/* Drivers' samples get this relation of the two clocks, those that wait first. */
static void use(struct fleet *f, const struct device *d)
{
    struct server_time *t = &f->clock.server_time;
    bool first = !t->told;

    backoff_reset(&t->backoff);
    t->told = true;
    t->next = clock_boottime() + SERVER_TIME_AGAIN;
    spool_stamp(f->spool, t->clock.offset, false);
    log_debug(d->config->id, "the cloud's time, after a round trip of %llu ms",
              (unsigned long long)(t->clock.round_trip / USEC_PER_MSEC));
    if (!first)
        return;
    log_notice(NULL,
               "this machine's clock has not been set since it started: samples get the time of the cloud of uplink "
               "%s, right to %llu ms, until it is",
               d->config->uplink, (unsigned long long)(t->clock.round_trip / 2 / USEC_PER_MSEC));
    fleet_kick_all(f);
}

/* `what` is wrong with the answer: there will hardly be a better one soon. */
static void not_told(struct fleet *f, const struct device *d, const char *what)
{
    struct server_time *t = &f->clock.server_time;

    t->next = clock_boottime() + MAX_OF(backoff_failed(&t->backoff, true), SERVER_TIME_INTERVAL);
    if (!t->told)
        log_limited(&f->clock.server_time.complaints, LOG_WARNING, d->config->id,
                    "the cloud of uplink %s was asked for its time, and %s: samples go on waiting for one",
                    d->config->uplink, what);
}

static void take(struct fleet *f, const struct device *d, uint64_t time)
{
    struct server_time *t = &f->clock.server_time;

    switch (server_clock_take(&t->clock, t->asked, clock_boottime(), time)) {
    case SERVER_CLOCK_SETTLED:
        use(f, d);
        break;
    case SERVER_CLOCK_MORE:
        break;
    case SERVER_CLOCK_IMPLAUSIBLE:
        not_told(f, d, "tells one that is not from 2026 to 2099");
        break;
    case SERVER_CLOCK_SLOW:
        not_told(f, d, "takes over 20 s to answer");
        break;
    }
}

static void on_answer(int r, const struct uplink_response *response, void *userdata)
{
    const struct device *d = userdata;
    struct fleet *f = d->fleet;
    uint64_t time;

    f->clock.server_time.call = NULL;
    if (r == -ECANCELED || f->stopping || clock_synchronized())
        return;
    if (r < 0)
        not_told(f, d, "does not answer");
    else if (!response->option)
        not_told(f, d, "does not tell it");
    else if (profile_server_time(d->uplink->profile, response->option, response->option_size, &time) < 0)
        not_told(f, d, "tells something else");
    else
        take(f, d, time);
}

static int ask(struct fleet *f, struct device *d)
{
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct device_names names;
    int r = device_names(d, &names);

    if (r >= 0)
        r = profile_probe(d->uplink->profile, &names.profile, &m);
    if (r < 0)
        return r;
    m.wants_option = d->uplink->profile->time.option;
    f->clock.server_time.asked = clock_boottime();
    return message_send(device_session(d), &m, on_answer, d, &f->clock.server_time.call);
}

/* They take turns: one may be on an uplink that does not tell. */
void server_time_look(struct fleet *f)
{
    struct server_time *t = &f->clock.server_time;

    /* It waits for as long as its session is away. */
    if (t->call && clock_boottime() > t->asked + SERVER_TIME_WORST)
        uplink_call_cancel(t->call);
    if (t->call || f->stopping || clock_boottime() < t->next)
        return;
    for (size_t i = 0; i < f->index.n; i++) {
        struct device *d = f->index.devices[(t->turn + i) % f->index.n];

        if (d->uplink->profile->time.option == 0 || !device_online(d))
            continue;
        t->turn = (t->turn + i + 1) % f->index.n;
        t->next = clock_boottime() + SERVER_TIME_INTERVAL;
        (void)ask(f, d);
        return;
    }
}
