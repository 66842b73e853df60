/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/names.h"
#include "bus/door.h"
#include "bus/internal.h"
#include "bus/polkit.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_BUFFER 16384
#define LOOKUP_GROUPS 1024 /* of one user */

/* One privileged call for which polkit is being asked, or, where there is none, its sender's groups are looked up in
 * the system's databases. That is asynchronous, since the loop may not wait for them: the answer puts the call back
 * into the queue, and the second time its handler finds it answered. Of each user there is one at a time, the next ones
 * wait at the gate: nobody keeps others from theirs. What waits for a person to type a password keeps nothing else
 * back. */
struct policy_request {
    struct policy_request *next;
    struct bus *bus;
    sd_bus_message *message;
    const char *action; /* static */
    struct caller_user *user;
    bool person;
    struct polkit_question *question; /* while it is under way */
    struct lookup *lookup;            /* likewise */
    bool decided, returned;           /* ... and put back */
    enum polkit_verdict verdict;
    char *why;
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
    polkit_question_free(request->question);
    free(request->why);
    if (request->person)
        request->user->asked--;
    else
        request->user->busy--;
    door_wake(request->bus);
    sd_bus_message_unref(request->message);
    free(request);
}

void policy_done(struct bus *b, bool end)
{
    while (b->policy_requests)
        drop(&b->policy_requests);
    polkit_forget(b);
    if (end)
        b->policy_source = sd_event_source_disable_unref(b->policy_source);
}

static bool own_or_root(uint32_t uid)
{
    return uid == 0 || uid == geteuid();
}

/* Actions that members of ADMIN_GROUP may not use. */
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

/* Not from within sd-bus. */
static void put_back(struct policy_request *request)
{
    struct policy_request **link;
    struct bus *b = request->bus;

    request->returned = true;
    if (sd_bus_enqueue_for_read(b->connection, request->message) >= 0)
        door_run(b, request->user);
    /* It found no handler: its object has gone meanwhile. */
    link = find_request(b, request);
    if (link && (*link)->decided)
        drop(link);
}

static void on_lookup(int r, void *userdata)
{
    _cleanup_free_ struct lookup *l = userdata;
    struct policy_request *request = l->request;
    struct bus *b;

    if (!request)
        return;
    b = request->bus;
    request->lookup = NULL;
    request->decided = true;
    request->user->administrator = r >= 0 && l->administrator;
    request->user->looked_up = clock_boottime();
    callers_spent(b->callers, request->user, l->processor, clock_boottime());
    put_back(request);
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

static bool known(const struct caller_user *user)
{
    return user->looked_up > 0 && clock_boottime() < user->looked_up + POLICY_KNOWN;
}

static void on_polkit(enum polkit_verdict verdict, const char *why, void *userdata)
{
    struct policy_request *request = userdata;

    request->question = polkit_question_free(request->question);
    request->verdict = verdict;
    if (verdict == POLKIT_ABSENT && !for_root_only(request->action) && !known(request->user) && look_up(request) >= 0)
        return;
    if (verdict == POLKIT_FAILED)
        request->why = strdup(why);
    request->decided = true;
    sd_event_source_set_enabled(request->bus->policy_source, SD_EVENT_ONESHOT);
}

static int on_decided(sd_event_source *source, void *userdata)
{
    struct bus *b = userdata;
    struct policy_request *request;

    do {
        for (request = b->policy_requests; request && (!request->decided || request->returned);)
            request = request->next;
        if (request)
            put_back(request);
    } while (request);
    return 0;
}

int policy_init(struct bus *b)
{
    int r = sd_event_add_defer(b->event, &b->policy_source, on_decided, b);

    return r < 0 ? r : sd_event_source_set_enabled(b->policy_source, SD_EVENT_OFF);
}

/* ── The check ── */

static int ask(struct bus *b, sd_bus_message *m, const char *action, struct caller_user *user, sd_bus_error *error)
{
    bool person = sd_bus_message_get_allow_interactive_authorization(m) > 0;
    struct policy_request *request;
    int r;

    if (person && user->asked >= POLICY_PERSON_MAX)
        return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                 "%u calls of uid %u wait for a password already; answer or end them first",
                                 user->asked, user->uid);
    request = calloc(1, sizeof(*request));
    if (!request)
        return -ENOMEM;
    *request = (struct policy_request){.next = b->policy_requests,
                                       .bus = b,
                                       .message = sd_bus_message_ref(m),
                                       .action = action,
                                       .user = user,
                                       .person = person};
    b->policy_requests = request;
    if (person)
        user->asked++;
    else
        user->busy++;
    r = polkit_ask(b, sd_bus_message_get_sender(m), action, person, on_polkit, request, &request->question);
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

/* The verdict: 1, or an error. */
static int judge(const struct policy_request *request, sd_bus_message *m, uint32_t uid, sd_bus_error *error)
{
    const char *member = sd_bus_message_get_member(m), *action = request->action;

    switch (request->verdict) {
    case POLKIT_ALLOWED:
        return 1;
    case POLKIT_REFUSED:
        return sd_bus_error_setf(
            error, SD_BUS_ERROR_ACCESS_DENIED,
            "%s needs the right %s, and polkit's rules give it not to uid %u, which has not what they "
            "ask for (pkaction --verbose --action-id %s)",
            member, action, uid, action);
    case POLKIT_ASKS:
        return sd_bus_error_setf(
            error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
            "%s needs the right %s: uid %u has not got it without a password; call it as root, or from "
            "a program that lets polkit ask",
            member, action, uid);
    case POLKIT_FAILED:
        return sd_bus_error_setf(
            error, SD_BUS_ERROR_ACCESS_DENIED,
            "%s needs the right %s, and polkit could not be asked whether uid %u has it: %s (systemctl "
            "status polkit)",
            member, action, uid, request->why ?: "no memory");
    case POLKIT_ABSENT:
        break;
    }
    return request->user->administrator && !for_root_only(action) ? 1 : refuse(m, action, uid, error);
}

int policy_check(struct bus *b, sd_bus_message *m, const char *action, sd_bus_error *error)
{
    struct policy_request **link = find(b, m);
    struct caller *one = sd_bus_message_get_sender(m) ? callers_find(b->callers, sd_bus_message_get_sender(m)) : NULL;
    int r;

    if (link && !(*link)->decided)
        return 0;
    if (!one || !one->user) { /* it has left meanwhile */
        if (link)
            drop(link);
        return refuse(m, action, UINT32_MAX, error);
    }
    b->caller = one->user->uid;
    if (!link)
        return own_or_root(b->caller) ? 1 : ask(b, m, action, one->user, error);
    r = judge(*link, m, b->caller, error);
    drop(link);
    return r;
}
