/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

static int finish(struct ctl *c, const char *id, const char *job)
{
    _cleanup_json_ json_object *properties = NULL;
    json_object *result;
    const char *state, *reason;
    bool done;
    int r = job_wait(c, job, false, &properties);

    if (r != 0)
        return r;
    state = json_get_string(properties, "State");
    result = json_object_array_get_idx(json_object_object_get(properties, "Results"), 0);
    reason = (result ? json_get_string(result, "reason") : NULL) ?: "";
    done = strcmp(state, "done") == 0;
    if (done)
        print_say(c, "%s: rotation done%s%s", id, reason[0] ? ": " : "", reason);
    else
        print_error("%s: rotation %s%s%s", id, state, reason[0] ? ": " : "", reason);
    json_object_object_add(properties, "Device", json_object_new_string(id));
    job_result(c, job, TAKE_PTR(properties));
    return done ? 0 : EXIT_FAILURE;
}

/* Begins them all before waiting for the first: the agent admits as many handshakes at once as the uplink may have. */
static int rotate(struct ctl *c, char **ids, size_t n)
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
        int r = jobs[i] ? finish(c, ids[i], jobs[i]) : 0;

        free(jobs[i]);
        if (r != 0) {
            failed++;
            status = r;
        }
    }
    return failed == 0 || failed == n ? status : EXIT_PARTIAL;
}

static int rotate_all(struct ctl *c)
{
    _cleanup_free_ char *job = NULL;
    int r = begin(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "RotateAll", &job);

    if (r != 0)
        return r;
    print_say(c, "job %s: it goes on if this is interrupted; gatehousectl job cancel %s ends it", job_number(job),
              job_number(job));
    return job_outcome(c, job);
}

int verb_rotate(struct ctl *c, int argc, char **argv)
{
    if (c->all == (argc > 0)) {
        print_error("rotate takes either devices or --all");
        return EXIT_USAGE;
    }
    return c->all ? rotate_all(c) : rotate(c, argv, (size_t)argc);
}
