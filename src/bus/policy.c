/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/names.h"
#include "bus/internal.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_BUFFER 16384
#define LOOKUP_GROUPS 1024 /* of one user */

/* One privileged call whose sender's uid is being asked of the bus, and then, unless that settles it, its groups of the
 * system's databases. Asking is asynchronous, since the loop may wait for neither: the answer puts the call back into
 * the queue, and the second time its handler finds it answered. */
struct policy_request {
    struct policy_request *next;
    struct bus *bus;
    sd_bus_message *message;
    const char *action; /* static */
    sd_bus_slot *slot;
    struct lookup *lookup; /* while one is under way */
    uint64_t asked;        /* CLOCK_BOOTTIME */
    bool answered;
    uint32_t uid;
    bool administrator;
};

/* Goes to the worker and back; the worker touches nothing else. */
struct lookup {
    struct policy_request *request; /* NULL: dropped meanwhile */
    uid_t uid;
    bool administrator;
};

static struct policy_request **find(struct bus *b, sd_bus_message *m)
{
    struct policy_request **link;

    for (link = &b->policy_requests; *link; link = &(*link)->next)
        if ((*link)->message == m)
            return link;
    return NULL;
}

bool policy_knows(struct bus *b, sd_bus_message *m)
{
    return find(b, m) != NULL;
}

static void drop(struct policy_request **link)
{
    struct policy_request *request = *link;

    *link = request->next;
    if (request->lookup)
        request->lookup->request = NULL;
    sd_bus_slot_unref(request->slot);
    sd_bus_message_unref(request->message);
    free(request);
}

void policy_done(struct bus *b)
{
    while (b->policy_requests)
        drop(&b->policy_requests);
}

static bool own_or_root(uint32_t uid)
{
    return uid == 0 || uid == geteuid();
}

/* What the members of ADMIN_GROUP may not. */
static bool for_root_only(const char *action)
{
    return strcmp(action, ACTION_MANAGE_KEYS) == 0 || strcmp(action, ACTION_EXPORT_KEYS) == 0 ||
           strcmp(action, ACTION_SET_LOG_LEVEL) == 0;
}

static int answer(struct policy_request *request)
{
    request->answered = true;
    return sd_bus_enqueue_for_read(request->bus->connection, request->message);
}

static int run_lookup(void *userdata)
{
    struct lookup *l = userdata;
    _cleanup_free_ char *buffer = malloc(LOOKUP_BUFFER);
    gid_t groups[LOOKUP_GROUPS], admins;
    int n = LOOKUP_GROUPS;
    struct passwd user, *found_user = NULL;
    struct group group, *found_group = NULL;

    if (!buffer)
        return -ENOMEM;
    if (getgrnam_r(ADMIN_GROUP, &group, buffer, LOOKUP_BUFFER, &found_group) != 0 || !found_group)
        return 0;
    admins = found_group->gr_gid;
    if (getpwuid_r(l->uid, &user, buffer, LOOKUP_BUFFER, &found_user) != 0 || !found_user)
        return 0;
    /* Not from /proc, where the groups of the caller's process stand: it is hidden from us. */
    if (getgrouplist(found_user->pw_name, found_user->pw_gid, groups, &n) < 0)
        n = LOOKUP_GROUPS;
    for (int i = 0; i < n && !l->administrator; i++)
        l->administrator = groups[i] == admins;
    return 0;
}

static void on_lookup(int r, void *userdata)
{
    _cleanup_free_ struct lookup *l = userdata;

    if (!l->request)
        return;
    l->request->lookup = NULL;
    l->request->administrator = r >= 0 && l->administrator;
    answer(l->request);
}

/* Whether it is on its way; if not, the sender counts as nobody special. */
static bool look_up(struct policy_request *request)
{
    struct lookup *l = calloc(1, sizeof(*l));

    if (!l)
        return false;
    *l = (struct lookup){.request = request, .uid = request->uid};
    if (workers_submit(fleet_workers(request->bus->fleet), run_lookup, on_lookup, l) < 0) {
        free(l);
        return false;
    }
    request->lookup = l;
    return true;
}

static int on_uid(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct policy_request *request = userdata;
    int r = sd_bus_message_is_method_error(reply, NULL) ? -EACCES : sd_bus_message_read(reply, "u", &request->uid);

    /* A sender that is gone, or whose uid cannot be read, stays UINT32_MAX: nobody. */
    if (r < 0)
        request->uid = UINT32_MAX;
    else if (!own_or_root(request->uid) && !for_root_only(request->action) && look_up(request))
        return 0;
    return answer(request);
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

static int ask(struct bus *b, sd_bus_message *m, const char *action, sd_bus_error *error)
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
    *request = (struct policy_request){.next = b->policy_requests,
                                       .bus = b,
                                       .message = sd_bus_message_ref(m),
                                       .action = action,
                                       .asked = clock_boottime()};
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
    bool administrator;
    uint32_t uid;

    if (!link)
        return ask(b, m, action, error);
    if (!(*link)->answered)
        return 0;
    uid = (*link)->uid;
    administrator = (*link)->administrator;
    drop(link);
    b->caller = uid;
    if (own_or_root(uid) || administrator)
        return 1;
    return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                             "%s needs the right %s, which root and the agent's own user have%s; uid %u has not",
                             sd_bus_message_get_member(m), action,
                             for_root_only(action) ? "" : ", and the group " ADMIN_GROUP, uid);
}
