/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers that are long: GetManagedObjects, and the results of a job for a whole fleet. They are made a slice in each
 * turn of the loop: ten thousand devices at once would keep every session waiting. sd-bus has answers of its own, made
 * in one go, so the calls are taken before they get there.
 *
 * What GetManagedObjects answers is one state: PropertiesChanged of devices wait until the answers that are begun are
 * out (changed.c), and with a device that goes an answer begins anew. One that comes is told of by InterfacesAdded, as
 * always. Signals that had to wait go before any answer to others than root that is not begun: users who always have
 * calls waiting would keep them from everybody. */

#include "base/clock.h"
#include "base/limits.h"
#include "base/names.h"
#include "bus/door.h"
#include "bus/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An answer in the making. */
struct managed_walk {
    struct managed_walk *next;
    struct caller_user *user; /* whose next calls wait for it, root's aside */
    sd_bus_message *call;
    sd_bus_message *reply; /* NULL: not begun */
    char *after;           /* the last device in it */
    uint32_t job;          /* whose results are asked for; 0: all objects are */
    size_t next_result;
};

static struct managed_walk *walk_free(struct managed_walk *w)
{
    w->user->busy--;
    sd_bus_message_unref(w->call);
    sd_bus_message_unref(w->reply);
    free(w->after);
    free(w);
    return NULL;
}

static void drop(struct bus *b, struct managed_walk **link)
{
    struct managed_walk *w = *link;

    *link = w->next;
    walk_free(w);
    door_wake(b);
    if (!b->walks)
        sd_event_source_set_enabled(b->walk_source, SD_EVENT_OFF);
}

/* The standard interfaces that sd-bus adds to each object. */
static int append_standard(sd_bus_message *m)
{
    return sd_bus_message_append(m, "{sa{sv}}{sa{sv}}{sa{sv}}", "org.freedesktop.DBus.Peer", 0,
                                 "org.freedesktop.DBus.Introspectable", 0, "org.freedesktop.DBus.Properties", 0);
}

