/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor/trial.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/worker.h"
#include "device/uplink-settings.h"
#include "doctor/judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BELIEVED 2 /* refusals in a row; one may be a lost flight */

struct target;

/* One device's turn, or that of an uplink without a key. */
struct turn {
    struct target *target;
    const struct config_device *device; /* NULL: without a key */
    const struct vault_entry *entry;
    struct uplink_session *session; /* NULL: not begun, or ended */
    unsigned tries;
    bool ended;
    enum uplink_result result;
    struct uplink_info info; /* its texts by reference are not kept */
    char *words, *host;      /* whose the words are */
};

/* An uplink. */
struct target {
    const struct config_uplink *settings;
    struct uplink *uplink;
    struct turn *turns;
    size_t n, begun, done, accepted;
    size_t left_out; /* devices beyond CHECK_TRIES */
};

struct run {
    const struct trial *trial;
    struct findings *findings;
    struct workers *workers;
    struct target *targets;
};

/* ── Judging ── */

static enum device_state state_after(const struct turn *t)
{
    if (t->result == UPLINK_OK)
        return DEVICE_ONLINE;
    if (vault_restored(t->entry))
        return DEVICE_RESTORED;
    return t->result == UPLINK_REFUSED_ANSWER ? DEVICE_REFUSED : DEVICE_BACKING_OFF;
}

static struct device_status status_of(const struct config_device *device, enum device_state state, const char *words)
{
    return (struct device_status){
        .id = device->id,
        .driver = device->driver,
        .uplink = device->uplink,
        .state = state,
        .sensor.state = SENSOR_UNKNOWN,
        .sensor.reason = "",
        .keys.main_identity = "",
        .session.suite = "",
        .last_error = words,
        .trouble.words = words,
    };
}

static void judge_turn(struct run *run, const struct turn *t)
{
    struct device_status status = status_of(t->device, state_after(t), t->words ?: "");
    struct judged judged = {
        .status = &status, .device = t->device, .uplink = t->target->settings, .config_file = run->trial->config->file};

    status.keys.main_identity = vault_credential(t->entry, VAULT_MAIN)->identity;
    status.trouble.kind = t->info.trouble;
    status.trouble.host = t->host;
    status.session.suite = t->info.suite;
    status.session.forward_secrecy = t->info.forward_secrecy;
    if (judge_wants_shape(&status))
        judged.shape = vault_shape(run->trial->vault, t->entry, VAULT_MAIN);
    judge_device(&judged, run->findings);
}

/* Without a key an end says something of the way there, and over DTLS of the suites. */
static void judge_way(struct run *run, const struct turn *t)
{
    struct device_status status = {
        .trouble.kind = t->info.trouble, .trouble.host = t->host, .trouble.words = t->words ?: ""};
    const struct judged judged = {
        .status = &status, .uplink = t->target->settings, .config_file = run->trial->config->file};

    if (t->target->settings->mqtt && status.trouble.kind == UPLINK_TROUBLE_SUITES)
        return;
    judge_uplink(&judged, run->findings);
}

static bool is_of_uplink(enum uplink_trouble trouble)
{
    switch (trouble) {
    case UPLINK_TROUBLE_NAME:
    case UPLINK_TROUBLE_ROUTE:
    case UPLINK_TROUBLE_CLOSED:
    case UPLINK_TROUBLE_SILENT:
    case UPLINK_TROUBLE_SUITES:
        return true;
    case UPLINK_TROUBLE_NONE:
    case UPLINK_TROUBLE_IDENTITY:
    case UPLINK_TROUBLE_KEY:
    case UPLINK_TROUBLE_OTHER:
    case UPLINK_TROUBLE_LOCAL:
        return false;
    }
    return false;
}

/* ── One try ── */

static void on_state(void *userdata, enum uplink_state state, const char *reason)
{
    /* The result says it all. */
}

static void on_result(void *userdata, enum uplink_result result, bool full, const char *reason)
{
    struct turn *t = userdata;

    uplink_session_info(t->session, &t->info);
    free(t->words);
    free(t->host);
    t->words = strdup(reason);
    t->host = strdup(t->info.trouble_host);
    t->result = result;
    t->ended = true;
}

static int begin(struct turn *t)
{
    static const struct uplink_session_ops ops = {.state = on_state, .result = on_result};
    int r = uplink_session_new(t->target->uplink, &ops, t, &t->session);

    t->ended = false;
    t->tries++;
    if (r >= 0)
        r = uplink_session_try(t->session, t->device ? t->device->id : "", t->entry, VAULT_MAIN);
    if (r < 0)
        t->session = uplink_session_free(t->session);
    return r;
}

static int begin_next(struct target *target, size_t n)
{
    int r = 0;

    for (; r >= 0 && n > 0 && target->begun < target->n; n--)
        r = begin(&target->turns[target->begun++]);
    return r;
}

static int settle(struct run *run, struct turn *t)
{
    struct target *target = t->target;

    uplink_session_stop(t->session, UPLINK_BYE);
    t->session = uplink_session_free(t->session);
    if (t->result == UPLINK_REFUSED_ANSWER && t->device && t->tries < BELIEVED)
        return begin(t);
    target->done++;
    target->accepted += t->result == UPLINK_OK;
    if (t->device)
        judge_turn(run, t);
    else
        judge_way(run, t);
    if (is_of_uplink(t->info.trouble) && target->accepted == 0) {
        target->n = target->begun;
        return 0;
    }
    return begin_next(target, target->n);
}

/* Whether something is still to come. */
static bool settle_all(struct run *run, int *ret_r)
{
    bool running = false;

    for (size_t i = 0; i < run->trial->config->n_uplinks; i++)
        for (size_t k = 0; *ret_r >= 0 && k < run->targets[i].begun; k++) {
            struct turn *t = &run->targets[i].turns[k];

            if (t->session && t->ended)
                *ret_r = settle(run, t);
            running = running || t->session;
        }
    return running;
}

