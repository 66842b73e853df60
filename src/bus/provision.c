/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Provision and Export: lists of devices and keys by descriptor. */
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"
#include "bus/methods.h"

#include <errno.h>
#include <string.h>

static int take_bool(sd_bus_message *m, bool *ret)
{
    int flag, r = sd_bus_message_read(m, "v", "b", &flag);

    if (r >= 0)
        *ret = flag != 0;
    return r;
}

struct provision_call {
    struct provision_options options;
    const char *format;
};

static int take_provision_option(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    struct provision_call *call = userdata;

    if (strcmp(key, "format") == 0)
        return sd_bus_message_read(m, "v", "s", &call->format);
    if (strcmp(key, "template") == 0)
        return sd_bus_message_read(m, "v", "s", &call->options.template);
    if (strcmp(key, "registered") == 0)
        return take_bool(m, &call->options.registered);
    if (strcmp(key, "skip") == 0)
        return take_bool(m, &call->options.skip);
    if (strcmp(key, "force") == 0)
        return take_bool(m, &call->options.force);
    return -ENOENT;
}

static int read_format(const char *text, enum list_format *ret, sd_bus_error *error)
{
    int format = list_format_from_string(text);

    if (format < 0)
        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                 "there is no format '%s'; expected csv, mosquitto, emqx, hono or golioth", text);
    *ret = (enum list_format)format;
    return 0;
}

int provision_call(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct provision_call call = {.format = "csv"};
    struct bus *b = userdata;
    struct error e = {0};
    struct job *job;
    char path[64];
    int fd, r = policy_check(b, m, ACTION_MANAGE_KEYS, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = sd_bus_message_read(m, "h", &fd);
    if (r >= 0)
        r = bus_read_options(m, take_provision_option, &call, error);
    if (r >= 0)
        r = read_format(call.format, &call.options.format, error);
    if (r < 0)
        return r;
    r = fleet_provision(b->fleet, fd, &call.options, &job, &e);
    if (r < 0)
        return bus_error_set(error, r, &e);
    job_object_path(job, path);
    log_audit(LOG_NOTICE, MESSAGE_PROVISIONED, NULL, b->caller, "devices are made of a list, as job %u", job->number);
    return sd_bus_reply_method_return(m, "o", path);
}

static int take_export_option(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    return strcmp(key, "uplink") == 0 ? sd_bus_message_read(m, "v", "s", userdata) : -ENOENT;
}

static void on_exported(int r, const struct error *e, void *userdata)
{
    sd_bus_message *m = userdata;

    bus_reply(m, r, e);
    sd_bus_message_unref(m);
}

int export_call(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *format, *uplink = NULL;
    struct bus *b = userdata;
    struct error e = {0};
    enum list_format number = LIST_CSV;
    int fd, r = policy_check(b, m, ACTION_EXPORT_KEYS, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = sd_bus_message_read(m, "sh", &format, &fd);
    if (r >= 0)
        r = bus_read_options(m, take_export_option, &uplink, error);
    if (r >= 0)
        r = read_format(format, &number, error);
    if (r < 0)
        return r;
    r = fleet_export(b->fleet, number, fd, uplink, on_exported, sd_bus_message_ref(m), &e);
    if (r < 0) {
        sd_bus_message_unref(m);
        return bus_error_set(error, r, &e);
    }
    log_audit(LOG_NOTICE, MESSAGE_KEYS_EXPORTED, NULL, b->caller, "the keys of %s%s are exported for %s",
              uplink ? "uplink " : "all devices", uplink ?: "", format);
    return 1;
}
