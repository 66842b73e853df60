/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The spool as the fleet has it: where its file is, what the configuration says of it, and what it has to say. */
#include "device/spooling.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"
#include "base/ratelimit.h"
#include "device/delivery.h"
#include "device/facts.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/quiesce.h"
#include "device/server-time.h"
#include "device/walk.h"
#include "spool/spool.h"

#include <stdio.h>
#include <string.h>

static struct spool_settings settings(const struct fleet *f)
{
    static const enum spool_durability durability[] = {
        [CONFIG_DURABILITY_OUTAGE] = SPOOL_OUTAGE,
        [CONFIG_DURABILITY_ALWAYS] = SPOOL_ALWAYS,
        [CONFIG_DURABILITY_MEMORY] = SPOOL_MEMORY,
    };

    const struct config *config = f->config;
    enum spool_durability wanted = durability[config->spool.durability];

    return (struct spool_settings){
        .max_bytes = config->spool.max_bytes,
        .max_age = config->spool.max_age,
        .durability = quiesce_holds(f) && wanted == SPOOL_OUTAGE ? SPOOL_ALWAYS : wanted,
    };
}

static void on_more(const char *id, void *userdata)
{
    struct fleet *f = userdata;
    struct device *d = fleet_find(f, id);

    if (d && !f->stopping)
        delivery_kick(d);
}

/* ── Of devices that are not there ── */

void fleet_orphans(struct fleet *f, void (*each)(const char *id, uint64_t samples, void *userdata), void *userdata)
{
    for (struct spool_device *d = spool_next(f->spool, NULL); d; d = spool_next(f->spool, d)) {
        struct spool_counts counts;

        if (fleet_find(f, spool_device_id(d)))
            continue;
        spool_device_counts(d, &counts);
        if (counts.queued > 0)
            each(spool_device_id(d), counts.queued, userdata);
    }
}

static void tell_orphan(const char *id, uint64_t samples, void *userdata)
{
    struct fleet *f = userdata;

    log_limited(&f->spooling.complaints, LOG_WARNING, id,
                "%llu samples wait, and the device is not configured, or not loaded: they are sent when it is, and "
                "dropped when they are too old (spool.max_age)",
                (unsigned long long)samples);
}

/* Nobody else looks at these, so that they would never be too old. */
static int on_orphans(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct fleet *f = userdata;

    for (struct spool_device *d = spool_next(f->spool, NULL); d; d = spool_next(f->spool, d))
        if (!fleet_find(f, spool_device_id(d)))
            spool_age(d, clock_boottime());
    timer_rearm(source, clock_boottime() + SPOOL_ORPHANS_INTERVAL);
    return 0;
}

/* Called when the samples of an earlier run are known. */
static void on_more_of_all(void *userdata)
{
    struct fleet *f = userdata;

    if (f->stopping)
        return;
    fleet_kick_all(f);
    if (f->spooling.orphans_told)
        return;
    f->spooling.orphans_told = true;
    fleet_orphans(f, tell_orphan, f);
}

static void on_disk(const struct error *e, void *userdata)
{
    if (e)
        log_audit(LOG_ERR, MESSAGE_SPOOL_FAILS, NULL, NOBODY, "samples cannot be kept: %s", e->text);
    else
        log_audit(LOG_NOTICE, MESSAGE_SPOOL_WORKS, NULL, NOBODY, "samples are kept again");
}

static void on_corrupt(const struct error *e, const char *aside, uint64_t lost, void *userdata)
{
    char samples[64] = "what waited in it";

    if (lost > 0)
        snprintf(samples, sizeof(samples), "what waited in it, %llu samples at least,", (unsigned long long)lost);
    log_audit(LOG_ERR, MESSAGE_SPOOL_CORRUPT, NULL, NOBODY, "%s: it is %s now, and a new one is begun; %s is given up",
              e->text, aside, samples);
}

static void on_unreadable(const char *id, uint64_t lost, void *userdata)
{
    struct fleet *f = userdata;

    log_limited(&f->spooling.complaints, LOG_ERR, id, "%llu samples on disk cannot be read; they are given up",
                (unsigned long long)lost);
}

static void on_unset(unsigned boots, void *userdata)
{
    log_notice(NULL,
               "samples of %u earlier starts of this machine, during which its clock was never set, get the latest "
               "times that are possible",
               boots);
}

static const struct spool_ops ops = {
    .more = on_more,
    .more_of_all = on_more_of_all,
    .disk = on_disk,
    .corrupt = on_corrupt,
    .unreadable = on_unreadable,
    .unset = on_unset,
};

int spooling_begin(struct fleet *f, struct error *e)
{
    _cleanup_free_ char *path = NULL;
    const struct spool_settings wanted = settings(f);
    struct spool_options options = {.event = f->event, .ops = &ops, .userdata = f};

    if (asprintf(&path, "%s/%s", f->dirs.state, SPOOL_FILE) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    options.path = path;
    memcpy(options.boot, f->clock.boot_id, sizeof(options.boot));
    ratelimit_init(&f->spooling.complaints, 30 * USEC_PER_SEC, 5);
    server_time_init(f);
    ratelimit_init(&f->spooling.rejections, 30 * USEC_PER_SEC, 20);
    if (sd_event_add_time(f->event, &f->spooling.orphan_timer, CLOCK_BOOTTIME,
                          clock_boottime() + SPOOL_ORPHANS_INTERVAL, USEC_PER_MINUTE, on_orphans, f) < 0)
        return -ENOMEM;
    return spool_new(&wanted, &options, &f->spool, e);
}

void spooling_follow(struct fleet *f)
{
    const struct spool_settings wanted = settings(f);
    struct error e = {0};

    if (spool_set(f->spool, &wanted, &e) < 0)
        log_error(NULL, "samples are kept in memory only: %s", e.text);
}

void spooling_end(struct fleet *f)
{
    struct error e = {0};

    f->spooling.orphan_timer = sd_event_source_disable_unref(f->spooling.orphan_timer);
    if (spool_flush(f->spool, &e) < 0)
        log_error(NULL, "%s", e.text);
}
