/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor/doctor.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/names.h"
#include "check/elf.h"
#include "check/findings.h"
#include "doctor/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EDIT "sudoedit %s && sudo gatehousectl reload"

struct doctor {
    sd_event *event;
    struct fleet *fleet;
    sd_event_source *work, *patience;
    struct job *job; /* NULL: no check is under way */
    struct findings findings;
    char *after;    /* the last device that was looked at */
    uint64_t until; /* CLOCK_BOOTTIME: connecting devices are waited for */
};

/* ── The fleet as a whole ── */

static void on_mistake(const struct mistake *mistake, void *userdata)
{
    struct findings *f = userdata;
    char place[ERROR_TEXT_MAX];

    if (mistake->line > 0)
        snprintf(place, sizeof(place), "%s:%u:%u", mistake->file, mistake->line, mistake->column);
    else
        snprintf(place, sizeof(place), "%s", mistake->file);
    finding_mend_words(f, findings_add(f, FINDING_BAD_SETTING, place, "%s", mistake->text), EDIT, mistake->file);
}

static void on_orphan(const char *id, uint64_t samples, void *userdata)
{
    struct findings *f = userdata;

    finding_mend(f,
                 findings_add(f, FINDING_SAMPLES_ORPHANED, id,
                              "%" PRIu64 " samples wait for it, which is not configured or was not loaded", samples),
                 "gatehousectl reload");
}

/* By hand plugins may be anywhere, and the directory is not there. */
static bool is_missing(const char *directory, const char *path)
{
    return access(directory, F_OK) == 0 && access(path, F_OK) < 0 && errno == ENOENT;
}

/* A name of a package's, which is part of a command. */
static const char *package_of(const char *driver)
{
    return strcmp(driver, "sim") == 0 ? "apt install %sgatehouse-devcloud" : "apt install %sgatehouse-plugin-%s";
}

/* Why the plugin cannot be loaded, as far as its header tells; NULL: nothing speaks against it. */
static const char *misfit(const char *path)
{
    char own[ELF_HEAD_SIZE], head[ELF_HEAD_SIZE];
    _cleanup_close_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    ssize_t n;

    if (self < 0 || fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        pread(self, own, sizeof(own), 0) != sizeof(own) || (n = pread(fd, head, sizeof(head), 0)) < 0)
        return NULL;
    return elf_misfit(own, head, (size_t)n, (uint64_t)st.st_size);
}

static void look_at_driver(const char *directory, const struct link_driver *driver, struct findings *f)
{
    const char *name = link_driver_name(driver), *said = link_driver_last_error(driver), *unfit;
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s.so", directory, name) >= (int)sizeof(path))
        return;
    if (is_missing(directory, path))
        finding_mend(f, findings_add(f, FINDING_DRIVER_MISSING, name, "it is not installed: there is no %s", path),
                     package_of(name), "", name);
    else if ((unfit = misfit(path)))
        finding_mend(f, findings_add(f, FINDING_PLUGIN_ABI, name, "cannot load the plugin %s: %s", path, unfit),
                     package_of(name), "--reinstall gatehouse ", name);
    else
        finding_mend(f,
                     findings_add(f, FINDING_DRIVER_AWAY, name, "it is not connected%s%s", said[0] ? ": " : "",
                                  said[0] ? said : ", and was not since the agent started"),
                     "systemctl restart gatehouse-driver@%s", name);
}

static void look_at_drivers(struct fleet *fleet, struct findings *f)
{
    struct link_driver *driver = NULL;

    while ((driver = link_host_next_driver(fleet_link(fleet), driver)))
        if (!link_driver_connected(driver))
            look_at_driver(fleet_plugin_dir(fleet), driver, f);
}

