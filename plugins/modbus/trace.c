/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trace.h"

#include "host.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define SHOWN_MAX ADU_MAX
#define TEXT_MAX (BUS_MAX + 3 * SHOWN_MAX + 96)

void trace_take(struct trace *t, const uint8_t *bytes, size_t n)
{
    size_t room = sizeof t->bytes - t->n;

    if (n > room)
        n = room;
    memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
}

static void say(struct gatehouse_device *device, const char *bus, char direction, const uint8_t *bytes, size_t n,
                const char *more)
{
    char text[TEXT_MAX];
    int at = snprintf(text, sizeof text, "%s %c", bus, direction);

    for (size_t i = 0; i < n && i < SHOWN_MAX; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, " %02x", bytes[i]);
    if (n > SHOWN_MAX)
        at += snprintf(text + at, sizeof text - (size_t)at, " and %zu bytes", n - SHOWN_MAX);
    (void)snprintf(text + at, sizeof text - (size_t)at, "%s", more);
    modbus_host->log(device, LOG_DEBUG | GATEHOUSE_LOG_ASKED, text);
}

void trace_sent(struct gatehouse_device *device, const char *bus, const uint8_t *bytes, size_t n)
{
    say(device, bus, '>', bytes, n, "");
}

void trace_came(struct gatehouse_device *device, const char *bus, struct trace *t, uint64_t after)
{
    char more[64] = " (before the request)";

    if (after != UINT64_MAX)
        (void)snprintf(more, sizeof more, "%s (%.1f ms)", t->n > 0 ? "" : " nothing", (double)after / (double)MSEC);
    say(device, bus, '<', t->bytes, t->n, more);
    t->n = 0;
}
