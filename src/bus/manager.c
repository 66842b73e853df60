/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"
#include "bus/methods.h"
#include "doctor/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list_options {
    const char *after;
    uint32_t limit;
};

static int take_list_option(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    struct list_options *options = userdata;

    if (strcmp(key, "after") == 0)
        return sd_bus_message_read(m, "v", "s", &options->after);
    if (strcmp(key, "limit") == 0)
        return sd_bus_message_read(m, "v", "u", &options->limit);
    return -ENOENT;
}

static int append_device(struct bus *b, sd_bus_message *reply, struct device *d)
{
    _cleanup_free_ char *path = NULL;
    int r = device_object_path(device_id(d), &path);

    device_object_shown(b, device_id(d), "Driver", device_driver(d));
    device_object_shown(b, device_id(d), "Uplink", device_uplink(d));
    device_object_shown(b, device_id(d), "State", device_state_name(device_state(d)));
    return r < 0 ? r
                 : sd_bus_message_append(reply, "(sosss)", device_id(d), path, device_driver(d), device_uplink(d),
                                         device_state_name(device_state(d)));
}

static int append_sensor(struct bus *b, sd_bus_message *reply, struct device *d)
{
    char buffer[ERROR_TEXT_MAX];
    const char *state = sensor_state_name(device_sensor_state(d));
    const char *reason = device_sensor_reason(d, buffer, sizeof(buffer));

    device_object_shown(b, device_id(d), "SensorState", state);
    device_object_shown(b, device_id(d), "SensorReason", reason);
    return sd_bus_message_append(reply, "(sss)", device_id(d), state, reason);
}

/* A page of devices, a row each. */
static int reply_page(sd_bus_message *m, struct bus *b, const char *row,
                      int (*append)(struct bus *b, sd_bus_message *reply, struct device *d), sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    struct list_options options = {.limit = LIST_DEVICES_MAX};
    struct device *d;
    int r = bus_read_options(m, take_list_option, &options, error);

    if (r < 0)
        return r;
    if (options.limit == 0 || options.limit > LIST_DEVICES_MAX)
        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "limit must be 1 to %d, it is %u", LIST_DEVICES_MAX,
                                 options.limit);
    r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', row);
    d = fleet_next(b->fleet, options.after);
    for (uint32_t i = 0; r >= 0 && d && i < options.limit; i++) {
        r = append(b, reply, d);
        d = fleet_next(b->fleet, device_id(d));
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_devices(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return reply_page(m, userdata, "(sosss)", append_device, error);
}

static int method_list_sensors(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return reply_page(m, userdata, "(sss)", append_sensor, error);
}

static int reply_device_path(sd_bus_message *m, struct device *d)
{
    _cleanup_free_ char *path = NULL;
    int r = device_object_path(device_id(d), &path);

    return r < 0 ? r : sd_bus_reply_method_return(m, "o", path);
}

struct absent {
    const char *id;
    char why[ERROR_TEXT_MAX];
    uint64_t samples; /* which wait for it */
};

/* Files are named after their devices, if their writers wish. */
static void look_for_file(const struct mistake *mistake, void *userdata)
{
    struct absent *a = userdata;
    const char *name = strrchr(mistake->file, '/') ? strrchr(mistake->file, '/') + 1 : mistake->file;
    size_t n = strlen(a->id);

    if (!a->why[0] && strncmp(name, a->id, n) == 0 && strcmp(name + n, ".json") == 0)
        mistake_format(mistake, a->why, sizeof(a->why));
}

static void look_for_samples(const char *id, uint64_t samples, void *userdata)
{
    struct absent *a = userdata;

    if (strcmp(id, a->id) == 0)
        a->samples = samples;
}

/* A device whose file has a mistake is not there either, and somebody asks for it who does not know. */
static int no_such_device(struct bus *b, const char *id, sd_bus_error *error)
{
    struct absent a = {.id = id};

    fleet_mistakes(b->fleet, look_for_file, &a);
    if (a.why[0])
        return sd_bus_error_setf(error, ERROR_NO_SUCH_DEVICE, "there is no device '%s': its file was not loaded: %s",
                                 id, a.why);
    fleet_orphans(b->fleet, look_for_samples, &a);
    if (a.samples > 0)
        return sd_bus_error_setf(error, ERROR_NO_SUCH_DEVICE,
                                 "there is no device '%s': %" PRIu64 " samples wait for it, and no file configures it",
                                 id, a.samples);
    return sd_bus_error_setf(error, ERROR_NO_SUCH_DEVICE, "there is no device '%s'", id);
}

static int method_get_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct device *d;
    const char *id;
    int r = sd_bus_message_read(m, "s", &id);

    if (r < 0)
        return r;
    d = fleet_find(b->fleet, id);
    return d ? reply_device_path(m, d) : no_such_device(b, id, error);
}