/* One object of one interface of ours, whose properties `properties` appends. */
static int append_object(sd_bus_message *m, const char *path, const char *interface,
                         int (*properties)(struct bus *b, sd_bus_message *m, void *object), struct bus *b, void *object)
{
    int r = sd_bus_message_open_container(m, 'e', "oa{sa{sv}}");

    if (r >= 0)
        r = sd_bus_message_append_basic(m, 'o', path);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sa{sv}}");
    if (r >= 0)
        r = append_standard(m);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'e', "sa{sv}");
    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', interface);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = properties(b, m, object);
    for (int i = 0; r >= 0 && i < 4; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

static int append_device(struct bus *b, sd_bus_message *m, struct device *d)
{
    _cleanup_free_ char *path = NULL;
    int r = device_object_path(device_id(d), &path);

    return r < 0 ? r : append_object(m, path, BUS_INTERFACE_DEVICE, device_object_properties, b, d);
}

static int append_jobs(struct bus *b, sd_bus_message *m)
{
    int r = 0;

    for (struct job *job = job_first(fleet_jobs(b->fleet)); r >= 0 && job; job = job->next) {
        char path[64];

        job_object_path(job, path);
        r = append_object(m, path, BUS_INTERFACE_JOB, job_object_properties, b, job);
    }
    return r;
}

/* ── Slices: 1: there is more. 0: that was the last. ── */

static int append_objects(struct bus *b, struct managed_walk *w)
{
    struct device *d = fleet_next(b->fleet, w->after), *last = NULL;
    int r = 0;

    for (int i = 0; r >= 0 && d && i < MANAGED_OBJECTS_PER_TURN; i++) {
        r = append_device(b, w->reply, d);
        last = d;
        d = fleet_next(b->fleet, device_id(d));
    }
    if (r < 0)
        return r;
    if (d) {
        free(w->after);
        w->after = strdup(device_id(last));
        return w->after ? 1 : -ENOMEM;
    }
    return append_jobs(b, w->reply);
}

static int append_results(struct bus *b, struct managed_walk *w)
{
    const struct job *job = job_find(fleet_jobs(b->fleet), w->job);
    size_t n = job ? MIN_OF(job->n_results, w->next_result + JOB_RESULTS_PER_TURN) : 0;
    int r = job ? 0 : -ENOENT;

    for (; r >= 0 && w->next_result < n; w->next_result++)
        r = job_object_result(w->reply, &job->results[w->next_result]);
    return r < 0 ? r : w->next_result < job->n_results;
}

static int begin(struct managed_walk *w)
{
    int r = sd_bus_message_new_method_return(w->call, &w->reply);

    if (r >= 0 && w->job > 0)
        r = sd_bus_message_open_container(w->reply, 'v', "aa{sv}");
    return r < 0 ? r : sd_bus_message_open_container(w->reply, 'a', w->job > 0 ? "a{sv}" : "{oa{sa{sv}}}");
}

static int append_slice(struct bus *b, struct managed_walk *w)
{
    int r = w->reply ? 0 : begin(w);

    if (r >= 0)
        r = w->job > 0 ? append_results(b, w) : append_objects(b, w);
    if (r != 0)
        return r;
    r = sd_bus_message_close_container(w->reply);
    if (r >= 0 && w->job > 0)
        r = sd_bus_message_close_container(w->reply);
    return r < 0 ? r : sd_bus_send(NULL, w->reply, NULL) < 0 ? -EIO : 0;
}

/* Whether a is to be made before b: one answer of all others than root is in the making at a time, as they may be
 * large. */
static bool before(const struct managed_walk *a, const struct managed_walk *b)
{
    if (!a->user->unbounded && !b->user->unbounded && (a->reply || b->reply))
        return a->reply && !b->reply;
    return callers_before(a->user, b->user);
}

static struct managed_walk **whose_turn(struct bus *b)
{
    struct managed_walk **best = &b->walks;

    for (struct managed_walk **link = best; *link; link = &(*link)->next)
        if (before(*link, *best))
            best = link;
    return best;
}

/* A message that was sent goes before root's next answer, so others' answers wait until the bus has taken all. */
static void wait_for_room(struct bus *b)
{
    sd_event_source_set_enabled(b->walk_source, SD_EVENT_OFF);
    sd_event_source_set_time(b->walk_timer, clock_boottime() + BUS_OUT_LOOK);
    sd_event_source_set_enabled(b->walk_timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct bus *b = userdata;

    return sd_event_source_set_enabled(b->walk_source, b->walks ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_turn(sd_event_source *source, void *userdata)
{
    struct bus *b = userdata;
    struct managed_walk **link = whose_turn(b), *w = *link;
    uint64_t begun = door_processor();
    int r;

    if (!w)
        return 0;
    if (!w->user->unbounded && (!door_has_room(b) || (!w->reply && b->changes_held))) {
        wait_for_room(b);
        return 0;
    }
    r = append_slice(b, w);
    if (r < 0)
        sd_bus_reply_method_errno(w->call, r, NULL);
    callers_spent(b->callers, w->user, door_processor() - begun, clock_boottime());
    if (r <= 0) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = sd_bus_message_ref(w->call);

        drop(b, link);
        limits_answered(b, sd_bus_message_get_sender(call));
    }
    return 0;
}

static bool is_of(const struct managed_walk *w, const char *sender)
{
    return strcmp(sd_bus_message_get_sender(w->call), sender) == 0;
}

bool managed_under_way(const struct bus *b, const char *sender)
{
    for (const struct managed_walk *w = b->walks; w; w = w->next)
        if (is_of(w, sender))
            return true;
    return false;
}

bool managed_shows(const struct bus *b)
{
    for (const struct managed_walk *w = b->walks; w; w = w->next)
        if (w->job == 0 && w->reply)
            return true;
    return false;
}

void managed_gone(struct bus *b, const char *name)
{
    for (struct managed_walk **link = &b->walks; *link;)
        if (is_of(*link, name))
            drop(b, link);
        else
            link = &(*link)->next;
}

/* Of each user but root there is one: its next calls wait for it. */
static bool has_room(const struct bus *b, const struct caller *one)
{
    size_t of_root = 0, of_sender = 0;

    for (const struct managed_walk *w = b->walks; w; w = w->next) {
        of_root += w->user->unbounded;
        of_sender += is_of(w, one->name);
    }
    return of_sender < MANAGED_WALKS_SENDER_MAX && (!one->user->unbounded || of_root < MANAGED_WALKS_MAX);
}

static int enqueue(struct bus *b, sd_bus_message *m, uint32_t job, sd_bus_error *error)
{
    struct caller *one = callers_find(b->callers, sd_bus_message_get_sender(m));
    struct managed_walk *w, **end;

    if (!one || !one->user)
        return 1; /* it has left meanwhile */
    if (!has_room(b, one))
        return sd_bus_error_set(
            error, SD_BUS_ERROR_LIMITS_EXCEEDED,
            "a long answer to this caller, or to too many others, is being made: wait for it, and try again");
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->call = sd_bus_message_ref(m);
    w->job = job;
    w->user = one->user;
    w->user->busy++;
    for (end = &b->walks; *end; end = &(*end)->next)
        ;
    *end = w;
    sd_event_source_set_enabled(b->walk_source, SD_EVENT_ON);
    return 1;
}

static int on_manager_call(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects") ||
        !sd_bus_message_has_signature(m, ""))
        return 0;
    return enqueue(userdata, m, 0, error);
}

/* Few results are left to sd-bus. */
static int on_job_call(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    const char *interface, *name, *path = sd_bus_message_get_path(m);
    const struct job *job = job_object_find(b, path);
    int r;

    /* As this handler is for all paths below, sd-bus would say that the object lacks the method. */
    if (!job && strcmp(path, BUS_PATH_JOB) != 0)
        return sd_bus_error_setf(error, SD_BUS_ERROR_UNKNOWN_OBJECT, "there is no job %s", strrchr(path, '/') + 1);
    if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get") ||
        !sd_bus_message_has_signature(m, "ss"))
        return 0;
    r = sd_bus_message_read(m, "ss", &interface, &name);
    if (r < 0)
        return r;
    if (strcmp(interface, BUS_INTERFACE_JOB) == 0 && strcmp(name, "Results") == 0 && job &&
        job->n_results > JOB_RESULTS_PER_TURN)
        return enqueue(b, m, job->number, error);
    return sd_bus_message_rewind(m, true) < 0 ? -EIO : 0;
}

void managed_device_gone(struct bus *b)
{
    for (struct managed_walk *w = b->walks; w; w = w->next) {
        if (w->job > 0)
            continue;
        w->reply = sd_bus_message_unref(w->reply);
        free(w->after);
        w->after = NULL;
    }
}

int managed_init(struct bus *b)
{
    int r = sd_event_add_defer(b->event, &b->walk_source, on_turn, b);

    /* A source that is always ready goes before all others of its priority, in each turn. */
    if (r >= 0)
        r = sd_event_source_set_priority(b->walk_source, SD_EVENT_PRIORITY_NORMAL + 1);
    if (r >= 0)
        r = sd_event_source_set_enabled(b->walk_source, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(b->event, &b->walk_timer, CLOCK_BOOTTIME, USEC_INFINITY, USEC_PER_MSEC, on_timer, b);
    return r < 0 ? r : sd_event_source_set_enabled(b->walk_timer, SD_EVENT_OFF);
}

int managed_register(struct bus *b)
{
    int r = sd_bus_add_object(b->connection, NULL, BUS_PATH_MANAGER, on_manager_call, b);

    return r < 0 ? r : sd_bus_add_fallback(b->connection, NULL, BUS_PATH_JOB, on_job_call, b);
}

void managed_reset(struct bus *b)
{
    while (b->walks)
        drop(b, &b->walks);
}

void managed_done(struct bus *b)
{
    managed_reset(b);
    sd_event_source_disable_unref(b->walk_source);
    sd_event_source_disable_unref(b->walk_timer);
}
