/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Check: what is wrong with the gateway, as far as the agent knows it. */
#include "base/names.h"
#include "bus/methods.h"
#include "doctor/doctor.h"

int check_method(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct error e = {0};
    struct job *job;
    char path[64];
    int r = policy_check(b, m, ACTION_MANAGE_DEVICES, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = bus_read_options(m, NULL, NULL, error);
    if (r < 0)
        return r;
    r = doctor_check(b->doctor, &job, &e);
    if (r < 0)
        return bus_error_set(error, r, &e);
    job_object_path(job, path);
    return sd_bus_reply_method_return(m, "o", path);
}
