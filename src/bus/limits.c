/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks at each call before it is carried out: whether its sender may have another answer now. */
#include "base/limits.h"
#include "base/clock.h"
#include "base/names.h"
#include "bus/door.h"
#include "bus/internal.h"

#include <errno.h>
#include <string.h>

/* Approximate bounds of answers: texts of ordinary length. */
#define COST_SMALL 1024
#define COST_PROPERTIES 4096
#define COST_OBJECT 1800
#define COST_ROW 200
#define COST_NODE 96

static const char *const refusals[] = {
    [LETTER_PASS] = "too many answers asked for, or not read: read them, and try again later",
    [LETTER_TOO_MANY] = "too many calls of this user wait: wait for their answers, and try again later",
    [LETTER_TOO_LARGE] = "a message of over 2 MiB is not read",
    [LETTER_DESCRIPTORS] = "no call takes more than one descriptor",
};

static int refuse(sd_bus_message *m, enum letter_fate fate)
{
    return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_LIMITS_EXCEEDED, "%s", refusals[fate]) < 0 ? -EIO : 1;
}

uint64_t limits_cost(struct bus *b, const char *path, const char *member)
{
    uint64_t devices = fleet_size(b->fleet);

    if (strcmp(member, "GetManagedObjects") == 0)
        return COST_PROPERTIES + devices * COST_OBJECT;
    if (strcmp(member, "ListDevices") == 0 || strcmp(member, "ListSensors") == 0)
        return COST_SMALL + MIN_OF(devices, (uint64_t)LIST_DEVICES_MAX) * COST_ROW;
    if (strcmp(member, "Introspect") == 0)
        return 4 * COST_PROPERTIES + (strcmp(path, BUS_PATH_DEVICE) == 0 ? devices * COST_NODE : 0);
    if (strcmp(member, "GetAll") == 0)
        return strcmp(path, BUS_PATH_MANAGER) == 0 ? 4 * COST_PROPERTIES : COST_PROPERTIES;
    if (strcmp(member, "Get") == 0 && strncmp(path, BUS_PATH_JOB "/", strlen(BUS_PATH_JOB) + 1) == 0)
        return COST_SMALL + devices * COST_ROW;
    return COST_SMALL;
}

static void ping(struct bus *b, struct caller *one)
{
    uint64_t now = clock_boottime();

    if (callers_wants_ping(one, now) && !managed_under_way(b, one->name) && door_ping(b, one, CALLER_PING_ANSWERS) >= 0)
        callers_pinged(one, now);
}

void limits_answered(struct bus *b, const char *sender)
{
    struct caller *one = sender ? callers_find(b->callers, sender) : NULL;

    if (one)
        ping(b, one);
}

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    const char *sender = sd_bus_message_get_sender(m);
    struct caller *one;

    if (!sd_bus_message_is_method_call(m, NULL, NULL) || !sender)
        return 0;
    if (policy_knows(b, m))
        return 0; /* it has been let through, and waited for its sender's rights since */
    if (door_fate(b) != LETTER_PASS)
        return refuse(m, door_fate(b));
    one = callers_find(b->callers, sender);
    if (!one || !one->user)
        return 1;
    ping(b, one);
    switch (callers_judge(b->callers, one, limits_cost(b, sd_bus_message_get_path(m), sd_bus_message_get_member(m)),
                          clock_boottime())) {
    case CALLERS_CARRY_OUT:
        return 0;
    case CALLERS_REFUSE:
        return refuse(m, LETTER_PASS);
    case CALLERS_DROP:
        return 1;
    }
    return 0;
}

bool bus_congested(const struct bus *b)
{
    return b->connection && door_full(b);
}

int limits_register(struct bus *b)
{
    int r = sd_bus_add_filter(b->connection, NULL, on_call, b);

    /* The gate sees who leaves. */
    return r < 0 ? r
                 : sd_bus_call_method_async(b->connection, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                            "org.freedesktop.DBus", "AddMatch", NULL, NULL, "s",
                                            "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                            "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''");
}
