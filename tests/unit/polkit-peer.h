/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The policy and its question to polkit at one end of a socket; the bus, polkit and a caller, all played by the test,
 * at the other: each answer can be had, also a forged one. Included after cmocka.h's prerequisites; linked with
 * no_users. */

#include "base/clock.h"
#include "base/names.h"
#include "base/worker.h"
#include "bus/callers.h"
#include "bus/door.h"
#include "bus/internal.h"
#include "bus/polkit.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CALLER ":1.7"
#define CALLER_UID 424242
#define ADMIN_GID 777
#define PATH "/test"
#define INTERFACE "org.example.Test"
#define DEADLINE_SECONDS 120

static struct bus b;
static sd_bus *far; /* the bus, polkit and the caller */
static struct workers *workers;
static sd_bus_slot *object;
static const char *action;
static unsigned carried_out, run;
static const sd_bus_message *last_call; /* valid while it is waited for */

/* polkit, as it is in this case */
static struct {
    const char *owner; /* of its name; NULL: nobody */
    const char *from;  /* the connection that answers; NULL: its own */
    const char *error, *start_error;
    bool authorized, challenge, unreadable, silent, starts;
    unsigned owners_asked, started, questions;
    char asked[64], subject[16], destination[16];
    uint32_t flags;
} polkit;

static struct {
    bool member;
    unsigned looked_up;
} groups;

/* The answer to the call: an error's name, "" for none, NULL while there is none. */
static const char *answer;
static char answer_name[96], answer_text[512];

/* ── What lies beside the policy ── */

void door_wake(struct bus *bus) {}

int door_believe(struct bus *bus, const char *name)
{
    return 0;
}

uint64_t door_processor(void)
{
    return 0;
}

void door_run(struct bus *bus, struct caller_user *user)
{
    run++;
    while (sd_bus_process(bus->connection, NULL) > 0)
        ;
}

struct workers *fleet_workers(struct fleet *f)
{
    return workers;
}

int wrap_getgrnam(const char *name, struct group *group, char *buffer, size_t size,
                  struct group **ret) __asm__("__wrap_getgrnam_r");
int wrap_getpwuid(uid_t uid, struct passwd *user, char *buffer, size_t size,
                  struct passwd **ret) __asm__("__wrap_getpwuid_r");
int wrap_getgrouplist(const char *user, gid_t group, gid_t *list, int *n) __asm__("__wrap_getgrouplist");

int wrap_getgrnam(const char *name, struct group *group, char *buffer, size_t size, struct group **ret)
{
    assert_string_equal(name, ADMIN_GROUP);
    *group = (struct group){.gr_gid = ADMIN_GID};
    *ret = group;
    return 0;
}

int wrap_getpwuid(uid_t uid, struct passwd *user, char *buffer, size_t size, struct passwd **ret)
{
    assert_int_equal(uid, CALLER_UID);
    *user = (struct passwd){.pw_name = (char *)"somebody", .pw_gid = 100};
    *ret = user;
    return 0;
}

int wrap_getgrouplist(const char *user, gid_t group, gid_t *list, int *n)
{
    groups.looked_up++;
    list[0] = group;
    list[1] = ADMIN_GID;
    *n = groups.member ? 2 : 1;
    return *n;
}

/* ── The far end ── */

static int reply(sd_bus_message *m, const char *from)
{
    return sd_bus_message_set_sender(m, from) < 0 ? -EIO : sd_bus_send(far, m, NULL);
}

static int reply_error(sd_bus_message *call, const char *name, const char *text, const char *from)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    const sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(name, text);

    assert_true(sd_bus_message_new_method_error(call, &m, &error) >= 0);
    return reply(m, from);
}

static int answer_owner(sd_bus_message *call)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    polkit.owners_asked++;
    if (!polkit.owner)
        return reply_error(call, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "nobody", "org.freedesktop.DBus");
    assert_true(sd_bus_message_new_method_return(call, &m) >= 0);
    assert_true(sd_bus_message_append(m, "s", polkit.owner) >= 0);
    return reply(m, "org.freedesktop.DBus");
}

static int answer_start(sd_bus_message *call)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    polkit.started++;
    if (polkit.start_error)
        return reply_error(call, polkit.start_error, "it cannot be started here", "org.freedesktop.DBus");
    if (polkit.starts)
        polkit.owner = ":1.9";
    assert_true(sd_bus_message_new_method_return(call, &m) >= 0);
    assert_true(sd_bus_message_append(m, "u", 1) >= 0);
    return reply(m, "org.freedesktop.DBus");
}

static void read_question(sd_bus_message *call)
{
    const char *kind, *key, *name, *wanted;

    snprintf(polkit.destination, sizeof(polkit.destination), "%s", sd_bus_message_get_destination(call));
    assert_true(sd_bus_message_read(call, "(sa{sv})s", &kind, 1, &key, "s", &name, &wanted) >= 0);
    assert_string_equal(kind, "system-bus-name");
    snprintf(polkit.subject, sizeof(polkit.subject), "%s", name);
    snprintf(polkit.asked, sizeof(polkit.asked), "%s", wanted);
    assert_true(sd_bus_message_skip(call, "a{ss}") >= 0);
    assert_true(sd_bus_message_read(call, "u", &polkit.flags) >= 0);
}

