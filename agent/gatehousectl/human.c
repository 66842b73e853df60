/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "human.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    uint64_t usec;
    const char *name;
} units[] = {
    {7 * USEC_PER_DAY, "w"}, {USEC_PER_DAY, "d"}, {USEC_PER_HOUR, "h"}, {USEC_PER_MINUTE, "min"}, {USEC_PER_SEC, "s"},
};

const char *human_duration(uint64_t usec, char text[HUMAN_TEXT_MAX])
{
    size_t i = 0;
    uint64_t whole, rest;

    if (usec < 10 * USEC_PER_SEC) {
        uint64_t tenths = usec / (USEC_PER_SEC / 10);

        snprintf(text, HUMAN_TEXT_MAX, tenths % 10 ? "%u.%us" : "%us", (unsigned)(tenths / 10),
                 (unsigned)(tenths % 10));
        return text;
    }
    while (usec < units[i].usec)
        i++;
    whole = usec / units[i].usec;
    rest = i + 1 < ELEMENTSOF(units) ? usec % units[i].usec / units[i + 1].usec : 0;
    if (rest > 0)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 "%s %" PRIu64 "%s", whole, units[i].name, rest, units[i + 1].name);
    else
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 "%s", whole, units[i].name);
    return text;
}

const char *human_when(uint64_t usec, uint64_t now, char text[HUMAN_TEXT_MAX])
{
    char duration[HUMAN_TEXT_MAX - sizeof("in  ago")];
    char whole[HUMAN_TEXT_MAX];

    if (usec == 0)
        snprintf(text, HUMAN_TEXT_MAX, "never");
    else if (usec / USEC_PER_SEC == now / USEC_PER_SEC)
        snprintf(text, HUMAN_TEXT_MAX, "now");
    else {
        uint64_t apart = usec > now ? usec - now : now - usec;

        /* Whole seconds: what is that far is not told more exactly. */
        apart = MAX_OF(apart / USEC_PER_SEC * USEC_PER_SEC, (uint64_t)USEC_PER_SEC);
        snprintf(duration, sizeof(duration), "%s", human_duration(apart, whole));
        snprintf(text, HUMAN_TEXT_MAX, usec > now ? "in %s" : "%s ago", duration);
    }
    return text;
}

const char *human_age(uint64_t usec, uint64_t now, char text[HUMAN_TEXT_MAX])
{
    if (usec > 0)
        return human_duration(usec < now ? now - usec : 0, text);
    snprintf(text, HUMAN_TEXT_MAX, "-");
    return text;
}

const char *human_size(uint64_t bytes, char text[HUMAN_TEXT_MAX])
{
    static const char *const names[] = {"KB", "MB", "GB", "TB", "PB", "EB"};
    double size = (double)bytes;
    size_t i = 0;

    if (bytes < 1024) {
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 " B", bytes);
        return text;
    }
    for (size /= 1024; size >= 1023.95 && i + 1 < ELEMENTSOF(names); size /= 1024)
        i++;
    snprintf(text, HUMAN_TEXT_MAX, "%.1f %s", size, names[i]);
    return text;
}

const char *human_hours(double hours, char text[HUMAN_TEXT_MAX])
{
    if (hours < 1)
        snprintf(text, HUMAN_TEXT_MAX, "%.0fmin", hours * 60);
    else if (hours < 48)
        snprintf(text, HUMAN_TEXT_MAX, "%.1f hours", hours);
    else
        snprintf(text, HUMAN_TEXT_MAX, "%.1f days", hours / 24);
    return text;
}

const char *human_count(uint64_t n, const char *one, const char *many, char *text, unsigned size)
{
    snprintf(text, size, "%" PRIu64 " %s", n, n == 1 ? one : many);
    return text;
}
