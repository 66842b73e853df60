/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast samples come, and how long there is room for them. */
#include "spool/share.h"

#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <sys/statvfs.h>

void count_rate(struct spool *s, uint64_t now, size_t n)
{
    if (s->rate.begun == 0)
        s->rate.begun = now;
    if (now >= s->rate.begun + SPOOL_RATE_WINDOW) {
        s->rate.before = now < s->rate.begun + 2 * SPOOL_RATE_WINDOW ? s->rate.samples : 0;
        s->rate.samples = 0;
        s->rate.begun = now;
    }
    s->rate.samples += n;
}

/* Of the file system of spool.db, for whom it is; without end where nothing is written. statvfs() asks the kernel,
 * which knows it without the disk. */
static double disk_room(const struct spool *s)
{
    struct statvfs st;
    char directory[PATH_MAX];

    if (!writes(s) || snprintf(directory, sizeof(directory), "%s", s->path) >= (int)sizeof(directory) ||
        statvfs(dirname(directory), &st) < 0)
        return INFINITY;
    return (double)st.f_bavail * (double)st.f_frsize;
}

const char *spool_problem(const struct spool *s, char *buffer, size_t size)
{
    if (s->trouble.failing)
        return s->trouble.last.text;
    if (disk_room(s) >= SPOOL_ROOM_MIN)
        return NULL;
    snprintf(buffer, size, "%s: the disk is full", s->path);
    return buffer;
}

double spool_hours(const struct spool *s, uint64_t now)
{
    uint64_t samples = s->rate.samples + s->rate.before;
    double span = (double)(now - s->rate.begun) + (s->rate.before > 0 ? (double)SPOOL_RATE_WINDOW : 0),
           each = sizeof(struct entry);
    double room = (double)MIN_OF(s->settings.max_bytes, (uint64_t)SPOOL_MEMORY_MAX) - (double)s->account.memory, hours;

    if (samples == 0 || span <= 0)
        return 0;
    if (writes(s)) {
        room = (double)s->settings.max_bytes - (double)s->account.disk;
        room = MIN_OF(room, disk_room(s) < SPOOL_ROOM_MIN || s->trouble.failing ? 0.0 : disk_room(s));
        if (s->rate.row_samples > 0)
            each = (double)s->rate.bytes / (double)s->rate.row_samples;
    }
    hours = MAX_OF(room, 0.0) / each / ((double)samples / span) / (double)USEC_PER_HOUR;
    return MIN_OF(hours, (double)s->settings.max_age / (double)USEC_PER_HOUR);
}