static void look_at_fleet(struct fleet *fleet, struct findings *f)
{
    struct fleet_totals totals;
    char problem[ERROR_TEXT_MAX];
    const char *reason;

    fleet_totals(fleet, &totals);
    fleet_mistakes(fleet, on_mistake, f);
    if (!vault_durable(fleet_vault(fleet), &reason))
        finding_mend(f, findings_add(f, FINDING_STATE_VOLATILE, "", "%s", reason), "%s",
                     finding_kinds[FINDING_STATE_VOLATILE].mend);
    if (vault_put_back(fleet_vault(fleet)))
        finding_mend(f, findings_add(f, FINDING_KEY_DAMAGED, "", "%s", vault_put_back(fleet_vault(fleet))),
                     "gatehousectl vault verify");
    if (totals.spool_problem[0])
        finding_mend_words(f, findings_add(f, FINDING_SPOOL_FAILS, "", "%s", totals.spool_problem), "df -h %s",
                           fleet_state_dir(fleet));
    if (fleet_clock_problem(fleet, problem, sizeof(problem))[0])
        finding_mend(f, findings_add(f, FINDING_CLOCK_WRONG, "", "%s", problem), "timedatectl set-ntp true");
    fleet_orphans(fleet, on_orphan, f);
    look_at_drivers(fleet, f);
}

/* ── The devices ── */

static void look_at_device(struct fleet *fleet, struct device *device, struct findings *f)
{
    const struct config *config = fleet_config(fleet);
    struct device_status status;
    struct judged judged = {.status = &status, .config_file = config->file};

    device_status(device, &status);
    judged.device = config_device(config, status.id);
    judged.uplink = config_uplink(config, status.uplink);
    if (!judged.device || !judged.uplink)
        return;
    if (judge_wants_shape(&status))
        judged.shape =
            vault_shape(fleet_vault(fleet), vault_find(fleet_vault(fleet), status.id, status.uplink), VAULT_MAIN);
    judge_device(&judged, f);
}

static void finish(struct doctor *d, enum job_state state)
{
    struct job *job = TAKE_PTR(d->job);

    sd_event_source_set_enabled(d->work, SD_EVENT_OFF);
    sd_event_source_set_enabled(d->patience, SD_EVENT_OFF);
    findings_close(&d->findings);
    for (size_t i = 0; state == JOB_DONE && i < d->findings.n; i++) {
        _cleanup_json_ json_object *o = finding_json(&d->findings.list[i]);

        if (o)
            job_found(job, o);
    }
    findings_done(&d->findings);
    free(TAKE_PTR(d->after));
    job_finish(fleet_jobs(d->fleet), job, state);
}

/* A device whose first attempt is under way: what comes of it is worth a moment. */
static bool worth_waiting(const struct doctor *d, const struct device *device)
{
    struct device_status status;

    if (device_state(device) != DEVICE_CONNECTING || clock_boottime() >= d->until)
        return false;
    device_status(device, &status);
    return status.trouble.kind == UPLINK_TROUBLE_NONE;
}

static int on_work(sd_event_source *source, void *userdata)
{
    struct doctor *d = userdata;

    for (unsigned n = 0; n < CHECK_DEVICES_PER_TURN; n++) {
        struct device *device = fleet_next(d->fleet, d->after);
        char *id;

        if (!device) {
            finish(d, JOB_DONE);
            return 0;
        }
        if (worth_waiting(d, device)) {
            timer_rearm(d->patience, clock_boottime() + CHECK_LOOK_AGAIN);
            sd_event_source_set_enabled(d->work, SD_EVENT_OFF);
            return 0;
        }
        look_at_device(d->fleet, device, &d->findings);
        d->job->done++;
        id = strdup(device_id(device));
        if (!id) {
            finish(d, JOB_FAILED);
            return 0;
        }
        free(d->after);
        d->after = id;
    }
    return 0;
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct doctor *d = userdata;

    return sd_event_source_set_enabled(d->work, SD_EVENT_ON);
}

static void cancel(struct job *job, void *userdata)
{
    finish(userdata, JOB_CANCELLED);
}