static int take_config(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    return strcmp(key, "config") == 0 ? sd_bus_message_read(m, "v", "s", userdata) : -ENOENT;
}

static void on_added(int r, struct device *d, const struct error *e, void *userdata)
{
    sd_bus_message *m = userdata;

    if (r < 0 || reply_device_path(m, d) < 0)
        bus_reply(m, r < 0 ? r : -ENOMEM, e);
    sd_bus_message_unref(m);
}

static int method_add_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    const char *id, *config = NULL;
    struct error e = {0};
    int r = policy_check(b, m, ACTION_MANAGE_DEVICES, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = sd_bus_message_read(m, "s", &id);
    if (r >= 0)
        r = bus_read_options(m, take_config, &config, error);
    if (r < 0)
        return r;
    if (!config)
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "the option config, the device file's text, is missing");
    r = fleet_add_device(b->fleet, id, config, on_added, sd_bus_message_ref(m), &e);
    return r < 0 ? bus_not_begun(m, r, &e, error) : 1;
}

struct removal {
    bool keep, force;
};

static int take_removal(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    struct removal *removal = userdata;

    return strcmp(key, "keep") == 0 ? bus_take_flag(m, key, "keep", &removal->keep)
                                    : bus_take_flag(m, key, "force", &removal->force);
}

static const char *removal_text(const struct removal *removal)
{
    return removal->keep    ? "it is removed, its keys are kept"
           : removal->force ? "it is removed, its keys are forgotten here whatever stands at the cloud"
                            : "it is removed, with its keys";
}

static int method_remove_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct audited *audited;
    struct error e = {0};
    struct removal removal = {0};
    const char *id;
    int r = policy_check(b, m, ACTION_MANAGE_DEVICES, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = sd_bus_message_read(m, "s", &id);
    if (r >= 0)
        r = bus_read_options(m, take_removal, &removal, error);
    if (r < 0)
        return r;
    if (removal.keep && removal.force)
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                "keep and force: either its keys are kept, or forgotten");
    audited = audited_new(b, m, MESSAGE_DEVICE_REMOVED, id, "%s", removal_text(&removal));
    r = audited ? fleet_remove_device(b->fleet, id, removal.keep, removal.force, audited_done, audited, &e) : -ENOMEM;
    return r < 0 ? audited_not_begun(audited, r, &e, error) : 1;
}

