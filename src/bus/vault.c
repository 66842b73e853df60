/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manager's methods on the vault as a whole. */
#include "base/messages.h"
#include "base/names.h"
#include "bus/methods.h"

#include <errno.h>

typedef int fleet_key_fn(struct fleet *f, int fd, device_done done, void *userdata, struct error *e);

/* A method whose one argument is a key in a descriptor. */
static int take_key(sd_bus_message *m, struct bus *b, fleet_key_fn *begin, const char *message_id, const char *text,
                    sd_bus_error *error)
{
    struct audited *audited;
    struct error e = {0};
    int r = policy_check(b, m, ACTION_MANAGE_KEYS, error), fd;

    if (r <= 0)
        return r < 0 ? r : 1;
    r = sd_bus_message_read(m, "h", &fd);
    if (r < 0)
        return r;
    audited = audited_new(b, m, message_id, NULL, "%s", text);
    r = audited ? begin(b->fleet, fd, audited_done, audited, &e) : -ENOMEM;
    return r < 0 ? audited_not_begun(audited, r, &e, error) : 1;
}

int vault_method_rekey(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return take_key(m, userdata, fleet_rekey, MESSAGE_VAULT_REKEYED, "the vault is sealed anew under a new keyfile",
                    error);
}

int vault_method_set_recovery_key(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return take_key(m, userdata, fleet_set_recovery_key, MESSAGE_RECOVERY_KEY_MADE,
                    "a recovery key for the vault is made", error);
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
    r = fleet_backup(b->fleet, fd, b->caller, &job, &e);
    if (r < 0)
        return bus_error_set(error, r, &e);
    job_object_path(job, path);
    return sd_bus_reply_method_return(m, "o", path);
}
