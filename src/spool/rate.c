/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast samples come, and how long there is room for them. */
#include "spool/internal.h"

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

double spool_hours(const struct spool *s, uint64_t now)
{
    uint64_t samples = s->rate.samples + s->rate.before;
    double span = (double)(now - s->rate.begun) + (s->rate.before > 0 ? (double)SPOOL_RATE_WINDOW : 0),
           each = sizeof(struct entry);
    double room = (double)MIN_OF(s->settings.max_bytes, (uint64_t)SPOOL_MEMORY_MAX) - (double)s->memory, hours;

    if (samples == 0 || span <= 0)
        return 0;
    if (writes(s)) {
        room = (double)s->settings.max_bytes - (double)s->disk;
        if (s->rate.row_samples > 0)
            each = (double)s->rate.bytes / (double)s->rate.row_samples;
    }
    hours = MAX_OF(room, 0.0) / each / ((double)samples / span) / (double)USEC_PER_HOUR;
    return MIN_OF(hours, (double)s->settings.max_age / (double)USEC_PER_HOUR);
}
