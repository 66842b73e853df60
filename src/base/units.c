/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/units.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Ascending. */
static const struct unit durations[] = {
    {"ms", USEC_PER_MSEC}, {"s", USEC_PER_SEC}, {"min", USEC_PER_MINUTE}, {"h", USEC_PER_HOUR}, {"d", USEC_PER_DAY},
};
static const struct unit sizes[] = {
    {"", 1}, {"K", UINT64_C(1) << 10}, {"M", UINT64_C(1) << 20}, {"G", UINT64_C(1) << 30}};

#define DURATION_RULE "a duration, a number with ms, s, min, h or d behind it, such as \"100ms\", \"5min\" or \"90d\""
#define SIZE_RULE "a size, a number with K, M or G behind it or nothing for bytes, such as \"512\" or \"64M\""

/* The digits at the beginning of text; -EINVAL without any, -ERANGE. */
static int digits(const char *text, uint64_t *ret, const char **ret_end)
{
    const char *p = text;
    uint64_t n = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, UINT64_C(10), &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return -ERANGE;
    if (p == text)
        return -EINVAL;
    *ret = n;
    *ret_end = p;
    return 0;
}

static const struct unit *find(const char *name, const struct unit *units, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    return NULL;
}

static int scale(uint64_t number, const struct unit *unit, uint64_t *ret)
{
    uint64_t value;

    /* The largest value stands for infinity. */
    if (__builtin_mul_overflow(number, unit->factor, &value) || value == UINT64_MAX)
        return -ERANGE;
    *ret = value;
    return 0;
}

/* Units of others that people write out of habit. */
static const char *duration_meant(const char *unit)
{
    static const char *const meant[][2] = {
        {"m", "min"},     {"minutes", "min"}, {"minute", "min"}, {"sec", "s"}, {"second", "s"},
        {"seconds", "s"}, {"hour", "h"},      {"hours", "h"},    {"hr", "h"},  {"day", "d"},
        {"days", "d"},    {"msec", "ms"},     {"S", "s"},        {"H", "h"},   {"D", "d"},
    };

    for (size_t i = 0; i < ELEMENTSOF(meant); i++)
        if (strcmp(meant[i][0], unit) == 0)
            return meant[i][1];
    return NULL;
}

int duration_parse(const char *text, uint64_t *ret_usec, struct error *e)
{
    const struct unit *unit;
    const char *end, *meant;
    uint64_t n;
    int r;

    r = digits(text, &n, &end);
    if (r == -ERANGE)
        return error_set(e, -ERANGE, "\"%.40s\" is too long a duration", text);
    if (r < 0)
        return error_set(e, -EINVAL, "\"%.40s\" is not " DURATION_RULE, text);
    unit = find(end, durations, ELEMENTSOF(durations));
    meant = duration_meant(end);
    if (!unit && meant)
        return error_set(e, -EINVAL, "\"%.40s\": did you mean \"%" PRIu64 "%s\"? Units are ms, s, min, h and d", text,
                         n, meant);
    if (!unit)
        return error_set(e, -EINVAL, "\"%.40s\" is not " DURATION_RULE, text);
    r = scale(n, unit, ret_usec);
    return r < 0 ? error_set(e, r, "\"%.40s\" is too long a duration", text) : 0;
}

/* "64MB", "64MiB", "64m": what is meant is plain, but one way of writing is enough. */
static const char *size_meant(const char *unit)
{
    static const char letters[][2] = {"K", "M", "G"};

    for (size_t i = 0; i < ELEMENTSOF(letters); i++) {
        bool letter = strncasecmp(unit, letters[i], 1) == 0;

        if (letter && (!unit[1] || strcasecmp(unit + 1, "B") == 0 || strcasecmp(unit + 1, "iB") == 0))
            return letters[i];
    }
    return strcmp(unit, "B") == 0 ? "" : NULL;
}

int size_parse(const char *text, uint64_t *ret_bytes, struct error *e)
{
    const struct unit *unit;
    const char *end, *meant;
    uint64_t n;
    int r;

    r = digits(text, &n, &end);
    if (r == -ERANGE)
        return error_set(e, -ERANGE, "\"%.40s\" is too large a size", text);
    if (r < 0)
        return error_set(e, -EINVAL, "\"%.40s\" is not " SIZE_RULE, text);
    unit = find(end, sizes, ELEMENTSOF(sizes));
    meant = size_meant(end);
    if (!unit && meant)
        return error_set(e, -EINVAL, "\"%.40s\": did you mean \"%" PRIu64 "%s\"? Sizes end in K, M, G or nothing", text,
                         n, meant);
    if (!unit)
        return error_set(e, -EINVAL, "\"%.40s\" is not " SIZE_RULE, text);
    r = scale(n, unit, ret_bytes);
    return r < 0 ? error_set(e, r, "\"%.40s\" is too large a size", text) : 0;
}

static char *format(uint64_t value, const struct unit *units, size_t n, char text[UNITS_TEXT_MAX])
{
    size_t i = n - 1;

    while (i > 0 && (value == 0 || value % units[i].factor != 0))
        i--;
    snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
    return text;
}

char *duration_format(uint64_t usec, char text[UNITS_TEXT_MAX])
{
    if (usec == 0)
        return memcpy(text, "0s", sizeof("0s"));
    return format(usec, durations, ELEMENTSOF(durations), text);
}

char *size_format(uint64_t bytes, char text[UNITS_TEXT_MAX])
{
    return format(bytes, sizes, ELEMENTSOF(sizes), text);
}
