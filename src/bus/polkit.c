/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/polkit.h"

#include "base/limits.h"
#include "bus/door.h"
#include "bus/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POLKIT "org.freedesktop.PolicyKit1"
#define DRIVER "org.freedesktop.DBus"
#define ALLOW_INTERACTION 1U

struct polkit_question {
    struct bus *bus;
    char *sender;
    char *asked;        /* the connection that is to answer; NULL: not known yet */
    const char *action; /* static */
    bool interactive;
    bool started; /* it was not running */
    bool again;   /* its connection had gone, and was looked for again */
    sd_bus_slot *slot;
    polkit_done *done;
    void *userdata;
};

struct polkit_question *polkit_question_free(struct polkit_question *q)
{
    if (!q)
        return NULL;
    sd_bus_slot_unref(q->slot);
    free(q->sender);
    free(q->asked);
    free(q);
    return NULL;
}

void polkit_forget(struct bus *b)
{
    free(b->polkit);
    b->polkit = NULL;
}

static int get_owner(struct polkit_question *q);

static void failed(struct polkit_question *q, const char *why)
{
    q->done(POLKIT_FAILED, why, q->userdata);
}

/* ── The question ── */

static bool nobody(sd_bus_message *m)
{
    return sd_bus_message_is_method_error(m, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
           sd_bus_message_is_method_error(m, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

/* Of the bus itself, or of the library when time is up: not polkit's own words. */
static bool silence(sd_bus_message *m)
{
    return nobody(m) || sd_bus_message_is_method_error(m, SD_BUS_ERROR_NO_REPLY) ||
           sd_bus_message_is_method_error(m, SD_BUS_ERROR_TIMEOUT) ||
           sd_bus_message_is_method_error(m, SD_BUS_ERROR_DISCONNECTED);
}

/* Other questions may be with the same connection, and are answered yet: each compares with the one that it asked. */
static void on_silence(struct polkit_question *q, sd_bus_message *m)
{
    if (q->bus->polkit && strcmp(q->bus->polkit, q->asked) == 0)
        polkit_forget(q->bus);
    if (!nobody(m) || q->again) {
        failed(q, "it did not answer");
        return;
    }
    q->again = true;
    q->started = false;
    if (get_owner(q) < 0)
        failed(q, "it did not answer");
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct polkit_question *q = userdata;
    const char *from = sd_bus_message_get_sender(m);
    int authorized, challenge;

    q->slot = sd_bus_slot_unref(q->slot);
    if (silence(m)) {
        on_silence(q, m);
        return 1;
    }
    if (!from || strcmp(from, q->asked) != 0)
        failed(q, "another connection answered for it");
    else if (sd_bus_message_is_method_error(m, NULL))
        failed(q, sd_bus_message_get_error(m)->message ?: "it failed");
    else if (sd_bus_message_enter_container(m, 'r', "bba{ss}") < 0 ||
             sd_bus_message_read(m, "bb", &authorized, &challenge) < 0)
        failed(q, "its answer cannot be read");
    else
        q->done(authorized ? POLKIT_ALLOWED : challenge ? POLKIT_ASKS : POLKIT_REFUSED, "", q->userdata);
    return 1;
}

static int check(struct polkit_question *q)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    free(q->asked);
    q->asked = strdup(q->bus->polkit);
    if (!q->asked)
        return -ENOMEM;
    r = sd_bus_message_new_method_call(q->bus->connection, &m, q->asked, "/org/freedesktop/PolicyKit1/Authority",
                                       POLKIT ".Authority", "CheckAuthorization");
    if (r >= 0)
        r = sd_bus_message_append(m, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s", q->sender, q->action, 0,
                                  q->interactive ? ALLOW_INTERACTION : 0, "");
    if (r >= 0)
        r = sd_bus_call_async(q->bus->connection, &q->slot, m, on_answer, q,
                              q->interactive ? POLKIT_PERSON_TIMEOUT : POLKIT_TIMEOUT);
    return r;
}

/* ── Where it is ── */

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct polkit_question *q = userdata;

    q->slot = sd_bus_slot_unref(q->slot);
    if (nobody(m) || sd_bus_message_is_method_error(m, "org.freedesktop.systemd1.NoSuchUnit") ||
        sd_bus_message_is_method_error(m, "org.freedesktop.systemd1.UnitMasked"))
        q->done(POLKIT_ABSENT, "", q->userdata);
    else if (sd_bus_message_is_method_error(m, NULL))
        failed(q, sd_bus_message_get_error(m)->message ?: "it cannot be started");
    else if (get_owner(q) < 0)
        failed(q, "it cannot be asked");
    return 1;
}

static int start(struct polkit_question *q)
{
    q->started = true;
    return sd_bus_call_method_async(q->bus->connection, &q->slot, DRIVER, "/org/freedesktop/DBus", DRIVER,
                                    "StartServiceByName", on_started, q, "su", POLKIT, 0);
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct polkit_question *q = userdata;
    const char *name;

    q->slot = sd_bus_slot_unref(q->slot);
    if (nobody(m) && !q->started) {
        if (start(q) < 0)
            failed(q, "it cannot be asked");
        return 1;
    }
    if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "s", &name) < 0) {
        failed(q, "it ended");
        return 1;
    }
    polkit_forget(q->bus);
    q->bus->polkit = strdup(name);
    if (!q->bus->polkit || door_believe(q->bus, name) < 0 || check(q) < 0)
        failed(q, "it cannot be asked");
    return 1;
}

static int get_owner(struct polkit_question *q)
{
    return sd_bus_call_method_async(q->bus->connection, &q->slot, DRIVER, "/org/freedesktop/DBus", DRIVER,
                                    "GetNameOwner", on_owner, q, "s", POLKIT);
}

int polkit_ask(struct bus *b, const char *sender, const char *action, bool interactive, polkit_done *done,
               void *userdata, struct polkit_question **ret)
{
    _cleanup_(polkit_question_freep) struct polkit_question *q = calloc(1, sizeof(*q));
    int r;

    if (!q)
        return -ENOMEM;
    *q = (struct polkit_question){.bus = b,
                                  .sender = strdup(sender),
                                  .action = action,
                                  .interactive = interactive,
                                  .done = done,
                                  .userdata = userdata};
    if (!q->sender)
        return -ENOMEM;
    r = b->polkit ? check(q) : get_owner(q);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(q);
    return 0;
}
