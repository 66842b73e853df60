/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TELL_AFTER (2 * USEC_PER_SEC)
#define TIMEOUT_MAX (365 * USEC_PER_DAY)

static int begin(struct ctl *c, const char *path, const char *interface, const char *method, char **ret_job)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *job;
    int r = c->compromised ? ctl_call(c, path, interface, method, &reply, "a{sv}", 1, "compromised", "b", 1)
                           : ctl_call(c, path, interface, method, &reply, "a{sv}", 0);

    if (r != 0)
        return r;
    if (sd_bus_message_read(reply, "o", &job) < 0 || !(*ret_job = strdup(job)))
        return EXIT_FAILURE;
    return 0;
}

static int begin_device(struct ctl *c, const char *id, char **ret_job)
{
    _cleanup_free_ char *path = NULL;
    int r = ctl_device(c, id, &path);

    return r != 0 ? r : begin(c, path, BUS_INTERFACE_DEVICE, "Rotate", ret_job);
}

/* A device that is waited for, and what was last told of it. */
struct waiting {
    const char *id;
    const char *path; /* of the device */
    uint64_t since;
    char told[1024]; /* the reason: that the next try is later now is not told */
};

/* Prints a wait that takes longer than a moment, and again when it changes. */
static int tell(struct ctl *c, void *userdata)
{
    struct waiting *w = userdata;
    _cleanup_json_ json_object *device = NULL;
    const char *reason;
    char text[sizeof(w->told)];
    int r;

    if (clock_boottime() - w->since < TELL_AFTER || c->quiet)
        return 0;
    r = ctl_properties(c, w->path, BUS_INTERFACE_DEVICE, &device);
    if (r != 0 || print_waits(device, text, sizeof(text)) == 0)
        return r;
    reason = json_get_string(device, "RotationReason") ?: "";
    if (strncmp(reason, w->told, sizeof(w->told) - 1) == 0)
        return 0;
    snprintf(w->told, sizeof(w->told), "%s", reason);
    fprintf(stderr, "gatehousectl: %s: waits for %s\n", w->id, text);
    return 0;
}

/* It goes on without us. */
static int leave(struct ctl *c, const char *id, const char *job, json_object *properties)
{
    if (c->no_wait)
        print_say(c, "%s: rotation begun, job %s; it goes on by itself", id, job_number(job));
    else
        print_error("%s: not done within %s, job %s; it goes on by itself", id, c->timeout, job_number(job));
    json_object_object_add(properties, "Device", json_object_new_string(id));
    job_result(c, job, properties);
    return c->no_wait ? 0 : EXIT_FAILURE;
}

static int finish(struct ctl *c, const char *id, const char *job, uint64_t until)
{
    _cleanup_free_ char *path = NULL;
    struct waiting waiting = {.id = id, .since = clock_boottime()};
    const struct job_watch watch = {.until = c->no_wait ? 1 : until, .look = tell, .userdata = &waiting};
    json_object *properties = NULL, *result;
    const char *state, *reason;
    bool done;
    int r = ctl_device(c, id, &path);

    waiting.path = path;
    if (r == 0)
        r = job_wait(c, job, &watch, &properties);
    if (r != 0)
        return r;
    if (!job_ended(properties))
        return leave(c, id, job, properties);
    state = json_get_string(properties, "State");
    result = json_object_array_get_idx(json_object_object_get(properties, "Results"), 0);
    reason = (result ? json_get_string(result, "reason") : NULL) ?: "";
    done = strcmp(state, "done") == 0;
    if (done)
        print_say(c, "%s: rotation done%s%s", id, reason[0] ? ": " : "", reason);
    else
        print_error("%s: rotation %s%s%s", id, state, reason[0] ? ": " : "", reason);
    json_object_object_add(properties, "Device", json_object_new_string(id));
    job_result(c, job, properties);
    return done ? 0 : EXIT_FAILURE;
}

/* Begins them all before waiting for the first: the agent admits as many handshakes at once as the uplink may have. */
static int rotate(struct ctl *c, char **ids, size_t n, uint64_t until)
{
    _cleanup_free_ char **jobs = calloc(n + 1, sizeof(*jobs));
    size_t failed = 0;
    int status = 0;

    if (!jobs)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n; i++) {
        int r = begin_device(c, ids[i], &jobs[i]);

        if (r != 0) {
            failed++;
            status = r;
        }
    }
    for (size_t i = 0; i < n; i++) {
        int r = jobs[i] ? finish(c, ids[i], jobs[i], until) : 0;

        free(jobs[i]);
        if (r != 0) {
            failed++;
            status = r;
        }
    }
    return failed == 0 || failed == n ? status : EXIT_PARTIAL;
}

static int rotate_all(struct ctl *c, uint64_t until)
{
    _cleanup_free_ char *job = NULL;
    json_object *properties = NULL;
    int r = begin(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "RotateAll", &job);

    if (r != 0)
        return r;
    print_say(c, "job %s: it goes on if this is interrupted; gatehousectl job cancel %s ends it", job_number(job),
              job_number(job));
    if (!c->no_wait)
        return job_outcome(c, job, until);
    r = job_wait(c, job, &(struct job_watch){.until = 1}, &properties);
    if (r == 0)
        job_result(c, job, properties);
    return r;
}

int verb_rotate(struct ctl *c, int argc, char **argv)
{
    uint64_t timeout = 0, until = 0;
    struct error e = {0};

    if (c->all == (argc > 0)) {
        print_error("rotate takes either devices or --all");
        return EXIT_USAGE;
    }
    if (c->timeout && (duration_parse(c->timeout, &timeout, &e) < 0 || timeout > TIMEOUT_MAX)) {
        print_error("--timeout %s: %s", c->timeout, e.text[0] ? e.text : "over a year");
        return EXIT_USAGE;
    }
    if (c->timeout)
        until = clock_boottime() + timeout;
    return c->all ? rotate_all(c, until) : rotate(c, argv, (size_t)argc, until);
}
