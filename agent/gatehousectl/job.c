/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool ended(json_object *properties)
{
    const char *state = json_get_string(properties, "State");

    return state && strcmp(state, "running") != 0;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return 0; /* only wakes sd_bus_wait: the state is then asked for */
}

int job_wait(struct ctl *c, const char *path, json_object **ret_properties)
{
    _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL, *gone = NULL;
    int r = sd_bus_match_signal(c->bus, &slot, BUS_NAME, path, BUS_INTERFACE_JOB, "Finished", on_signal, NULL);

    if (r >= 0)
        r = sd_bus_match_signal(c->bus, &gone, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                "NameOwnerChanged", on_signal, NULL);
    if (r < 0)
        return ctl_failed(c, "cannot wait for the job", r, NULL);
    for (;;) {
        _cleanup_json_ json_object *properties = NULL;

        r = ctl_properties(c, path, BUS_INTERFACE_JOB, &properties);
        if (r != 0)
            return r;
        if (ended(properties)) {
            *ret_properties = TAKE_PTR(properties);
            return 0;
        }
        do
            r = sd_bus_wait(c->bus, UINT64_MAX);
        while (r == -EINTR);
        while (r >= 0 && (r = sd_bus_process(c->bus, NULL)) > 0)
            ;
        if (r < 0)
            return ctl_failed(c, "cannot wait for the job", r, NULL);
    }
}
