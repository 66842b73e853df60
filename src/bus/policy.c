/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/names.h"
#include "bus/door.h"
#include "bus/internal.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_BUFFER 16384
#define LOOKUP_GROUPS 1024 /* of one user */

/* One privileged call whose sender's groups are being looked up in the system's databases. That is asynchronous, since
 * the loop may not wait for them: the answer puts the call back into the queue, and the second time its handler finds
 * it answered. Of each user there is one at a time, the next ones wait at the gate: nobody keeps others from theirs. */
struct policy_request {
    struct policy_request *next;
    struct bus *bus;
    sd_bus_message *message;
    struct caller_user *user;
    struct lookup *lookup; /* while it is under way */
};

/* Goes to the worker and back; the worker touches nothing else. */
struct lookup {
    struct policy_request *request; /* NULL: dropped meanwhile */
    uid_t uid;
    uint64_t processor; /* what it took, of the worker's */
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
    request->user->busy--;
    door_wake(request->bus);
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

static int find_administrator(struct lookup *l)
{
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

static int run_lookup(void *userdata)
{
    struct lookup *l = userdata;
    uint64_t begun = door_processor();
    int r = find_administrator(l);

    l->processor = door_processor() - begun;
    return r;
}

static struct policy_request **find_request(struct bus *b, const struct policy_request *request)
{
    struct policy_request **link;

    for (link = &b->policy_requests; *link; link = &(*link)->next)
        if (*link == request)
            return link;
    return NULL;
}

static void on_lookup(int r, void *userdata)
{
    _cleanup_free_ struct lookup *l = userdata;
    struct policy_request *request = l->request, **link;
    struct bus *b;

    if (!request)
        return;
    b = request->bus;
    request->lookup = NULL;
    request->user->administrator = r >= 0 && l->administrator;
    request->user->looked_up = clock_boottime();
    callers_spent(b->callers, request->user, l->processor, clock_boottime());
    if (sd_bus_enqueue_for_read(b->connection, request->message) >= 0)
        door_run(b, request->user);
    /* It found no handler: its object has gone meanwhile. */
    link = find_request(b, request);
    if (link && !(*link)->lookup)
        drop(link);
}

static int look_up(struct policy_request *request)
{
    struct lookup *l = calloc(1, sizeof(*l));
    int r;

    if (!l)
        return -ENOMEM;
    *l = (struct lookup){.request = request, .uid = request->user->uid};
    r = workers_submit(fleet_workers(request->bus->fleet), run_lookup, on_lookup, l);
    if (r < 0) {
        free(l);
        return r;
    }
    request->lookup = l;
    return 0;
}

static int ask(struct bus *b, sd_bus_message *m, struct caller_user *user)
{
    struct policy_request *request = calloc(1, sizeof(*request));
    int r;

    if (!request)
        return -ENOMEM;
    *request =
        (struct policy_request){.next = b->policy_requests, .bus = b, .message = sd_bus_message_ref(m), .user = user};
    b->policy_requests = request;
    user->busy++;
    r = look_up(request);
    if (r < 0)
        drop(&b->policy_requests);
    return r;
}

static int refuse(sd_bus_message *m, const char *action, uint32_t uid, sd_bus_error *error)
{
    return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                             "%s needs the right %s, which root and the agent's own user have%s; uid %u has not",
                             sd_bus_message_get_member(m), action,
                             for_root_only(action) ? "" : ", and the group " ADMIN_GROUP, uid);
}

int policy_check(struct bus *b, sd_bus_message *m, const char *action, sd_bus_error *error)
{
    struct policy_request **link = find(b, m);
    struct caller *one = sd_bus_message_get_sender(m) ? callers_find(b->callers, sd_bus_message_get_sender(m)) : NULL;
    bool known;

    if (link && (*link)->lookup)
        return 0;
    if (link)
        drop(link);
    if (!one || !one->user) /* it has left meanwhile */
        return refuse(m, action, UINT32_MAX, error);
    b->caller = one->user->uid;
    known = link || (one->user->looked_up > 0 && clock_boottime() < one->user->looked_up + POLICY_KNOWN);
    if (own_or_root(b->caller) || (known && one->user->administrator && !for_root_only(action)))
        return 1;
    return known || for_root_only(action) ? refuse(m, action, b->caller, error) : ask(b, m, one->user);
}
