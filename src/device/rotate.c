/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries out what the rotation of a device says: commits to the vault, calls to the registrar, probes, timers. */
#include "device/rotate.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"
#include "base/timers.h"
#include "device/act.h"
#include "device/authenticated.h"
#include "device/connection.h"
#include "device/damage.h"
#include "device/device.h"
#include "device/facts.h"
#include "device/idle.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/login.h"
#include "device/notify.h"
#include "device/quiesce.h"
#include "device/restored.h"
#include "device/rotate-words.h"
#include "device/turns.h"
#include "registrar/registrar.h"
#include "rotation/carrier.h"
#include "rotation/identity.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ── Commits ── */

static void on_committed(int r, const struct error *e, void *userdata)
{
    struct device *d = userdata;

    d->keys.pending = NULL;
    if (r < 0) {
        log_error(d->config->id, "cannot commit a step of the rotation, it is tried again: %s", e->text);
        free(d->keys.problem);
        d->keys.problem = strdup(e->text);
        act_failed(d, r, e);
    }
    rotation_carrier_committed(d->keys.rotation, r);
}

/* The next identity; one that somebody took by hand is passed over. Where a new key replaces the old one, it does so
 * under the identity that the device has: under another it would stand beside it. */
static int next_identity(struct device *d, uint64_t *n, char ret_identity[IDENTITY_MAX + 1])
{
    const struct config_uplink *settings = d->uplink->settings;
    const struct vault_entry *entry = device_entry(d);
    int r;

    if (settings->registrar.replaces && entry && vault_credential(entry, VAULT_MAIN)->present) {
        snprintf(ret_identity, IDENTITY_MAX + 1, "%s", vault_credential(entry, VAULT_MAIN)->identity);
        return 0;
    }
    do {
        r = identity_make(settings->identity, d->opaque, d->config->id, ++*n, ret_identity);
        if (r < 0)
            return r;
    } while (!settings->registrar.replaces && vault_identity_used(d->fleet->vault, ret_identity));
    return 0;
}

/* A new random key under the next identity. */
static int stage(struct device *d, struct vault_change *change, struct error *e)
{
    const struct config_uplink *settings = d->uplink->settings;
    const struct vault_entry *entry = device_entry(d);
    _cleanup_(secret_freep) struct secret *key = NULL;
    uint64_t n = entry ? vault_identity_counter(entry) : 0;
    unsigned flags = settings->registrar.replaces ? VAULT_SHARES_IDENTITY : 0;
    char identity[IDENTITY_MAX + 1];
    int r = vault_key_generate(d->fleet->vault, d->uplink->registrar->traits.text_keys, &key);

    if (r < 0)
        return error_errno(e, r, "cannot make a key");
    r = next_identity(d, &n, identity);
    if (r < 0)
        return error_errno(e, r, "cannot make an identity from '%s'", settings->identity);
    d->keys.unoffered = true;
    r = vault_change_put(change, VAULT_BACKUP, identity, VAULT_PSK, key, flags, e);
    return r < 0 ? r : vault_change_counter(change, n);
}

static int put_act(struct device *d, struct vault_change *change, enum vault_slot slot, struct error *e)
{
    const struct act *act = d->keys.act;
    unsigned flags = d->uplink->settings->registrar.replaces ? VAULT_SHARES_IDENTITY : 0;

    if (!act || !act->key)
        return -EINVAL;
    if (act->force)
        flags |= VAULT_FORCE_WEAK;
    d->keys.unoffered = false; /* the operator may have told the cloud */
    return vault_change_put(change, slot, act->identity, VAULT_PSK, act->key, flags, e);
}

static int describe(struct device *d, const struct rotation_commit *commit, struct vault_change *change,
                    struct error *e)
{
    int r = 0;

