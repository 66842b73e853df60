/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-api.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "lane.h"

#include <errno.h>
#include <string.h>

/* How often the kernel is asked whether the clock has been set, until it has. */
#define CLOCK_CHECK_INTERVAL USEC_PER_SEC

static struct inbox *inbox;

/* Once synchronised the clock stays good for stamping, also when the NTP server has been away for long. */
static bool look_at_clock(uint64_t boottime)
{
    static atomic_uint_least64_t next_check;

    if (boottime < next_check)
        return false;
    next_check = boottime + CLOCK_CHECK_INTERVAL;
    return clock_synchronized();
}

static void stamp(struct sample *s)
{
    static atomic_bool set;
    uint64_t boottime, realtime;

    if (set && s->time)
        return;
    boottime = clock_boottime();
    realtime = clock_realtime();
    if (!set && look_at_clock(boottime))
        set = true;
    if (set) {
        s->time = s->time ?: realtime;
        return;
    }
    /* A time of the plugin's own is of the same unset clock: what counts is how long ago it was. */
    s->quality |= SAMPLE_BOOTTIME;
    s->time = s->time && s->time < realtime ? boottime - MIN_OF(realtime - s->time, boottime) : boottime;
}

static int host_report(struct gatehouse_device *device, const char *point, uint64_t time,
                       const struct gatehouse_value *value, const char *unit, uint32_t quality)
{
    struct sample sample = {.point = point,
                            .time = time,
                            .value = value_from_plugin(value),
                            .unit = unit ?: "",
                            .quality = quality & ~(uint32_t)SAMPLE_BOOTTIME};
    struct queued_list one = TAILQ_HEAD_INITIALIZER(one);
    struct queued *queued;

    if (!id_valid(point) || !sample_value_valid(&sample.value) || !sample_unit_valid(sample.unit) ||
        (quality & ~(uint32_t)SAMPLE_QUALITY_ALL))
        return -EINVAL;
    stamp(&sample);
    queued = queued_new(device->id, &sample);
    if (!queued)
        return -ENOMEM;
    if (lane_current())
        lane_report(lane_current(), queued);
    else {
        TAILQ_INSERT_TAIL(&one, queued, by_age);
        inbox_put_samples(inbox, &one, 1);
    }
    return 0;
}

static void host_device_state(struct gatehouse_device *device, enum gatehouse_state state, const char *reason)
{
    const struct note note = {.kind = NOTE_STATE, .device = device, .state = state};

    inbox_put_note(inbox, &note, reason);
}

static void host_log(struct gatehouse_device *device, int level, const char *text)
{
    bool asked = level > 0 && level & GATEHOUSE_LOG_ASKED;

    level &= ~GATEHOUSE_LOG_ASKED;
    if (level < LOG_EMERG || level > LOG_DEBUG)
        level = LOG_INFO;
    if (asked)
        log_asked(level, device ? device->id : NULL, "%s", text);
    else
        log_write(level, device ? device->id : NULL, "%s", text);
}

static void host_deadline(uint64_t microseconds)
{
    if (lane_current())
        lane_set_deadline(lane_current(), microseconds);
}

static int host_watch_fd(struct gatehouse_device *device, int fd, uint32_t events,
                         void (*ready)(void *device_data, int fd, uint32_t revents))
{
    if (fd < 0 || (events != 0 && !ready) || lane_current() != device->lane)
        return -EINVAL;
    return lane_watch(device, fd, events, ready);
}

static int host_add_timer(struct gatehouse_device *device, uint64_t when, void (*fire)(void *device_data))
{
    if (!fire || lane_current() != device->lane)
        return -EINVAL;
    return lane_timer(device, when, fire);
}

static int host_count(struct gatehouse_device *device, const char *name, uint64_t value)
{
    return counts_set(&device->counts, name, value);
}

static int host_keep(struct gatehouse_device *device, const char *text)
{
    const struct note note = {.kind = NOTE_KEEP, .device = device, .secret = device->secret};

    if (strlen(text) >= LINK_KEPT_MAX || !text_printable(text, strlen(text)))
        return -EINVAL;
    inbox_put_note(inbox, &note, text);
    return 0;
}

const struct gatehouse_host *host_api(struct inbox *to)
{
    static const struct gatehouse_host host = {
        .size = sizeof(struct gatehouse_host),
        .abi = GATEHOUSE_PLUGIN_ABI,
        .report = host_report,
        .device_state = host_device_state,
        .log = host_log,
        .deadline = host_deadline,
        .watch_fd = host_watch_fd,
        .add_timer = host_add_timer,
        .wake = lane_wake,
        .count = host_count,
        .keep = host_keep,
    };

    inbox = to;
    return &host;
}
