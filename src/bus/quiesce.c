/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Quiesce: all that is open is made durable, since the power is about to go. */
#include "device/quiesce.h"
#include "base/limits.h"
#include "base/names.h"
#include "bus/methods.h"

#include <errno.h>
#include <string.h>

static int take_seconds(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    if (strcmp(key, "seconds") != 0)
        return -ENOENT;
    return sd_bus_message_read(m, "v", "u", userdata);
}

int quiesce_method(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct error e = {0};
    struct job *job;
    uint32_t seconds = QUIESCE_SECONDS;
    char path[64];
    int r = policy_check(b, m, ACTION_MANAGE_DEVICES, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = bus_read_options(m, take_seconds, &seconds, error);
    if (r < 0)
        return r;
    if (seconds > QUIESCE_SECONDS_MAX)
        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "seconds: expected 0 to %d, not %u",
                                 QUIESCE_SECONDS_MAX, seconds);
    r = fleet_quiesce(b->fleet, seconds * USEC_PER_SEC, &job, &e);
    if (r < 0)
        return bus_error_set(error, r, &e);
    job_object_path(job, path);
    return sd_bus_reply_method_return(m, "o", path);
}