    if (commit->cloud_id)
        r = vault_change_cloud_id(change, commit->role == ROTATION_MAIN ? VAULT_MAIN : VAULT_BACKUP, commit->cloud_id);
    if (r < 0)
        return r;
    switch (commit->change) {
    case ROTATION_CHANGE_NONE:
    case ROTATION_CHANGE_STATE:
    case ROTATION_CHANGE_CLOUD_ID:
        return 0;
    case ROTATION_CHANGE_STAGE:
        return stage(d, change, e);
    case ROTATION_CHANGE_SET_MAIN:
        return put_act(d, change, VAULT_MAIN, e);
    case ROTATION_CHANGE_SET_BACKUP:
        return put_act(d, change, VAULT_BACKUP, e);
    case ROTATION_CHANGE_SWAP:
        /* It was accepted just now: the same transaction says so. */
        if (clock_synchronized())
            vault_change_authenticated(change, VAULT_BACKUP, clock_realtime());
        return vault_change_swap(change);
    case ROTATION_CHANGE_FORGET_MAIN:
        return vault_change_forget(change, VAULT_MAIN);
    case ROTATION_CHANGE_FORGET_BACKUP:
        return vault_change_forget(change, VAULT_BACKUP);
    case ROTATION_CHANGE_FORGET_ALL:
        return vault_change_remove(change);
    }
    return -EINVAL;
}

/* Whether the registrar could be asked now: over a session of the device, or a login of its own. */
static bool can_ask(const struct device *d)
{
    return d->uplink->registrar->traits.out_of_band || device_online(d);
}

static int op_commit(void *userdata, const struct rotation_commit *commit)
{
    struct device *d = userdata;
    _cleanup_(vault_change_freep) struct vault_change *change =
        vault_change_new(d->fleet->vault, d->config->id, d->config->uplink);
    struct error e = {0};
    int r = d->keys.mending ? -EBUSY : commit->again && !can_ask(d) ? -ENOTCONN : restored_allows(d, commit->change);

    if (d->keys.mending || r == -ENOTCONN)
        return r;
    if (r < 0) {
        act_failed(d, r, &(struct error){"it was restored, and the cloud has not accepted one of its keys since"});
        return r;
    }
    if (change && commit->change != ROTATION_CHANGE_FORGET_ALL)
        session_add_authenticated(d, change);
    r = change ? describe(d, commit, change, &e) : -ENOMEM;
    /* The roles are exchanged because the cloud accepts the other key. */
    if (r >= 0 && commit->change == ROTATION_CHANGE_SWAP)
        r = vault_change_restored(change, false);

    /* A removed entry takes its blob with it. */
    if (r >= 0 && commit->change != ROTATION_CHANGE_FORGET_ALL)
        r = vault_change_rotation(change, commit->blob, commit->blob_size);
    if (r < 0) {
        act_failed(d, r, &e);
        if (!d->keys.act)
            log_error(d->config->id, "a step of the rotation cannot be committed: %s",
                      e.text[0] ? e.text : strerrordesc_np(-r));
        return r;
    }
    /* In the transaction that ends its tombstone: nothing is left to do at the next start if the agent is killed here.
     */
    if (d->tombstone && commit->change == ROTATION_CHANGE_FORGET_ALL)
        login_forget_of(d->fleet, d->config->id, d->config->uplink);
    d->keys.pending = change;
    r = vault_commit(d->fleet->vault, TAKE_PTR(change), on_committed, d);
    if (r < 0)
        d->keys.pending = NULL;
    return r;
}

/* ── The registrar ── */

