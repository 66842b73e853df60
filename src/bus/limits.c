/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks at each call before it is carried out: whether its sender may have another answer now. */
#include "base/limits.h"
#include "base/clock.h"
#include "base/names.h"
#include "bus/callers.h"
#include "bus/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX 256 /* calls of one sender, until it is known whose it is */

/* What answers take at most, or so: texts of ordinary length. */
#define COST_SMALL 1024
#define COST_PROPERTIES 4096
#define COST_OBJECT 1800
#define COST_ROW 200
#define COST_NODE 96

/* Calls of a sender whose uid is being asked for. */
struct held {
    struct held *next;
    struct bus *bus;
    sd_bus_slot *slot;
    char *sender;
    sd_bus_message *calls[HELD_MAX];
    size_t n;
};

static void held_free(struct held *h)
{
    for (size_t i = 0; i < h->n; i++)
        sd_bus_message_unref(h->calls[i]);
    sd_bus_slot_unref(h->slot);
    free(h->sender);
    free(h);
}

static struct held *held_find(struct bus *b, const char *sender)
{
    struct held *h = b->held;

    while (h && strcmp(h->sender, sender) != 0)
        h = h->next;
    return h;
}

static void held_remove(struct held *h)
{
    struct held **link = &h->bus->held;

    while (*link != h)
        link = &(*link)->next;
    *link = h->next;
}

static int on_uid(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct held *h = userdata;
    struct caller *one = callers_find(h->bus->callers, h->sender);
    uint32_t uid;

    if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "u", &uid) < 0)
        uid = UINT32_MAX;
    held_remove(h);
    if (one) {
        callers_uid_known(h->bus->callers, one, uid);
        for (size_t i = 0; i < h->n; i++)
            (void)sd_bus_enqueue_for_read(h->bus->connection, h->calls[i]);
    }
    held_free(h);
    return 1;
}

static struct held *held_new(struct bus *b, const char *sender)
{
    struct held *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->bus = b;
    h->sender = strdup(sender);
    if (!h->sender ||
        sd_bus_call_method_async(b->connection, &h->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                 "org.freedesktop.DBus", "GetConnectionUnixUser", on_uid, h, "s", sender) < 0) {
        held_free(h);
        return NULL;
    }
    h->next = b->held;
    b->held = h;
    return h;
}

static int refuse(sd_bus_message *m)
{
    return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                      "too many answers asked for, or not read: read them, and try again later");
}

static int hold(struct bus *b, sd_bus_message *m, const char *sender)
{
    struct held *h = held_find(b, sender) ?: held_new(b, sender);

    if (!h || h->n == HELD_MAX)
        return refuse(m) < 0 ? -EIO : 1;
    h->calls[h->n++] = sd_bus_message_ref(m);
    return 1;
}

static uint64_t cost(struct bus *b, sd_bus_message *m)
{
    const char *member = sd_bus_message_get_member(m), *path = sd_bus_message_get_path(m);
    struct fleet_totals totals;

    fleet_totals(b->fleet, &totals);
    if (strcmp(member, "GetManagedObjects") == 0)
        return COST_PROPERTIES + (uint64_t)totals.devices * COST_OBJECT;
    if (strcmp(member, "ListDevices") == 0 || strcmp(member, "ListSensors") == 0)
        return COST_SMALL + MIN_OF((uint64_t)totals.devices, (uint64_t)LIST_DEVICES_MAX) * COST_ROW;
    if (strcmp(member, "Introspect") == 0)
        return 4 * COST_PROPERTIES + (strcmp(path, BUS_PATH_DEVICE) == 0 ? (uint64_t)totals.devices * COST_NODE : 0);
    if (strcmp(member, "GetAll") == 0)
        return strcmp(path, BUS_PATH_MANAGER) == 0 ? 4 * COST_PROPERTIES : COST_PROPERTIES;
    if (strcmp(member, "Get") == 0 && strncmp(path, BUS_PATH_JOB "/", strlen(BUS_PATH_JOB) + 1) == 0)
        return COST_SMALL + (uint64_t)totals.devices * COST_ROW;
    return COST_SMALL;
}

static int on_pong(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    const char *sender = sd_bus_message_get_sender(reply);
    struct caller *one = sender ? callers_find(b->callers, sender) : NULL;

    /* An error is an answer too: somebody was there to refuse. That of the bus is not, it says that nobody did. */
    if (one)
        callers_ponged(b->callers, one);
    return 1;
}

static void ping(struct bus *b, const char *sender, struct caller *one)
{
    uint64_t now = clock_boottime();

    if (callers_wants_ping(one, now) && !managed_under_way(b, sender) &&
        sd_bus_call_method_async(b->connection, NULL, sender, BUS_PATH_MANAGER, "org.freedesktop.DBus.Peer", "Ping",
                                 on_pong, b, "") >= 0)
        callers_pinged(one, now);
}

void limits_answered(struct bus *b, const char *sender)
{
    struct caller *one = sender ? callers_find(b->callers, sender) : NULL;

    if (one)
        ping(b, sender, one);
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
    if (bus_congested(b))
        return 1; /* an answer would only wait with the others */
    one = callers_get(b->callers, sender);
    if (!one)
        return refuse(m) < 0 ? -EIO : 1;
    ping(b, sender, one);
    if (held_find(b, sender))
        return hold(b, m, sender); /* in order */
    switch (callers_judge(b->callers, one, cost(b, m), clock_boottime())) {
    case CALLERS_CARRY_OUT:
        return 0;
    case CALLERS_ASK_UID:
        return hold(b, m, sender);
    case CALLERS_REFUSE:
        return refuse(m) < 0 ? -EIO : 1;
    case CALLERS_DROP:
        return 1;
    }
    return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    const char *name, *before, *after;

    if (sd_bus_message_read(m, "sss", &name, &before, &after) >= 0 && after[0] == 0) {
        callers_gone(b->callers, name);
        samples_gone(b, name);
    }
    return 0;
}

bool bus_congested(const struct bus *b)
{
    uint64_t n = 0;

    return b->connection && sd_bus_get_n_queued_write(b->connection, &n) >= 0 && n > BUS_QUEUED_MAX;
}

int limits_register(struct bus *b)
{
    int r;

    b->callers = callers_new(geteuid());
    if (!b->callers)
        return -ENOMEM;
    r = sd_bus_add_filter(b->connection, NULL, on_call, b);
    if (r < 0)
        return r;
    return sd_bus_add_match_async(b->connection, NULL,
                                  "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                  "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''",
                                  on_owner_changed, NULL, b);
}

void limits_done(struct bus *b)
{
    while (b->held) {
        struct held *h = b->held;

        b->held = h->next;
        held_free(h);
    }
    b->callers = callers_free(b->callers);
}
