/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/bus.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "bus/door.h"
#include "bus/internal.h"
#include "bus/timedate.h"
#include "doctor/doctor.h"

#include <errno.h>
#include <stdlib.h>

static void connect_again(struct bus *b);

/* ── What the fleet tells ── */

static void on_device_added(void *userdata, struct device *d)
{
    _cleanup_free_ char *path = NULL;
    struct bus *b = userdata;

    if (b->connection && device_object_path(device_id(d), &path) >= 0)
        if (sd_bus_emit_object_added(b->connection, path) >= 0)
            changed_added(b, d);
}

static void on_device_removed(void *userdata, struct device *d)
{
    _cleanup_free_ char *path = NULL;
    struct bus *b = userdata;

    changed_forget(b, d);
    managed_device_gone(b);
    if (b->connection && device_object_path(device_id(d), &path) >= 0)
        sd_bus_emit_interfaces_removed(b->connection, path, BUS_INTERFACE_DEVICE, NULL);
}

static void on_device_changed(void *userdata, struct device *d)
{
    changed_mark(userdata, d);
}

static void on_fleet_changed(void *userdata)
{
    changed_mark_fleet(userdata);
}

static void on_rotation_finished(void *userdata, struct device *d, const char *outcome, const char *reason)
{
    struct bus *b = userdata;

    if (b->connection)
        sd_bus_emit_signal(b->connection, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "RotationFinished", "sss",
                           device_id(d), outcome, reason);
}

static void on_sample(void *userdata, struct device *d, const struct sample *sample)
{
    samples_send(userdata, d, sample);
}

static void on_job_added(void *userdata, struct job *job)
{
    struct bus *b = userdata;
    char path[64];

    job_object_path(job, path);
    if (b->connection)
        sd_bus_emit_object_added(b->connection, path);
}

static void on_job_finished(void *userdata, struct job *job)
{
    struct bus *b = userdata;
    char path[64];

    job_object_path(job, path);
    if (!b->connection)
        return;
    sd_bus_emit_properties_changed(b->connection, path, BUS_INTERFACE_JOB, "State", NULL);
    sd_bus_emit_signal(b->connection, path, BUS_INTERFACE_JOB, "Finished", "s", job_state_name(job->state));
}

static void on_job_removed(void *userdata, struct job *job)
{
    struct bus *b = userdata;
    char path[64];

    job_object_path(job, path);
    if (b->connection)
        sd_bus_emit_interfaces_removed(b->connection, path, BUS_INTERFACE_JOB, NULL);
}

/* ── Until the clock can be trusted ── */

static void on_timedate(bool synchronized, void *userdata)
{
    struct bus *b = userdata;

    b->clock_question = sd_bus_slot_unref(b->clock_question);
    if (synchronized)
        clock_set_synchronized();
}

