/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Provision: a list of devices and keys is read twice, a page of rows at a time. The first time each row is judged, and
 * every mistake told; only if there is none the second time begins, in which keys and devices are made. */
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/names.h"
#include "base/prescan.h"
#include "base/text.h"
#include "base/timers.h"
#include "base/worker.h"
#include "device/check.h"
#include "device/fleet.h"
#include "device/job.h"
#include "device/lifetime.h"
#include "device/membership.h"
#include "device/profiles.h"
#include "device/provision-internal.h"
#include "device/summary.h"
#include "device/tasks.h"
#include "payload/profile.h"
#include "registrar/registrar.h"
#include "rotation/carrier.h"
#include "rotation/schedule.h"
#include "spool/spool.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_page(struct provision *p);

static void page_clear(struct provision *p)
{
    for (size_t i = 0; i < LIST_ROWS; i++) {
        config_device_unref(p->page.devices[i]);
        free(p->page.texts[i]);
        p->page.devices[i] = NULL;
        p->page.texts[i] = NULL;
    }
}

static struct provision *provision_free(struct provision *p)
{
    if (!p)
        return NULL;
    page_clear(p);
    provision_check_done(p);
    provision_make_done(p);
    sd_event_source_disable_unref(p->turn);
    list_rows_free(p->page.rows);
    list_reader_free(p->reader);
    json_object_put(p->template);
    free(p);
    return NULL;
}
DEFINE_FREEP(struct provision, provision_free)

/* ── What is told ── */

void provision_mistake(struct provision *p, const struct list_row *row, const char *text)
{
    char reason[ERROR_TEXT_MAX + 32];

    if (p->check.n_mistakes++ >= MISTAKES_MAX)
        return;
    snprintf(reason, sizeof(reason), "row %zu: %s", row->number, text);
    text_trim(reason);
    /* Not the device of a row that may have its columns mixed up. */
    job_note(p->job, row->device && id_valid(row->device) && !row->mistake ? row->device : "", "invalid", reason);
}

/* The vault calls back, and the check of a driver: only then it is gone. */
void provision_left(struct provision *p)
{
    if (!p->fleet && p->make.commits == 0 && !p->page.busy)
        provision_free(p);
}

void provision_end(struct provision *p, int r, const char *why)
{
    struct fleet *f = p->fleet;
    char text[96];

    if (p->check.n_mistakes > MISTAKES_MAX) {
        snprintf(text, sizeof(text), "and %zu mistakes more", p->check.n_mistakes - MISTAKES_MAX);
        job_note(p->job, "", "invalid", text);
    }
    p->job->failed = (uint32_t)p->check.n_mistakes;
    if (r < 0 && why)
        job_note(p->job, "", r == -ECANCELED ? "cancelled" : "failed", why);
    if (r < 0)
        log_notice(NULL, "nothing was provisioned: %s", why ?: "the list has mistakes");
    f->changing = false;
    f->tasks.provision = NULL;
    p->fleet = NULL;
    job_finish(f->jobs, p->job, r == -ECANCELED ? JOB_CANCELLED : r < 0 ? JOB_FAILED : JOB_DONE);
    provision_left(p);
}

/* ── One page, on the worker ── */

