/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/window.h"

#include "base/limits.h"

#include <errno.h>
#include <time.h>

#define MINUTES_PER_DAY 1440
#define SECONDS_PER_DAY 86400

#define WINDOW_RULE "two different times of day with a - between them, such as \"02:00-05:00\" or \"22:00-06:00\""

/* Two digits and what follows them. */
static bool take(const char **p, unsigned max, char end, unsigned *ret)
{
    const char *t = *p;

    if (t[0] < '0' || t[0] > '9' || t[1] < '0' || t[1] > '9' || t[2] != end)
        return false;
    *ret = (unsigned)(t[0] - '0') * 10 + (unsigned)(t[1] - '0');
    *p = t + 3; /* past a final NUL nobody looks */
    return *ret <= max;
}

static bool take_time(const char **p, char end, uint16_t *ret)
{
    unsigned hours, minutes;

    if (!take(p, 24, ':', &hours) || !take(p, 59, end, &minutes) || (hours == 24 && minutes > 0))
        return false;
    *ret = (uint16_t)((hours * 60 + minutes) % MINUTES_PER_DAY);
    return true;
}

int window_parse(const char *text, struct window *ret, struct error *e)
{
    struct window w = {.set = true};
    const char *p = text;

    if (!take_time(&p, '-', &w.from) || !take_time(&p, 0, &w.to) || w.from == w.to)
        return error_set(e, -EINVAL, "is \"%.64s\"; expected " WINDOW_RULE, text);
    *ret = w;
    return 0;
}

uint32_t window_opens_in(const struct window *w, uint32_t second)
{
    uint32_t from = w->from * 60U, to = w->to * 60U;
    bool open = from < to ? second >= from && second < to : second >= from || second < to;

    if (!w->set || open)
        return 0;
    return (from + SECONDS_PER_DAY - second) % SECONDS_PER_DAY;
}

uint64_t window_next(const struct window *w, uint64_t realtime)
{
    time_t seconds = (time_t)(realtime / USEC_PER_SEC);
    struct tm tm;
    uint32_t in;

    if (!w->set || !localtime_r(&seconds, &tm))
        return realtime;
    in = window_opens_in(w, (uint32_t)(tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec));
    return in == 0 ? realtime : realtime - realtime % USEC_PER_SEC + in * USEC_PER_SEC;
}
