/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manager's methods on the vault as a whole. */
#include "base/names.h"
#include "bus/internal.h"

static void on_done(int r, const struct error *e, void *userdata)
{
    sd_bus_message *m = userdata;

    bus_reply(m, r, e);
    sd_bus_message_unref(m);
}

typedef int fleet_key_fn(struct fleet *f, int fd, device_done done, void *userdata, struct error *e);

/* A method whose one argument is a key in a descriptor. */
static int take_key(sd_bus_message *m, struct bus *b, fleet_key_fn *begin, sd_bus_error *error)
{
    struct error e = {0};
    int r = policy_check(b, m, ACTION_MANAGE_KEYS, error), fd;

    if (r <= 0)
        return r < 0 ? r : 1;
    r = sd_bus_message_read(m, "h", &fd);
    if (r < 0)
        return r;
    r = begin(b->fleet, fd, on_done, sd_bus_message_ref(m), &e);
    if (r >= 0)
        return 1;
    sd_bus_message_unref(m);
    return bus_error_set(error, r, &e);
}

int vault_method_rekey(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return take_key(m, userdata, fleet_rekey, error);
}

int vault_method_set_recovery_key(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return take_key(m, userdata, fleet_set_recovery_key, error);
}

int vault_method_backup(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct error e = {0};
    struct job *job;
    char path[64];
    int r = policy_check(b, m, ACTION_MANAGE_KEYS, error), fd;

    if (r <= 0)
        return r < 0 ? r : 1;
    r = sd_bus_message_read(m, "h", &fd);
    if (r >= 0)
        r = bus_read_options(m, NULL, NULL, error);
    if (r < 0)
        return r;
    r = fleet_backup(b->fleet, fd, &job, &e);
    if (r < 0)
        return bus_error_set(error, r, &e);
    job_object_path(job, path);
    return sd_bus_reply_method_return(m, "o", path);
}
