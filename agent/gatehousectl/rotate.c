/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

/* The ids of all devices, NULL-terminated, from the manager's pages. Exit status. */
static int all_devices(struct ctl *c, char ***ret)
{
    _cleanup_free_ char **ids = NULL;
    size_t n = 0;
    uint32_t page;

    do {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *id;
        int r = n == 0 ? ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "ListDevices", &reply, "a{sv}", 0)
                       : ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "ListDevices", &reply, "a{sv}", 1,
                                  "after", "s", ids[n - 1]);

        if (r != 0)
            return r;
        if (sd_bus_message_enter_container(reply, 'a', "(sosss)") < 0)
            return EXIT_FAILURE;
        for (page = 0; sd_bus_message_read(reply, "(sosss)", &id, NULL, NULL, NULL, NULL) > 0; page++) {
            char **more = reallocarray(ids, n + 2, sizeof(*ids));

            if (!more || !(more[n] = strdup(id)))
                return EXIT_FAILURE;
            ids = more;
            ids[++n] = NULL;
        }
    } while (page == LIST_DEVICES_MAX);
    *ret = TAKE_PTR(ids);
    return 0;
}

static int begin(struct ctl *c, const char *id, char **ret_job)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_free_ char *path = NULL;
    const char *job;
    int r = ctl_device(c, id, &path);

    if (r != 0)
        return r;
    r = c->compromised ? ctl_call(c, path, BUS_INTERFACE_DEVICE, "Rotate", &reply, "a{sv}", 1, "compromised", "b", 1)
                       : ctl_call(c, path, BUS_INTERFACE_DEVICE, "Rotate", &reply, "a{sv}", 0);
    if (r != 0)
        return r;
    if (sd_bus_message_read(reply, "o", &job) < 0 || !(*ret_job = strdup(job)))
        return EXIT_FAILURE;
    return 0;
}

static int finish(struct ctl *c, const char *id, const char *job)
{
    _cleanup_json_ json_object *properties = NULL;
    json_object *result;
    const char *state, *reason;
    bool done;
    int r = job_wait(c, job, &properties);

    if (r != 0)
        return r;
    state = json_get_string(properties, "State");
    result = json_object_array_get_idx(json_object_object_get(properties, "Results"), 0);
    reason = (result ? json_get_string(result, "reason") : NULL) ?: "";
    done = strcmp(state, "done") == 0;
    if (c->output != OUTPUT_TEXT) {
        json_object_object_add(properties, "Device", json_object_new_string(id));
        print_json(c, properties);
    } else if (done) {
        print_say(c, "%s: rotation done%s%s", id, reason[0] ? ": " : "", reason);
    } else {
        fprintf(stderr, "gatehousectl: %s: rotation %s%s%s\n", id, state, reason[0] ? ": " : "", reason);
    }
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
        int r = begin(c, ids[i], &jobs[i]);

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

int verb_rotate(struct ctl *c, int argc, char **argv)
{
    char **ids = NULL;
    size_t n = 0;
    int r;

    if (c->all == (argc > 1)) {
        fprintf(stderr, "gatehousectl: rotate takes either devices or --all\n");
        return EXIT_USAGE;
    }
    if (!c->all)
        return rotate(c, argv + 1, (size_t)argc - 1);
    r = all_devices(c, &ids);
    if (r != 0)
        return r;
    while (ids && ids[n])
        n++;
    r = rotate(c, ids, n);
    while (n > 0)
        free(ids[--n]);
    free(ids);
    return r;
}
