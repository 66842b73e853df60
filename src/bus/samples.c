/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples to those who asked, each to its own address.
 *
 * What a slow reader has not yet taken would pile up in the bus daemon, where we cannot see it. So after every
 * PING_EVERY samples a subscriber is pinged (every D-Bus library answers by itself), and at most SUBSCRIBER_QUEUE_MAX
 * samples are on their way unanswered; what comes then is counted and told by Lagged. */

#include "base/names.h"
#include "bus/door.h"
#include "bus/internal.h"
#include "bus/value.h"

#include <errno.h>
#include <json-c/linkhash.h>
#include <stdlib.h>
#include <string.h>

#define PING_EVERY (SUBSCRIBER_QUEUE_MAX / 4)

struct subscriber {
    struct subscriber *next;
    struct bus *bus;
    char *name;
    uid_t uid;
    struct lh_table *devices; /* NULL: all */
    bool pinged;
    uint32_t unanswered; /* samples sent since the last answered ping was sent */
    uint32_t since_ping;
    uint64_t lagged;
};

static void free_key(struct lh_entry *entry)
{
    free(lh_entry_k(entry));
}

static void drop(struct subscriber **link)
{
    struct subscriber *s = *link;

    *link = s->next;
    if (s->devices)
        lh_table_free(s->devices);
    free(s->name);
    free(s);
}

static struct subscriber **find(struct bus *b, const char *name)
{
    struct subscriber **link;

    for (link = &b->subscribers; *link; link = &(*link)->next)
        if (strcmp((*link)->name, name) == 0)
            return link;
    return NULL;
}

void samples_gone(struct bus *b, const char *name)
{
    struct subscriber **link = find(b, name);

    if (link)
        drop(link);
}

void samples_ponged(struct bus *b, const char *name)
{
    struct subscriber **link = find(b, name);

    if (!link || !(*link)->pinged)
        return;
    (*link)->pinged = false;
    (*link)->unanswered = (*link)->since_ping;
}

static void ping(struct subscriber *s)
{
    struct caller *one = callers_find(s->bus->callers, s->name);

    /* One of an earlier subscription may be under way. */
    if (!one || door_ping(s->bus, one, CALLER_PING_SAMPLES) != 0)
        return;
    s->pinged = true;
    s->since_ping = 0;
}

static int send_lagged(struct subscriber *s)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r = sd_bus_message_new_signal(s->bus->connection, &m, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Lagged");

    if (r >= 0)
        r = sd_bus_message_append(m, "t", s->lagged);
    if (r >= 0)
        r = sd_bus_send_to(s->bus->connection, m, s->name, NULL);
    if (r >= 0)
        s->lagged = 0;
    return r;
}

static void send_sample(struct subscriber *s, struct device *d, const struct sample *sample)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if (s->unanswered >= SUBSCRIBER_QUEUE_MAX || bus_congested(s->bus)) {
        s->lagged++;
        return;
    }
    if (s->lagged > 0 && send_lagged(s) < 0)
        return;
    r = sd_bus_message_new_signal(s->bus->connection, &m, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Sample");
    if (r >= 0)
        r = sd_bus_message_append(m, "sst", device_id(d), sample->point, sample->time);
    if (r >= 0)
        r = bus_append_value(m, &sample->value);
    if (r >= 0)
        r = sd_bus_message_append(m, "s", sample->unit ?: "");
    if (r >= 0)
        r = sd_bus_send_to(s->bus->connection, m, s->name, NULL);
    if (r < 0) {
        s->lagged++;
        return;
    }
    s->unanswered++;
    if (++s->since_ping >= PING_EVERY && !s->pinged)
        ping(s);
}

void samples_send(struct bus *b, struct device *d, const struct sample *sample)
{
    if (!b->connection)
        return;
    for (struct subscriber *s = b->subscribers; s; s = s->next)
        if (!s->devices || lh_table_lookup_ex(s->devices, device_id(d), NULL))
            send_sample(s, d, sample);
}

static int read_devices(struct bus *b, sd_bus_message *m, struct subscriber *s, sd_bus_error *error)
{
    const char *id;
    size_t n = 0;
    int r = sd_bus_message_enter_container(m, 'a', "s");

    if (r < 0)
        return r;
    while ((r = sd_bus_message_read(m, "s", &id)) > 0) {
        char *copy;

        if (n++ >= DEVICES_MAX)
            return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "over %d devices", DEVICES_MAX);

        if (!fleet_find(b->fleet, id))
            return sd_bus_error_setf(error, ERROR_NO_SUCH_DEVICE, "there is no device '%s'", id);
        if (!s->devices && !(s->devices = lh_kchar_table_new(16, free_key)))
            return -ENOMEM;
        if (lh_table_lookup_ex(s->devices, id, NULL))
            continue;
        copy = strdup(id);
        if (!copy || lh_table_insert(s->devices, copy, NULL) != 0) {
            free(copy);
            return -ENOMEM;
        }
    }
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Nobody takes the place of others: root has its own, and each user some of the rest. */
static bool has_room(const struct bus *b, uid_t uid)
{
    size_t of_root = 0, of_others = 0, of_uid = 0;

    for (const struct subscriber *s = b->subscribers; s; s = s->next) {
        of_root += s->uid == 0;
        of_others += s->uid != 0;
        of_uid += s->uid == uid;
    }
    return uid == 0 ? of_root < SUBSCRIBERS_MAX : of_others < SUBSCRIBERS_MAX && of_uid < SUBSCRIBERS_USER_MAX;
}

int samples_subscribe(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
    const char *sender = sd_bus_message_get_sender(m);
    struct caller *one = callers_find(b->callers, sender);
    struct subscriber **old = find(b, sender), *s;
    int r;

    if (!one || !one->user)
        return 1; /* it has left meanwhile, and samples_gone() will not come again */
    if (!old && !has_room(b, one->user->uid))
        return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                "there are too many subscribers, of this user or in all");
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct subscriber){.next = b->subscribers, .bus = b, .name = strdup(sender), .uid = one->user->uid};
    b->subscribers = s;
    r = s->name ? read_devices(b, m, s, error) : -ENOMEM;
    if (r < 0) {
        drop(&b->subscribers);
        return r;
    }
    old = &s->next;
    while (*old && strcmp((*old)->name, sender) != 0)
        old = &(*old)->next;
    if (*old)
        drop(old);
    return sd_bus_reply_method_return(m, NULL);
}

int samples_unsubscribe(struct bus *b, sd_bus_message *m)
{
    samples_gone(b, sd_bus_message_get_sender(m));
    return sd_bus_reply_method_return(m, NULL);
}

void samples_done(struct bus *b)
{
    while (b->subscribers)
        drop(&b->subscribers);
}