int doctor_check(struct doctor *d, struct job **ret_job, struct error *e)
{
    int r;

    if (d->job) {
        *ret_job = d->job;
        return 0;
    }
    r = job_new(fleet_jobs(d->fleet), "check", ACTION_MANAGE_DEVICES, (uint32_t)fleet_size(d->fleet), &d->job);
    if (r < 0)
        return error_errno(e, r, "cannot begin a check");
    d->job->cancel = cancel;
    d->job->cancel_userdata = d;
    d->until = clock_boottime() + CHECK_WAIT;
    look_at_fleet(d->fleet, &d->findings);
    sd_event_source_set_enabled(d->work, SD_EVENT_ON);
    *ret_job = d->job;
    return 0;
}

/* ── In one line ── */

static bool looks_bad(const struct device *device)
{
    switch (device_state(device)) {
    case DEVICE_ONLINE:
    case DEVICE_IDLE:
    case DEVICE_DISABLED:
        return sensor_state_bad(device_sensor_state(device));
    case DEVICE_NO_CREDENTIAL:
    case DEVICE_UNREGISTERED:
    case DEVICE_NO_DRIVER:
    case DEVICE_CONNECTING:
    case DEVICE_BACKING_OFF:
    case DEVICE_UNREACHABLE:
    case DEVICE_REFUSED:
    case DEVICE_CONFLICT:
    case DEVICE_RESTORED:
    case DEVICE_DAMAGED:
        return true;
    }
    return false;
}

static bool all_well(struct fleet *fleet)
{
    struct fleet_totals totals;

    fleet_totals(fleet, &totals);
    for (int i = 0; i < SENSOR_STATES; i++)
        if (sensor_state_bad((enum sensor_state)i) && totals.sensors[i] > 0)
            return false;
    return totals.online == totals.devices;
}

/* Bounded in what it costs: all devices' states are cheap, and the words of one are not. */
static void look_at_some(struct fleet *fleet, struct findings *f)
{
    bool small = fleet_size(fleet) <= CHECK_PROBLEM_DEVICES;
    struct device *device = NULL;
    unsigned n = 0;

    if (!small && all_well(fleet))
        return;
    while (n < CHECK_PROBLEM_DEVICES && findings_worst(f) != SEVERITY_ERROR &&
           (device = fleet_next(fleet, device ? device_id(device) : NULL)))
        if (small || looks_bad(device)) {
            look_at_device(fleet, device, f);
            n++;
        }
}

const char *doctor_problem(struct fleet *fleet, char *buffer, size_t size)
{
    struct findings f = {0};

    buffer[0] = 0;
    look_at_fleet(fleet, &f);
    if (findings_worst(&f) != SEVERITY_ERROR)
        look_at_some(fleet, &f);
    findings_close(&f);
    for (size_t i = 0; i < f.n; i++) {
        const struct finding *one = &f.list[i];

        if (finding_kinds[one->id].severity != SEVERITY_ERROR && one->id != FINDING_SAMPLES_ORPHANED)
            continue;
        snprintf(buffer, size, "%s: %s%s%s%s%s", finding_kinds[one->id].name, one->subject, one->subject[0] ? ": " : "",
                 one->cause, one->mend[0] ? "; mend: " : "", one->mend);
        break;
    }
    findings_done(&f);
    for (char *c = buffer; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    return buffer;
}

int doctor_new(sd_event *event, struct fleet *fleet, struct doctor **ret)
{
    _cleanup_(doctor_freep) struct doctor *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return -ENOMEM;
    *d = (struct doctor){.event = sd_event_ref(event), .fleet = fleet};
    r = sd_event_add_defer(event, &d->work, on_work, d);
    if (r >= 0)
        r = sd_event_source_set_enabled(d->work, SD_EVENT_OFF);
    if (r >= 0)
        r = timer_make(event, &d->patience, USEC_PER_MSEC, on_patience, d);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(d);
    return 0;
}

struct doctor *doctor_free(struct doctor *d)
{
    if (!d)
        return NULL;
    if (d->job)
        finish(d, JOB_CANCELLED);
    sd_event_source_disable_unref(d->work);
    sd_event_source_disable_unref(d->patience);
    sd_event_unref(d->event);
    findings_done(&d->findings);
    free(d->after);
    free(d);
    return NULL;
}
