/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scan and ReadRaw: the options are the driver's, and so is what comes of them. */
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/names.h"
#include "bus/methods.h"
#include "bus/value.h"

#include <errno.h>
#include <string.h>

static int take_option(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    struct sample_value value;
    json_object *member;

    if (!id_valid(key))
        return -ENOENT;
    if (bus_read_value(m, &value) < 0)
        return -ENXIO;
    member = json_of_value(&value);
    if (!member || json_object_object_add(userdata, key, member) < 0) {
        json_object_put(member);
        return -ENOMEM;
    }
    return 0;
}

/* Lets the caller through, and reads what both calls have. 1: go on. */
static int begin(sd_bus_message *m, struct bus *b, const char **ret_driver, json_object **ret_options,
                 sd_bus_error *error)
{
    _cleanup_json_ json_object *options = NULL;
    int r = policy_check(b, m, ACTION_MANAGE_DEVICES, error);

    if (r <= 0)
        return r;
    options = json_object_new_object();
    if (!options)
        return -ENOMEM;
    r = sd_bus_message_read(m, "s", ret_driver);
    if (r >= 0)
        r = bus_read_options(m, take_option, options, error);
    if (r < 0)
        return r;
    *ret_options = TAKE_PTR(options);
    return 1;
}

int look_method_scan(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_json_ json_object *options = NULL;
    struct bus *b = userdata;
    struct error e = {0};
    const char *driver;
    struct job *job;
    char path[64];
    int r = begin(m, b, &driver, &options, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = fleet_scan(b->fleet, driver, options, &job, &e);
    if (r < 0)
        return bus_error_set(error, r, &e);
    log_notice(NULL, "job %u: scan by the driver %s, asked for by uid %u", job->number, driver, b->caller);
    job_object_path(job, path);
    return sd_bus_reply_method_return(m, "o", path);
}

static void on_values(int r, const struct sample_value *values, size_t n, const struct error *e, void *userdata)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    sd_bus_message *m = userdata;

    if (r >= 0)
        r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "v");
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = bus_append_value(reply, &values[i]);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    if (r < 0)
        bus_reply(m, r, e);
    sd_bus_message_unref(m);
}

int look_method_read_raw(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_json_ json_object *options = NULL;
    struct bus *b = userdata;
    struct error e = {0};
    const char *driver;
    int r = begin(m, b, &driver, &options, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = fleet_read_raw(b->fleet, driver, options, on_values, sd_bus_message_ref(m), &e);
    return r < 0 ? bus_not_begun(m, r, &e, error) : 1;
}