static const struct {
    enum rotation_event_type offer, find, delete;
} registrar_events[] = {
    [REGISTRAR_OK] = {ROTATION_EV_OFFER_OK, ROTATION_EV_FOUND, ROTATION_EV_DELETE_OK},
    [REGISTRAR_EXISTS_OURS] = {ROTATION_EV_OFFER_OK, ROTATION_EV_FOUND, ROTATION_EV_DELETE_OK},
    [REGISTRAR_CONFLICT] = {ROTATION_EV_OFFER_CONFLICT, ROTATION_EV_ABSENT, ROTATION_EV_DELETE_RETRY},
    [REGISTRAR_INVALID] = {ROTATION_EV_OFFER_INVALID, ROTATION_EV_FIND_RETRY, ROTATION_EV_DELETE_RETRY},
    [REGISTRAR_ABSENT] = {ROTATION_EV_OFFER_RETRY, ROTATION_EV_ABSENT, ROTATION_EV_DELETE_OK},
    [REGISTRAR_RETRY] = {ROTATION_EV_OFFER_RETRY, ROTATION_EV_FIND_RETRY, ROTATION_EV_DELETE_RETRY},
};

static void answered(struct device *d, enum rotation_event_type type, const struct registrar_answer *answer)
{
    d->keys.call = NULL;
    if (answer->result != REGISTRAR_OK && answer->result != REGISTRAR_EXISTS_OURS) {
        log_notice(d->config->id, "the registrar says: %s", answer->reason);
        free(d->keys.problem);
        d->keys.problem = strdup(answer->reason);
    }
    rotation_carrier_event(
        d->keys.rotation,
        &(struct rotation_event){.type = type, .maybe_sent = answer->maybe_sent, .cloud_id = answer->cloud_id});
}

static void on_offered(const struct registrar_answer *answer, void *userdata)
{
    struct device *d = userdata;

    if (answer->maybe_sent || answer->result == REGISTRAR_OK || answer->result == REGISTRAR_EXISTS_OURS)
        d->keys.unoffered = false;
    if (registrar_events[answer->result].offer == ROTATION_EV_OFFER_RETRY)
        turn_again(d);
    answered(userdata, registrar_events[answer->result].offer, answer);
}

static void on_found(const struct registrar_answer *answer, void *userdata)
{
    answered(userdata, registrar_events[answer->result].find, answer);
}

static void on_deleted(const struct registrar_answer *answer, void *userdata)
{
    answered(userdata, registrar_events[answer->result].delete, answer);
}

typedef int (*registrar_method)(struct registrar *r, const struct registrar_credential *credential,
                                registrar_done *done, void *userdata, struct registrar_call **ret, struct error *e);

static int call_registrar(struct device *d, registrar_method method, enum rotation_role role, registrar_done *done)
{
    const struct registrar_credential credential = {
        .vault = d->fleet->vault,
        .entry = device_entry(d),
        .slot = role == ROTATION_MAIN ? VAULT_MAIN : VAULT_BACKUP,
        .hardware_id = d->config->hardware_id ?: d->config->id,
        .session = device_session(d),
        .unoffered = role == ROTATION_BACKUP && d->keys.unoffered,
    };
    struct error e = {0};
    int r;

    if (!can_ask(d))
        return -ENOTCONN;
    if (restored_waits(d))
        return -EAGAIN;
    r = method(d->uplink->registrar, &credential, done, d, &d->keys.call, &e);
    if (r < 0) {
        /* A cloud that asked for peace is asked by nobody: no reason to say so for each device. */
        log_write(r == -EAGAIN ? LOG_DEBUG : LOG_NOTICE, d->config->id, "the registrar cannot be asked: %s",
                  e.text[0] ? e.text : strerrordesc_np(-r));
        free(d->keys.problem);
        d->keys.problem = strdup(e.text);
    }
    return r;
}

static int op_offer(void *userdata)
{
    return call_registrar(userdata, registrar_offer, ROTATION_BACKUP, on_offered);
}

static int op_find(void *userdata, enum rotation_role role)
{
    return call_registrar(userdata, registrar_find, role, on_found);
}

static int op_delete(void *userdata, enum rotation_role role)
{
    return call_registrar(userdata, registrar_delete, role, on_deleted);
}

/* ── Probes ── */

