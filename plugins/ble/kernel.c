/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct version {
    unsigned long major, minor, patch;
};

/* The first of each series that has "hci_sync: avoid dup filtering when passive scanning with adv monitor". */
static const struct version mended[] = {{6, 1, 105}, {6, 6, 46}, {6, 10, 5}};
static const struct version since = {6, 11, 0};

static bool number(const char **text, unsigned long *ret)
{
    char *end;

    if (**text < '0' || **text > '9')
        return false;
    *ret = strtoul(*text, &end, 10);
    *text = end;
    return true;
}

static bool parse(const char *text, struct version *ret)
{
    *ret = (struct version){0};
    if (!number(&text, &ret->major) || *text++ != '.' || !number(&text, &ret->minor))
        return false;
    if (*text == '.') {
        text++;
        (void)number(&text, &ret->patch);
    }
    return true;
}

/* Debian's release has the number of its ABI where others have the patch level; what was built stands in the version:
 * "SMP PREEMPT Debian 1:6.6.51-1+rpt3 (2024-10-08)". */
static const char *built(const char *version)
{
    const char *at = strstr(version, "Debian "), *colon;

    if (!at)
        return NULL;
    at += strlen("Debian ");
    colon = at + strspn(at, "0123456789");
    return *colon == ':' ? colon + 1 : at;
}

bool kernel_repeats(const char *release, const char *version, char *ret_text)
{
    const char *text = built(version);
    struct version v;

    if (!text || !parse(text, &v)) {
        text = release;
        if (!parse(text, &v)) {
            (void)snprintf(ret_text, KERNEL_TEXT, "%s", release);
            return false;
        }
    }
    (void)snprintf(ret_text, KERNEL_TEXT, "%lu.%lu.%lu", v.major, v.minor, v.patch);
    for (size_t i = 0; i < sizeof mended / sizeof mended[0]; i++)
        if (v.major == mended[i].major && v.minor == mended[i].minor)
            return v.patch >= mended[i].patch;
    return v.major > since.major || (v.major == since.major && v.minor >= since.minor);
}
