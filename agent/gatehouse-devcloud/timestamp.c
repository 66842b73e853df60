/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "timestamp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WHOLE_SECONDS 19 /* characters of "2024-10-01T12:00:00" */
#define FRACTION_MAX 9

static int read_fraction(const char **rest, double *ret)
{
    double unit = 1;
    size_t n;

    *ret = 0;
    if (**rest != '.')
        return 0;
    n = strspn(*rest + 1, "0123456789");
    if (n == 0)
        return -EINVAL;
    for (size_t i = 1; i <= n && i <= FRACTION_MAX; i++) {
        unit /= 10;
        *ret += ((*rest)[i] - '0') * unit;
    }
    *rest += 1 + n;
    return 0;
}

int timestamp_read(const char *text, double *ret)
{
    struct tm tm = {};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    unsigned hours = 0, minutes = 0;
    double fraction;
    time_t seconds;
    int used = 0;
    char sign[2] = "+";

    if (!rest || rest - text != WHOLE_SECONDS || read_fraction(&rest, &fraction) < 0)
        return -EINVAL;
    if (strcmp(rest, "Z") != 0 && (sscanf(rest, "%1[+-]%2u:%2u%n", sign, &hours, &minutes, &used) != 3 || rest[used]))
        return -EINVAL;
    seconds = timegm(&tm) + (sign[0] == '+' ? -1 : 1) * (time_t)(hours * 3600 + minutes * 60);
    if (seconds < 0 || hours > 23 || minutes > 59)
        return -EINVAL;
    *ret = (double)seconds + fraction;
    return 0;
}