/* ── Who is tried ── */

static void judge_unfit(struct run *run, const struct config_device *device, const struct config_uplink *uplink,
                        enum device_state state, const char *words)
{
    const struct device_status status = status_of(device, state, words);

    judge_device(
        &(struct judged){
            .status = &status, .device = device, .uplink = uplink, .config_file = run->trial->config->file},
        run->findings);
}

/* Whether the device has a key that may be shown to its cloud; what is found instead is added. */
static bool is_fit(struct run *run, const struct config_device *device, const struct config_uplink *uplink,
                   const struct vault_entry *entry)
{
    if (!device->enabled)
        judge_unfit(run, device, uplink, DEVICE_DISABLED, "");
    else if (entry && vault_quarantine(entry))
        judge_unfit(run, device, uplink, DEVICE_DAMAGED, vault_quarantine(entry));
    else if (!entry || !vault_credential(entry, VAULT_MAIN)->present)
        judge_unfit(run, device, uplink, DEVICE_NO_CREDENTIAL, "");
    else if (vault_registration(entry) == VAULT_REGISTRATION_CONFLICT)
        judge_unfit(run, device, uplink, DEVICE_CONFLICT, "");
    else if (vault_registration(entry) != VAULT_REGISTERED)
        judge_unfit(run, device, uplink, DEVICE_UNREGISTERED, "");
    else
        return true;
    return false;
}

static int add_turn(struct target *target, const struct config_device *device, const struct vault_entry *entry)
{
    struct turn *turns;

    if (target->n == CHECK_TRIES) {
        target->left_out++;
        return 0;
    }
    turns = reallocarray(target->turns, target->n + 1, sizeof(*turns));
    if (!turns)
        return -ENOMEM;
    target->turns = turns;
    turns[target->n++] = (struct turn){.target = target, .device = device, .entry = entry};
    return 0;
}

static int choose(struct run *run, struct target *target)
{
    const struct trial *trial = run->trial;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < trial->config->n_devices; i++) {
        const struct config_device *device = trial->config->devices[i];
        const struct vault_entry *entry;

        if (strcmp(device->uplink, target->settings->name) != 0 || (!trial->vault && !trial->none))
            continue;
        entry = trial->vault ? vault_find(trial->vault, device->id, device->uplink) : NULL;
        if (is_fit(run, device, target->settings, entry))
            r = add_turn(target, device, entry);
    }
    if (r >= 0 && target->n == 0)
        r = add_turn(target, NULL, NULL);
    return r;
}

static int prepare(struct run *run, size_t i, struct error *e)
{
    struct target *target = &run->targets[i];
    struct uplink_options options;
    int r;

    target->settings = run->trial->config->uplinks[i];
    options = uplink_settings(target->settings, run->trial->arena);
    r = choose(run, target);
    if (r >= 0)
        r = uplink_new(run->trial->event, run->workers, run->trial->vault, &options, &target->uplink, e);
    return r >= 0 ? begin_next(target, 1) : r;
}

/* ── All of it ── */

static void note_tried(struct run *run, const struct target *t)
{
    size_t late = t->n - t->done;
    const char *name = t->settings->name;

    if (t->n > 0 && t->turns[0].device && t->done > 0)
        findings_add(run->findings, FINDING_HANDSHAKE_TRIED, name,
                     "the handshake of %zu of %zu device%s was accepted, each with the key in slot main; nothing was "
                     "sent after it, and it is no evidence for a rotation",
                     t->accepted, t->done, t->done == 1 ? "" : "s");
    if (late > 0)
        findings_add(run->findings, FINDING_NOT_LOOKED, name,
                     "%zu handshake%s did not end within %d s, and nothing is known of them", late,
                     late == 1 ? "" : "s", (int)(CHECK_TRY_WAIT / USEC_PER_SEC));
    else if (t->left_out > 0 && t->done > 1)
        findings_add(run->findings, FINDING_NOT_LOOKED, name,
                     "%zu more devices were not tried: at most %d of an uplink are while the agent does not run",
                     t->left_out, CHECK_TRIES);
}

static void run_done(struct run *run)
{
    for (size_t i = 0; run->targets && i < run->trial->config->n_uplinks; i++) {
        for (size_t k = 0; k < run->targets[i].begun; k++) {
            uplink_session_free(run->targets[i].turns[k].session);
            free(run->targets[i].turns[k].words);
            free(run->targets[i].turns[k].host);
        }
        uplink_free(run->targets[i].uplink);
        free(run->targets[i].turns);
    }
    workers_free(run->workers);
    free(run->targets);
}

int trial_run(const struct trial *trial, struct findings *f, struct error *e)
{
    _cleanup_(run_done) struct run run = {.trial = trial, .findings = f};
    uint64_t until = clock_boottime() + CHECK_TRY_WAIT, now;
    int r = workers_new(trial->event, RESOLVER_THREADS, &run.workers);

    if (r < 0)
        return r;
    run.targets = calloc(trial->config->n_uplinks + 1, sizeof(*run.targets));
    if (!run.targets)
        return -ENOMEM;
    for (size_t i = 0; r >= 0 && i < trial->config->n_uplinks; i++)
        r = prepare(&run, i, e);
    while (r >= 0 && settle_all(&run, &r) && (now = clock_boottime()) < until)
        r = sd_event_run(trial->event, until - now);
    for (size_t i = 0; r >= 0 && i < trial->config->n_uplinks; i++)
        note_tried(&run, &run.targets[i]);
    findings_mend_without_agent(f);
    return r < 0 ? r : f->failed;
}
