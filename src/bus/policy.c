/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/internal.h"

#include <errno.h>
#include <stdlib.h>

/* One privileged call whose sender's uid is being asked of the bus. Asking is asynchronous, since the loop may not wait
 * for a daemon: the answer puts the call back into the queue, and the second time its handler finds it answered. */
struct policy_request {
    struct policy_request *next;
    struct bus *bus;
    sd_bus_message *message;
    sd_bus_slot *slot;
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

static int ask(struct bus *b, sd_bus_message *m)
{
    struct policy_request *request = calloc(1, sizeof(*request));
    int r;

    if (!request)
        return -ENOMEM;
    *request = (struct policy_request){.next = b->policy_requests, .bus = b, .message = sd_bus_message_ref(m)};
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
        return ask(b, m);
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