static int answer_question(sd_bus_message *call)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    const char *from = polkit.from ?: ":1.9";

    polkit.questions++;
    read_question(call);
    if (polkit.silent)
        return 0;
    if (!polkit.owner || strcmp(polkit.destination, polkit.owner) != 0)
        return reply_error(call, SD_BUS_ERROR_SERVICE_UNKNOWN, "it has gone", "org.freedesktop.DBus");
    if (polkit.error)
        return reply_error(call, polkit.error, "its rules are broken", from);
    assert_true(sd_bus_message_new_method_return(call, &m) >= 0);
    if (polkit.unreadable)
        assert_true(sd_bus_message_append(m, "s", "yes") >= 0);
    else
        assert_true(sd_bus_message_append(m, "(bba{ss})", polkit.authorized, polkit.challenge, 0) >= 0);
    return reply(m, from);
}

static int on_far(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus", "GetNameOwner"))
        return answer_owner(m) < 0 ? -EIO : 1;
    if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus", "StartServiceByName"))
        return answer_start(m) < 0 ? -EIO : 1;
    if (sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization"))
        return answer_question(m) < 0 ? -EIO : 1;
    return 0;
}

static int on_act(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int r = policy_check(&b, m, action, error);

    last_call = m;
    if (r <= 0)
        return r < 0 ? r : 1;
    carried_out++;
    return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Act", NULL, NULL, on_act, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);

    snprintf(answer_name, sizeof(answer_name), "%s", e ? e->name : "");
    snprintf(answer_text, sizeof(answer_text), "%s", e ? e->message : "");
    answer = answer_name;
    return 1;
}

/* ── A case ── */

#define run_until(condition)                                                                                           \
    do {                                                                                                               \
        time_t begun = time(NULL);                                                                                     \
                                                                                                                       \
        while (!(condition)) {                                                                                         \
            assert_true(sd_event_run(b.event, 100 * USEC_PER_MSEC) >= 0);                                              \
            if (time(NULL) - begun > DEADLINE_SECONDS)                                                                 \
                fail_msg("did not come to pass: %s", #condition);                                                      \
        }                                                                                                              \
    } while (0)

static sd_bus *open_end(int fd, bool server)
{
    sd_bus *bus = NULL;
    sd_id128_t id = SD_ID128_MAKE(1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f, 1);

    assert_true(sd_bus_new(&bus) >= 0);
    assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
    if (server)
        assert_true(sd_bus_set_server(bus, true, id) >= 0);
    assert_true(sd_bus_start(bus) >= 0);
    assert_true(sd_bus_attach_event(bus, b.event, 0) >= 0);
    return bus;
}

static int setup(void **state)
{
    int fds[2];

    memset(&polkit, 0, sizeof(polkit));
    polkit.owner = ":1.9";
    memset(&groups, 0, sizeof(groups));
    carried_out = run = 0;
    action = ACTION_ROTATE;
    b = (struct bus){0};
    assert_int_equal(sd_event_new(&b.event), 0);
    assert_int_equal(workers_new(b.event, 1, &workers), 0);
    assert_non_null(b.callers = callers_new());
    assert_int_equal(policy_init(&b), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    far = open_end(fds[0], true);
    b.connection = open_end(fds[1], false);
    run_until(sd_bus_is_ready(far) > 0 && sd_bus_is_ready(b.connection) > 0);
    assert_true(sd_bus_add_filter(far, NULL, on_far, NULL) >= 0);
    assert_true(sd_bus_add_object_vtable(b.connection, &object, PATH, INTERFACE, vtable, NULL) >= 0);
    return 0;
}

static int teardown(void **state)
{
    policy_done(&b, true);
    object = sd_bus_slot_unref(object);
    sd_bus_close_unref(b.connection);
    sd_bus_close_unref(far);
    workers_free(workers);
    callers_free(b.callers);
    sd_event_unref(b.event);
    return 0;
}

static struct caller *arrives(const char *name, uid_t uid)
{
    struct caller *one = callers_get(b.callers, name);

    assert_non_null(one);
    assert_int_equal(callers_uid_known(b.callers, one, uid, clock_boottime()), 0);
    return one;
}

static void call(const char *from, bool person)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    answer = NULL;
    assert_true(sd_bus_message_new_method_call(far, &m, NULL, PATH, INTERFACE, "Act") >= 0);
    assert_true(sd_bus_message_set_sender(m, from) >= 0);
    assert_true(sd_bus_message_set_allow_interactive_authorization(m, person) >= 0);
    assert_true(sd_bus_call_async(far, NULL, m, on_answer, NULL, UINT64_MAX) >= 0);
}

static void allowed(const char *from)
{
    unsigned before = carried_out;

    call(from, false);
    run_until(answer);
    if (answer[0])
        fail_msg("%s: %s", answer, answer_text);
    assert_int_equal(carried_out, before + 1);
    assert_null(b.policy_requests);
}

static void refused(const char *name, const char *words)
{
    unsigned before = carried_out;

    call(CALLER, false);
    run_until(answer);
    assert_string_equal(answer, name);
    if (!strstr(answer_text, words))
        fail_msg("not \"%s\" in \"%s\"", words, answer_text);
    assert_int_equal(carried_out, before);
    assert_null(b.policy_requests);
}