static int on_clock(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct bus *b = userdata;

    if (clock_synchronized())
        return 0;
    if (b->connection && !b->clock_question)
        (void)timedate_ask(b->connection, on_timedate, b, &b->clock_question);
    sd_event_source_set_time(source, clock_boottime() + BUS_CLOCK_INTERVAL);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ── The connection ── */

static void disconnect(struct bus *b)
{
    b->clock_question = sd_bus_slot_unref(b->clock_question);
    policy_done(b, false);
    samples_done(b);
    managed_reset(b);
    changed_reset(b);
    door_close(b);
}

static void retry_later(struct bus *b)
{
    sd_event_source_set_time(b->reconnect, clock_boottime() + BUS_RECONNECT_INTERVAL);
    sd_event_source_set_enabled(b->reconnect, SD_EVENT_ONESHOT);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;

    log_warning(NULL, "the system bus is gone; sessions go on, connecting to it again every second");
    /* Not from within the connection's own dispatch. */
    retry_later(b);
    return 1;
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    uint32_t answer = 0;

    /* The bus went away, or is too busy to answer: no reason to end. */
    if (sd_bus_message_is_method_error(m, SD_BUS_ERROR_NO_REPLY) ||
        sd_bus_message_is_method_error(m, SD_BUS_ERROR_TIMEOUT) ||
        sd_bus_message_is_method_error(m, SD_BUS_ERROR_DISCONNECTED)) {
        retry_later(b);
        return 1;
    }
    if (sd_bus_message_is_method_error(m, NULL)) {
        b->ops.name_lost(b->ops.userdata, sd_bus_message_get_error(m)->message);
        return 1;
    }
    if (sd_bus_message_read(m, "u", &answer) >= 0 && (answer == 1 || answer == 4)) {
        b->ops.ready(b->ops.userdata);
        return 1;
    }
    b->ops.name_lost(b->ops.userdata, "another process has it");
    return 1;
}

static int set_up(struct bus *b)
{
    int r = sd_bus_set_exit_on_disconnect(b->connection, false);

    if (r >= 0)
        r = limits_register(b);
    if (r >= 0)
        r = managed_register(b);
    if (r >= 0)
        r = manager_register(b);
    if (r >= 0)
        r = device_object_register(b);
    if (r >= 0)
        r = job_object_register(b);
    if (r >= 0)
        r = sd_bus_match_signal_async(b->connection, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, b);
    if (r >= 0)
        r = sd_bus_attach_event(b->connection, b->event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_bus_request_name_async(b->connection, NULL, BUS_NAME, 0, on_name, b);
    return r;
}

static void on_caller_gone(struct bus *b, const char *name)
{
    samples_gone(b, name);
    managed_gone(b, name);
}

static void connect_again(struct bus *b)
{
    static const struct door_ops ops = {.cost = limits_cost, .gone = on_caller_gone, .ponged = samples_ponged};
    int r;

    disconnect(b);
    r = door_open(b, &ops);
    if (r >= 0)
        r = set_up(b);
    if (r < 0) {
        log_debug(NULL, "cannot connect to the system bus: %s", strerrordesc_np(-r));
        disconnect(b);
        retry_later(b);
    }
}

static int on_reconnect(sd_event_source *source, uint64_t usec, void *userdata)
{
    connect_again(userdata);
    return 0;
}

int bus_new(sd_event *event, struct fleet *fleet, const struct bus_ops *ops, struct bus **ret)
{
    _cleanup_(bus_freep) struct bus *b = calloc(1, sizeof(*b));
    int r;

    if (!b)
        return -ENOMEM;
    *b = (struct bus){.event = sd_event_ref(event), .fleet = fleet, .ops = *ops};
    r = changed_init(b);
    if (r >= 0)
        r = policy_init(b);
    if (r >= 0)
        r = managed_init(b);
    if (r >= 0)
        r = doctor_new(event, fleet, &b->doctor);
    if (r >= 0)
        r = sd_event_add_time(event, &b->reconnect, CLOCK_BOOTTIME, 0, 0, on_reconnect, b);
    if (r >= 0)
        r = sd_event_add_time(event, &b->clock_timer, CLOCK_BOOTTIME, 0, USEC_PER_SEC, on_clock, b);
    if (r < 0)
        return r;
    fleet_listen(fleet, &(struct fleet_listener){
                            .device_added = on_device_added,
                            .device_removed = on_device_removed,
                            .device_changed = on_device_changed,
                            .fleet_changed = on_fleet_changed,
                            .rotation_finished = on_rotation_finished,
                            .sample = on_sample,
                            .userdata = b,
                        });
    jobs_listen(fleet_jobs(fleet), &(struct jobs_listener){
                                       .added = on_job_added,
                                       .finished = on_job_finished,
                                       .removed = on_job_removed,
                                       .userdata = b,
                                   });
    *ret = TAKE_PTR(b);
    return 0;
}

struct bus *bus_free(struct bus *b)
{
    if (!b)
        return NULL;
    if (b->fleet) {
        fleet_listen(b->fleet, NULL);
        jobs_listen(fleet_jobs(b->fleet), NULL);
    }
    disconnect(b);
    policy_done(b, true);
    changed_done(b);
    managed_done(b);
    doctor_free(b->doctor);
    sd_event_source_disable_unref(b->reconnect);
    sd_event_source_disable_unref(b->clock_timer);
    sd_event_unref(b->event);
    free(b);
    return NULL;
}