static void on_probed(struct device *d, int r)
{
    if (r < 0)
        rotate_vain(d, r);
    rotate_event(d, r >= 0               ? ROTATION_EV_PROBE_ACCEPTED
                    : r == -EACCES       ? ROTATION_EV_PROBE_REFUSED
                    : r == -EHOSTUNREACH ? ROTATION_EV_PROBE_UNREACHABLE
                                         : ROTATION_EV_PROBE_LOCAL);
}

static void on_verified(struct device *d, int r)
{
    probe_drop(d);
    if (r >= 0)
        restored_accepted(d);
    rotate_event(d, r >= 0               ? ROTATION_EV_VERIFY_ACCEPTED
                    : r == -EACCES       ? ROTATION_EV_VERIFY_REFUSED
                    : r == -EHOSTUNREACH ? ROTATION_EV_VERIFY_UNREACHABLE
                                         : ROTATION_EV_VERIFY_LOCAL);
}

static int op_probe(void *userdata)
{
    return probe_start(userdata, VAULT_BACKUP, on_probed);
}

static int op_verify(void *userdata)
{
    return probe_start(userdata, VAULT_MAIN, on_verified);
}

static void op_close_old(void *userdata)
{
    session_adopt_probe(userdata);
}

static void op_drop_probe(void *userdata)
{
    probe_drop(userdata);
}

/* ── Time ── */

static uint64_t op_random(void *userdata)
{
    uint64_t n = 0;

    gnutls_rnd(GNUTLS_RND_NONCE, &n, sizeof(n));
    return n;
}

static void op_now(void *userdata, struct stamp *ret)
{
    struct device *d = userdata;

    fleet_stamp_now(d->fleet, ret);
}

void rotate_timer(struct timer *timer)
{
    struct device *d = (struct device *)(void *)((char *)timer - offsetof(struct device, keys.timer));

    /* A removal that could not be committed is asked for again: nobody else can, the device is gone from view. */
    if (d->tombstone && !d->grave.exhume && !rotation_carrier_machine(d->keys.rotation)->d.removing)
        rotate_event(d, ROTATION_EV_REMOVE);
    rotate_event(d, ROTATION_EV_TIMER);
}

static void op_set_timer(void *userdata, uint64_t when)
{
    struct device *d = userdata;

    d->keys.when = when == USEC_INFINITY ? 0 : when;
    if (when == USEC_INFINITY)
        timer_stop(d->fleet->calendar.rotation_timers, &d->keys.timer);
    else
        timer_set(d->fleet->calendar.rotation_timers, &d->keys.timer, when);
}

/* ── Answers ── */

static void op_reply(void *userdata, enum rotation_event_type act, int r, const char *reason)
{
    struct device *d = userdata;

    if (act == ROTATION_EV_EXPORT && r >= 0)
        d->keys.unoffered = false; /* whoever has it may tell the cloud */
    act_reply(d, act, r, reason);
}

static void op_changed(void *userdata)
{
    struct device *d = userdata;
    enum rotation_state state = rotation_carrier_machine(d->keys.rotation)->d.state;

    log_debug(d->config->id, "rotation is %s", rotation_carrier_state(d->keys.rotation));
    if (state != ROTATION_OFFERED && state != ROTATION_PROBING && state != ROTATION_ABANDONING)
        rotate_vain_over(d);
    session_start(d);
    rotate_schedule(d, false);
    device_changed(d);
}

static const struct rotation_ops ops = {
    .random = op_random,
    .now = op_now,
    .commit = op_commit,
    .offer = op_offer,
    .find = op_find,
    .probe = op_probe,
    .verify = op_verify,
    .delete = op_delete,
    .close_old = op_close_old,
    .drop_probe = op_drop_probe,
    .set_timer = op_set_timer,
    .finished = rotate_finished,
    .moved = rotate_moved,
    .report = rotate_reported,
    .reply = op_reply,
    .changed = op_changed,
};

static struct rotation_policy policy_of(const struct device *d)
{
    const struct registrar_traits *traits = &d->uplink->registrar->traits;