static int method_rotate_all(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct error e = {0};
    struct job *job;
    bool compromised = false;
    char path[64];
    int r = policy_check(b, m, ACTION_ROTATE, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = bus_read_options(m, bus_take_compromised, &compromised, error);
    if (r < 0)
        return r;
    r = fleet_rotate_all(b->fleet, compromised, &job, &e);
    if (r < 0)
        return bus_error_set(error, r, &e);
    log_audit(LOG_NOTICE, MESSAGE_ROTATION_ALL_ASKED, NULL, b->caller, "new keys are asked for, for all devices%s",
              compromised ? ": the present ones are compromised" : "");
    job_object_path(job, path);
    return sd_bus_reply_method_return(m, "o", path);
}

static int method_verify_vault(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct error e = {0};
    struct job *job;
    char path[64];
    int r = policy_check(b, m, ACTION_MANAGE_KEYS, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = fleet_verify_vault(b->fleet, &job, &e);
    if (r < 0)
        return bus_error_set(error, r, &e);
    job_object_path(job, path);
    return sd_bus_reply_method_return(m, "o", path);
}

static int method_subscribe(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    int r = policy_check(b, m, ACTION_MONITOR, error);

    return r <= 0 ? (r < 0 ? r : 1) : samples_subscribe(b, m, error);
}

static int method_unsubscribe(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return samples_unsubscribe(userdata, m);
}

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct error e = {0};
    int r = policy_check(b, m, ACTION_MANAGE_DEVICES, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = fleet_reload(b->fleet, bus_done, sd_bus_message_ref(m), &e);
    return r < 0 ? bus_not_begun(m, r, &e, error) : 1;
}

/* ── Properties ── */

static int get_total(sd_bus *connection, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct fleet_totals totals;

    fleet_totals(b->fleet, &totals);
    if (strcmp(property, "Spooled") == 0)
        return sd_bus_message_append(reply, "t", totals.spooled);
    if (strcmp(property, "SpoolHours") == 0)
        return sd_bus_message_append(reply, "d", totals.spool_hours);
    if (strcmp(property, "SpoolProblem") == 0)
        return sd_bus_message_append(reply, "s", totals.spool_problem);
    return sd_bus_message_append(reply, "u", strcmp(property, "Online") == 0 ? totals.online : totals.devices);
}

static int get_text(sd_bus *connection, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;

    char problem[CHECK_PROBLEM_TEXT];

    if (strcmp(property, "Version") == 0)
        return sd_bus_message_append(reply, "s", GATEHOUSE_VERSION);
    if (strcmp(property, "Problem") == 0)
        return sd_bus_message_append(reply, "s", doctor_problem(b->fleet, problem, sizeof(problem)));
    if (strcmp(property, "ClockProblem") == 0)
        return sd_bus_message_append(reply, "s", fleet_clock_problem(b->fleet, problem, sizeof(problem)));
    return sd_bus_message_append(reply, "s", vault_durable(fleet_vault(b->fleet), NULL) ? "open" : "volatile");
}

static int get_drivers(sd_bus *connection, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct link_driver *driver = NULL;
    int r = sd_bus_message_open_container(reply, 'a', "(ssss)");

    while (r >= 0 && (driver = link_host_next_driver(fleet_link(b->fleet), driver)))
        r = sd_bus_message_append(reply, "(ssss)", link_driver_name(driver), link_driver_version(driver),
                                  link_driver_connected(driver) ? "connected" : "away", link_driver_last_error(driver));
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void append_mistake(const struct mistake *mistake, void *userdata)
{
    (void)sd_bus_message_append(userdata, "(suus)", mistake->file, mistake->line, mistake->column, mistake->text);
}

static void count_mistake(const struct mistake *mistake, void *userdata)
{
    ++*(size_t *)userdata;
}

static int get_mistakes(sd_bus *connection, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    size_t listed = 0, all;
    char more[64];
    int r = sd_bus_message_open_container(reply, 'a', "(suus)");

    if (r < 0)
        return r;
    all = fleet_mistakes(b->fleet, count_mistake, &listed);
    fleet_mistakes(b->fleet, append_mistake, reply);
    snprintf(more, sizeof(more), "+%zu more", all - listed);
    if (all > listed)
        r = sd_bus_message_append(reply, "(suus)", "", 0, 0, more);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* How many there is room for yet, and where. */
struct orphans {
    sd_bus_message *reply;
    unsigned left;
    int r;
};

static void append_orphan(const char *id, uint64_t samples, void *userdata)
{
    struct orphans *o = userdata;

    if (o->r >= 0 && o->left > 0) {
        o->left--;
        o->r = sd_bus_message_append(o->reply, "(st)", id, samples);
    }
}

static int get_orphans(sd_bus *connection, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct orphans o = {reply, SPOOL_ORPHANS_SHOWN, sd_bus_message_open_container(reply, 'a', "(st)")};

    if (o.r >= 0)
        fleet_orphans(b->fleet, append_orphan, &o);
    return o.r < 0 ? o.r : sd_bus_message_close_container(reply);
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define ANYONE SD_BUS_VTABLE_UNPRIVILEGED /* who may is decided by policy_check, not by sd-bus's own rule */

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD_WITH_ARGS("ListDevices", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a(sosss)", devices),
                            method_list_devices, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ListSensors", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a(sss)", sensors),
                            method_list_sensors, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("GetSummary", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", summary), summary_method_get, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("GetDevice", SD_BUS_ARGS("s", id), SD_BUS_RESULT("o", device), method_get_device, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("AddDevice", SD_BUS_ARGS("s", id, "a{sv}", options), SD_BUS_RESULT("o", device),
                            method_add_device, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("RemoveDevice", SD_BUS_ARGS("s", id, "a{sv}", options), SD_BUS_NO_RESULT,
                            method_remove_device, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("RotateAll", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), method_rotate_all,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Provision", SD_BUS_ARGS("h", list, "a{sv}", options), SD_BUS_RESULT("o", job),
                            provision_call, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Export", SD_BUS_ARGS("s", format, "h", list, "a{sv}", options), SD_BUS_NO_RESULT,
                            export_call, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Check", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), check_method, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Scan", SD_BUS_ARGS("s", driver, "a{sv}", options), SD_BUS_RESULT("o", job),
                            look_method_scan, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ReadRaw", SD_BUS_ARGS("s", driver, "a{sv}", options), SD_BUS_RESULT("av", values),
                            look_method_read_raw, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Quiesce", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), quiesce_method, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("VerifyVault", SD_BUS_NO_ARGS, SD_BUS_RESULT("o", job), method_verify_vault, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Backup", SD_BUS_ARGS("h", file, "a{sv}", options), SD_BUS_RESULT("o", job),
                            vault_method_backup, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Rekey", SD_BUS_ARGS("h", keyfile), SD_BUS_NO_RESULT, vault_method_rekey, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("SetRecoveryKey", SD_BUS_ARGS("h", key), SD_BUS_NO_RESULT, vault_method_set_recovery_key,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_ARGS("as", devices), SD_BUS_NO_RESULT, method_subscribe, ANYONE),
    SD_BUS_METHOD("Unsubscribe", NULL, NULL, method_unsubscribe, ANYONE),
    SD_BUS_METHOD("Reload", NULL, NULL, method_reload, ANYONE),
    SD_BUS_PROPERTY("Version", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("VaultState", "s", get_text, 0, CHANGES),
    SD_BUS_PROPERTY("Devices", "u", get_total, 0, CHANGES),
    SD_BUS_PROPERTY("Online", "u", get_total, 0, CHANGES),
    SD_BUS_PROPERTY("Spooled", "t", get_total, 0, 0),
    SD_BUS_PROPERTY("SpoolHours", "d", get_total, 0, 0),
    SD_BUS_PROPERTY("SpoolProblem", "s", get_total, 0, 0),
    SD_BUS_PROPERTY("ClockProblem", "s", get_text, 0, 0),
    SD_BUS_PROPERTY("Problem", "s", get_text, 0, 0),
    SD_BUS_PROPERTY("Delivered", "t", counters_get, 0, 0),
    SD_BUS_PROPERTY("Dropped", "t", counters_get, 0, 0),
    SD_BUS_PROPERTY("Rejected", "t", counters_get, 0, 0),
    SD_BUS_PROPERTY("RotationStates", "a{su}", counters_get, 0, 0),
    SD_BUS_PROPERTY("RotationsEnded", "a{st}", counters_get, 0, 0),
    SD_BUS_PROPERTY("Orphans", "a(st)", get_orphans, 0, 0),
    SD_BUS_PROPERTY("Drivers", "a(ssss)", get_drivers, 0, CHANGES),
    SD_BUS_PROPERTY("Mistakes", "a(suus)", get_mistakes, 0, CHANGES),
    SD_BUS_SIGNAL_WITH_ARGS("RotationFinished", SD_BUS_ARGS("s", device, "s", outcome, "s", reason), 0),
    SD_BUS_SIGNAL_WITH_ARGS("Sample", SD_BUS_ARGS("s", device, "s", point, "t", time, "v", value, "s", unit), 0),
    SD_BUS_SIGNAL_WITH_ARGS("Lagged", SD_BUS_ARGS("t", samples), 0),
    SD_BUS_VTABLE_END,
};

/* ── LogControl1 (org.freedesktop.LogControl1(5)) ── */

static const char *const levels[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};

static int get_log(sd_bus *connection, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const char *text = "gatehoused";

    if (strcmp(property, "LogLevel") == 0)
        text = levels[log_level()];
    else if (strcmp(property, "LogTarget") == 0)
        text = getenv("JOURNAL_STREAM") ? "journal" : "console";
    return sd_bus_message_append(reply, "s", text);
}

static int set_log_level(sd_bus *connection, const char *path, const char *interface, const char *property,
                         sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *text;
    int r = sd_bus_message_read(m, "s", &text);

    if (r < 0)
        return r;
    for (int i = 0; i < (int)ELEMENTSOF(levels); i++)
        if (strcmp(levels[i], text) == 0) {
            log_set_level(i);
            return 0;
        }
    return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "there is no log level '%s'", text);
}

static int set_log_target(sd_bus *connection, const char *path, const char *interface, const char *property,
                          sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return sd_bus_error_set(error, SD_BUS_ERROR_NOT_SUPPORTED,
                            "the target follows standard error: the journal under systemd, the console by hand");
}

/* A setter cannot answer later, so its caller is looked at before it is called. (Left to sd-bus's own rule, the bus
 * would be asked, and the loop wait for the answer.) */
static int on_log_call(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int r;

    if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Set"))
        return 0;
    r = policy_check(userdata, m, ACTION_SET_LOG_LEVEL, error);
    return r < 0 ? r : r == 0;
}

static const sd_bus_vtable log_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_log, set_log_level, 0, ANYONE),
    SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_log, set_log_target, 0, ANYONE),
    SD_BUS_PROPERTY("SyslogIdentifier", "s", get_log, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END,
};

int manager_register(struct bus *b)
{
    int r = sd_bus_add_object_vtable(b->connection, NULL, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, vtable, b);

    if (r >= 0)
        r = sd_bus_add_object_manager(b->connection, NULL, BUS_PATH_MANAGER);
    if (r >= 0)
        r = sd_bus_add_object(b->connection, NULL, "/org/freedesktop/LogControl1", on_log_call, b);
    if (r >= 0)
        r = sd_bus_add_object_vtable(b->connection, NULL, "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1",
                                     log_vtable, b);
    return r;
}