/* The device file of a row: the template, over it the row's settings, over them its names. */
static int device_text(struct provision *p, const struct list_row *row, char **ret, struct error *e)
{
    _cleanup_json_ json_object *file = json_object_new_object(), *settings = NULL;
    const char *text;
    int r = 0;

    if (row->settings)
        r = json_parse(row->settings, strlen(row->settings), &settings, e);
    if (r >= 0 && settings && !json_object_is_type(settings, json_type_object))
        r = error_set(e, -EINVAL, "expected a JSON object");
    if (r < 0)
        return error_prefix(e, r, "settings");
    json_object_object_add(file, "device", json_object_new_string(row->device));
    if (row->hardware_id && strcmp(row->hardware_id, row->device) != 0)
        json_object_object_add(file, "hardware_id", json_object_new_string(row->hardware_id));
    for (int i = 0; i < 2; i++) {
        json_object *from = i == 0 ? p->template : settings;

        if (!from)
            continue;
        json_object_object_foreach (from, key, v) {
            if (strcmp(key, "device") == 0 || strcmp(key, "hardware_id") == 0)
                return error_set(e, -EINVAL, "%s: \"%s\" has a column of its own", i == 0 ? "template" : "settings",
                                 key);
            json_object_object_add(file, key, json_object_get(v));
        }
    }
    text = json_object_to_json_string_ext(file, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (!text || asprintf(ret, "%s\n", text) < 0)
        return -ENOMEM;
    return 0;
}

static int parse_device(struct provision *p, size_t i, struct error *e)
{
    const struct list_row *row = &p->page.rows->rows[i];
    _cleanup_free_ char *file = NULL;
    struct mistakes mistakes = {0};
    int r = device_text(p, row, &p->page.texts[i], e);

    if (r >= 0)
        r = config_device_path(&p->fleet->dirs.paths, row->device, &file);
    if (r < 0)
        return r;
    r = config_device_parse(p->fleet->config, file, p->page.texts[i], strlen(p->page.texts[i]), &p->page.devices[i],
                            &mistakes);
    if (r >= 0 && !profiles_take(&p->fleet->profiles, p->fleet->config, p->page.devices[i], &mistakes))
        r = mistakes.failed < 0 ? mistakes.failed : -EBADMSG;
    if (r < 0 && r != -ENOMEM)
        r = error_set(e, -EINVAL, "settings: %s", mistakes.n > 0 ? mistakes.list[0].text : "not a device");
    mistakes_done(&mistakes);
    return r;
}

static const char *wrong_name(const struct list_row *row)
{
    if (!id_valid(row->device))
        return "device: expected " ID_RULE;
    if (row->hardware_id && !id_valid(row->hardware_id))
        return "hardware_id: expected " ID_RULE;
    return NULL;
}

static int parse_row(struct provision *p, size_t i, struct error *e)
{
    struct list_row *row = &p->page.rows->rows[i];
    struct error why = {0};
    const char *wrong;
    int r = 0;

    if (row->mistake)
        return 0;
    wrong = wrong_name(row);
    /* Configured devices stay as they are; the configuration does not change meanwhile. */
    if (!wrong && !config_device(p->fleet->config, row->device)) {
        r = parse_device(p, i, &why);
        wrong = r == -EINVAL ? why.text : NULL;
    }
    if (wrong) {
        row->mistake = strdup(wrong);
        return row->mistake ? 0 : -ENOMEM;
    }
    return r < 0 ? error_errno(e, r, "row %zu", row->number) : 0;
}

static int run_page(void *userdata)
{
    struct provision *p = userdata;
    int r = list_read(p->reader, p->page.rows, &p->error);
    int more = r;

    for (size_t i = 0; r >= 0 && more > 0 && i < p->page.rows->n; i++)
        r = parse_row(p, i, &p->error);
    return r < 0 ? r : more;
}

/* ── Turns of the loop ── */

static void page_done(int r, void *userdata)
{
    struct provision *p = userdata;

    p->page.busy = false;
    if (!p->fleet) {
        provision_left(p);
        return;
    }
    if (p->cancelled || p->fleet->stopping) {
        provision_end(p, -ECANCELED, "cancelled");
        return;
    }
    if (r < 0) {
        provision_end(p, r, p->error.text[0] ? p->error.text : strerrordesc_np(-r));
        return;
    }
    p->page.at = 0;
    provision_next_turn(p);
}

static void read_page(struct provision *p)
{
    int r;

    page_clear(p);
    p->page.busy = true;
    r = workers_submit(p->fleet->pools.bulk, run_page, page_done, p);
    if (r < 0)
        page_done(r, p);
}

static void first_pass_done(struct provision *p)
{
    if (p->check.n_mistakes > 0) {
        provision_end(p, -EINVAL, NULL);
        return;
    }
    provision_check_done(p);
    p->job->total = (uint32_t)p->check.n_rows;
    p->making = true;
    list_reader_rewind(p->reader);
    read_page(p);
}

static void on_plugins(struct mistakes *mistakes, void *userdata)
{
    struct provision *p = userdata;

    p->page.busy = false;
    if (!p->fleet) {
        provision_left(p);
        return;
    }
    for (size_t k = 0; k < mistakes->n; k++)
        for (size_t i = 0; i < p->page.rows->n; i++)
            if (p->page.devices[i] && mistakes->list[k].device &&
                strcmp(p->page.devices[i]->id, mistakes->list[k].device) == 0)
                provision_mistake(p, &p->page.rows->rows[i], mistakes->list[k].text);
    read_page(p);
}

/* Asks the connected drivers about the page's devices; then comes the next page. */
static void ask_plugins(struct provision *p)
{
    struct config_device *devices[LIST_ROWS];
    size_t n = 0;

    for (size_t i = 0; i < p->page.rows->n; i++)
        if (p->page.devices[i])
            devices[n++] = p->page.devices[i];
    p->page.busy = true;
    if (check_devices(p->fleet, devices, n, on_plugins, p) < 0)
        on_plugins(&(struct mistakes){0}, p);
}

static int on_turn(sd_event_source *source, void *userdata)
{
    struct provision *p = userdata;
    size_t until = MIN_OF(p->page.at + PROVISION_PER_TURN, p->page.rows->n);
    int r = 0;

    if (p->make.stored) {
        provision_finish(p);
        return 0;
    }
    for (; r >= 0 && p->page.at < until; p->page.at++)
        if (p->making)
            r = provision_make_row(p, p->page.at);
        else
            provision_check_row(p, p->page.at);
    if (r < 0)
        provision_end(p, r, p->error.text);
    else if (p->page.at < p->page.rows->n)
        provision_next_turn(p);
    else if (p->page.rows->n == 0 && p->making)
        provision_finish(p);
    else if (p->page.rows->n == 0)
        first_pass_done(p);
    else if (p->making)
        read_page(p);
    else
        ask_plugins(p);
    return 0;
}

void provision_next_turn(struct provision *p)
{
    sd_event_source_set_enabled(p->turn, SD_EVENT_ONESHOT);
}

/* ── Beginning ── */

struct device *provision_existing(struct provision *p, const struct list_row *row)
{
    return fleet_find(p->fleet, row->device);
}

const struct config_uplink *provision_uplink(struct provision *p, size_t i)
{
    const struct device *d = p->page.devices[i] ? NULL : provision_existing(p, &p->page.rows->rows[i]);

    return config_uplink(p->fleet->config, d ? d->config->uplink : p->page.devices[i]->uplink);
}

int provision_identity(const struct config_uplink *u, const char *identity, char ret[IDENTITY_MAX + 1])
{
    bool bare = u->registrar.realm && !strchr(identity, '@');
    int n = snprintf(ret, IDENTITY_MAX + 1, "%s%s%s", identity, bare ? "@" : "", bare ? u->registrar.realm : "");

    return n > IDENTITY_MAX ? -E2BIG : 0;
}

static void cancel(struct job *job, void *userdata)
{
    struct provision *p = userdata;

    p->cancelled = true;
}

/* As in a device file, comments included. */
static int read_template(struct provision *p, const char *text, struct error *e)
{
    _cleanup_free_ char *copy = strdup(text);
    _cleanup_(prescan_freep) struct prescan *map = NULL;
    struct position at = {0};
    int r = copy ? prescan_new(copy, strlen(copy), &map, &at, e) : -ENOMEM;

    if (r == -EBADMSG)
        return error_prefix(e, r, "line %u, column %u", at.line, at.column);
    if (r >= 0)
        r = json_parse(copy, strlen(copy), &p->template, e);
    if (r >= 0 && !json_object_is_type(p->template, json_type_object))
        r = error_set(e, -EINVAL, "expected a JSON object");
    return r;
}

static int prepare(struct provision *p, int fd, const struct provision_options *options, struct error *e)
{
    int r = 0;

    if (options->template)
        r = read_template(p, options->template, e);
    if (r < 0)
        return error_prefix(e, r, "template");
    r = list_reader_new(fd, options->format, &p->reader, e);
    if (r >= 0)
        r = list_rows_new(&p->page.rows, e);
    if (r >= 0)
        r = sd_event_add_defer(p->fleet->event, &p->turn, on_turn, p);
    if (r >= 0)
        r = sd_event_source_set_enabled(p->turn, SD_EVENT_OFF);
    return r;
}

int fleet_provision(struct fleet *f, int fd, const struct provision_options *options, struct job **ret_job,
                    struct error *e)
{
    _cleanup_(provision_freep) struct provision *p = NULL;
    int r = fleet_begin_change(f, e);

    if (r < 0)
        return r;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->fleet = f;
    p->options = *options;
    r = prepare(p, fd, options, e);
    if (r >= 0)
        r = job_new(f->jobs, "provision", ACTION_MANAGE_KEYS, 0, &p->job);
    if (r < 0)
        return r;
    p->job->cancel = cancel;
    p->job->cancel_userdata = p;
    f->changing = true;
    f->tasks.provision = p;
    *ret_job = p->job;
    read_page(TAKE_PTR(p));
    return 0;
}

void provision_leave(struct fleet *f)
{
    struct provision *p = f->tasks.provision;

    if (!p)
        return;
    f->tasks.provision = NULL;
    p->fleet = NULL;
    sd_event_source_set_enabled(p->turn, SD_EVENT_OFF);
    provision_left(p);
}