    return (struct rotation_policy){
        .replaces = traits->replaces,
        .out_of_band = traits->out_of_band,
        .manual = traits->manual,
        .looks = traits->looks,
        .retire_after = d->fleet->config->rotation.retire_after,
    };
}

void rotate_policy(struct device *d)
{
    const struct rotation_policy policy = policy_of(d);

    if (d->keys.rotation)
        rotation_carrier_set_policy(d->keys.rotation, &policy);
}

int rotate_init(struct device *d, struct error *e)
{
    const struct vault_entry *entry = device_entry(d);
    const struct rotation_policy policy = policy_of(d);
    size_t n = 0;
    const void *blob = entry ? vault_rotation(entry, &n) : NULL;
    int r = rotation_carrier_new(&ops, d, &policy, blob, n, entry && vault_credential(entry, VAULT_MAIN)->present,
                                 entry && vault_credential(entry, VAULT_BACKUP)->present, &d->keys.rotation);

    /* A state that cannot be understood stops this device, not the others; it is shown, and nothing is overwritten. */
    if (r == -EINVAL || r == -EPROTONOSUPPORT || r == -EBADMSG) {
        d->keys.problem = strdup(r == -EPROTONOSUPPORT ? "its rotation state is of a later version"
                                                       : "its rotation state in the vault contradicts its keys");
        return 0; /* damage_tell() says so */
    }
    if (r >= 0)
        r = timers_reserve(d->fleet->calendar.rotation_timers);
    if (r < 0)
        d->keys.rotation = rotation_carrier_free(d->keys.rotation);
    return r < 0 ? error_errno(e, r, "cannot begin its rotation") : 0;
}

/* ── What others ask ── */

int rotate_ask(struct device *d, bool compromised, bool scheduled)
{
    if (!scheduled)
        idle_touch(d);
    return rotation_carrier_event(
        d->keys.rotation,
        &(struct rotation_event){.type = ROTATION_EV_ROTATE, .compromised = compromised, .scheduled = scheduled});
}

int rotate_allowed(const struct device *d, bool compromised, struct error *e)
{
    const char *why;

    if (damage_stops_rotation(d))
        return damage_refuses(d, VAULT_MAIN, false, e);
    if (quiesce_holds(d->fleet))
        return error_set(e, -EBUSY, "the gateway is quiesced, as its power may go: no rotation begins");
    if (!vault_durable(d->fleet->vault, &why))
        return error_set(e, -ESTALE, "no key is rotated while a commit may not last: %s", why);
    if (restored_waits(d))
        return error_set(e, -EBUSY, "%s was restored: it is rotated once the cloud has accepted one of its keys",
                         d->config->id);
    if (!d->config->enabled || d->disconnected)
        return error_set(e, -EBUSY, "%s is disabled: connect it first", d->config->id);
    if (registration_pending(d))
        return error_set(e, -EBUSY, "%s is not registered at its cloud yet: %s", d->config->id, registration_reason(d));
    if (compromised && !d->uplink->registrar->traits.out_of_band)
        return error_set(
            e, -EINVAL,
            "uplink %s has no way to tell the cloud of a key beside the device's own session, which whoever "
            "holds the present key can open too: revoke it at the cloud, then set a new key",
            d->config->uplink);
    return 0;
}

int device_rotate(struct device *d, bool compromised, struct job **ret_job, struct error *e)
{
    struct job *job;
    int r;

    if (d->keys.job) {
        *ret_job = d->keys.job;
        return 0;
    }
    r = rotate_allowed(d, compromised, e);
    if (r < 0)
        return r;
    r = job_new(d->fleet->jobs, "rotate", ACTION_ROTATE, 1, &job);
    if (r < 0)
        return r;
    d->keys.job = job;
    *ret_job = job;
    r = rotate_ask(d, compromised, false);
    if (r < 0 && d->keys.job == job)
        act_reply(d, ROTATION_EV_ROTATE, r, "too much is waiting already");
    return 0;
}
