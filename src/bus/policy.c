/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "bus/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One privileged call whose sender's uid is being asked of the bus. Asking is asynchronous, since the loop may not wait
 * for a daemon: the answer puts the call back into the queue, and the second time its handler finds it answered. */
struct policy_request {
    struct policy_request *next;
    struct bus *bus;
    sd_bus_message *message;
    sd_bus_slot *slot;
    uint64_t asked; /* CLOCK_BOOTTIME */
    bool answered;
    uint32_t uid;
};

static struct policy_request **find(struct bus *b, sd_bus_message *m)
{
    struct policy_request **link;

    for (link = &b->policy_requests; *link; link = &(*link)->next)
        if ((*link)->message == m)
            return link;
    return NULL;
}

static void drop(struct policy_request **link)
{
    struct policy_request *request = *link;

    *link = request->next;
    sd_bus_slot_unref(request->slot);
    sd_bus_message_unref(request->message);
    free(request);
}

void policy_done(struct bus *b)
{
    while (b->policy_requests)
        drop(&b->policy_requests);
}

static int on_uid(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct policy_request *request = userdata;
    int r = sd_bus_message_is_method_error(reply, NULL) ? -EACCES : sd_bus_message_read(reply, "u", &request->uid);

    /* A sender that is gone, or whose uid cannot be read, stays UINT32_MAX: nobody. */
    if (r < 0)
        request->uid = UINT32_MAX;
    request->answered = true;
    return sd_bus_enqueue_for_read(request->bus->connection, request->message);
}

/* What was put back and found no handler (its object went meanwhile) is never looked for again. */
static void drop_forgotten(struct bus *b)
{
    uint64_t now = clock_boottime();

    for (struct policy_request **link = &b->policy_requests; *link;)
        if ((*link)->answered && (*link)->asked + POLICY_REQUEST_KEPT < now)
            drop(link);
        else
            link = &(*link)->next;
}

/* Anybody may call: what waits for the bus's answer is bounded, in all and of one sender. */
static bool too_many(const struct bus *b, const char *sender)
{
    size_t n = 0, n_sender = 0;

    for (const struct policy_request *p = b->policy_requests; p; p = p->next) {
        n++;
        n_sender += strcmp(sd_bus_message_get_sender(p->message), sender) == 0;
    }
    return n >= POLICY_REQUESTS_MAX || n_sender >= POLICY_REQUESTS_SENDER_MAX;
}

static int ask(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
    struct policy_request *request;
    int r;

    if (!sd_bus_message_get_sender(m))
        return -EBADMSG;
    drop_forgotten(b);
    if (too_many(b, sd_bus_message_get_sender(m)))
        return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "too many calls wait to be allowed: come again");
    request = calloc(1, sizeof(*request));
    if (!request)
        return -ENOMEM;
    *request = (struct policy_request){
        .next = b->policy_requests, .bus = b, .message = sd_bus_message_ref(m), .asked = clock_boottime()};
    b->policy_requests = request;
    r = sd_bus_call_method_async(b->connection, &request->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                 "org.freedesktop.DBus", "GetConnectionUnixUser", on_uid, request, "s",
                                 sd_bus_message_get_sender(m));
    if (r < 0)
        drop(&b->policy_requests);
    return r < 0 ? r : 0;
}

int policy_check(struct bus *b, sd_bus_message *m, const char *action, sd_bus_error *error)
{
    struct policy_request **link = find(b, m);
    uint32_t uid;

    if (!link)
        return ask(b, m, error);
    if (!(*link)->answered)
        return 0;
    uid = (*link)->uid;
    drop(link);
    if (uid == 0 || uid == geteuid())
        return 1;
    return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                             "%s needs the right %s, which root and the agent's own user have; uid %u has not",
                             sd_bus_message_get_member(m), action, uid);
}
