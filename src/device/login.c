/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/login.h"

#include "base/log.h"
#include "device/connection.h"
#include "device/internal.h"
#include "device/notify.h"
#include "vault/login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One that is read belongs to its device, one that is committed outlives it. */
struct login_act {
    struct fleet *fleet;
    struct device *device; /* while it is read */
    struct vault_key_read *reading;
    device_done done;
    void *userdata;
    char id[DEVICE_ID_MAX + 1];
};

/* The vault has it, or has it no longer: the session is made anew with what there is now. */
static void committed(int r, const struct error *e, void *userdata)
{
    _cleanup_free_ struct login_act *act = userdata;
    struct device *d = fleet_find(act->fleet, act->id);

    act->fleet->tasks.logins_committing--;
    if (r >= 0 && d && !act->fleet->stopping) {
        session_new_key(d);
        device_changed(d);
    }
    if (act->done)
        act->done(r, e, act->userdata);
}

/* Takes the act unless it fails. */
static int commit(struct login_act *act, struct vault_change *change, struct error *e)
{
    int r = vault_commit(act->fleet->vault, change, committed, act);

    if (r < 0)
        return error_errno(e, r, "cannot change the login of %s", act->id);
    act->fleet->tasks.logins_committing++;
    return 0;
}

static int put(struct login_act *act, const struct secret *login, struct error *e)
{
    struct device *d = act->device;
    int r;
    struct vault_change *change = vault_login_put(d->fleet->vault, d->config->id, d->config->uplink, login, &r, e);

    return change ? commit(act, change, e) : r;
}

static void on_login(int r, struct secret *read, const struct error *e, void *userdata)
{
    _cleanup_(secret_freep) struct secret *login = read;
    _cleanup_free_ struct login_act *act = userdata;
    struct error error = {0};

    act->reading = NULL;
    act->device->login = NULL;
    if (r < 0)
        error = *e;
    else
        r = put(act, login, &error);
    if (r < 0)
        act->done(r, &error, act->userdata);
    else
        TAKE_PTR(act);
}

static struct login_act *act_new(struct device *d, device_done done, void *userdata)
{
    struct login_act *act = calloc(1, sizeof(*act));

    if (act) {
        *act = (struct login_act){.fleet = d->fleet, .device = d, .done = done, .userdata = userdata};
        snprintf(act->id, sizeof(act->id), "%s", d->config->id);
    }
    return act;
}

int device_set_login(struct device *d, int fd, device_done done, void *userdata, struct error *e)
{
    _cleanup_free_ struct login_act *act = NULL;
    int r;

    if (d->uplink->profile->transport != PROFILE_MQTT)
        return error_set(e, -EINVAL,
                         "%s: its uplink %s is not over MQTT: a user name and a password have no place in CoAP",
                         d->config->id, d->config->uplink);
    if (d->login)
        return error_set(e, -EBUSY, "%s: another login is being read", d->config->id);
    act = act_new(d, done, userdata);
    if (!act)
        return -ENOMEM;
    r = vault_login_read(d->fleet->arena, d->fleet->event, fd, on_login, act, &act->reading, e);
    if (r < 0)
        return r;
    d->login = TAKE_PTR(act);
    return 0;
}

int device_forget_login(struct device *d, device_done done, void *userdata, struct error *e)
{
    _cleanup_free_ struct login_act *act = NULL;
    struct vault_change *change;
    int r;

    if (!vault_find(d->fleet->vault, d->config->id, VAULT_OF_LOGIN))
        return error_set(e, -ENOKEY, "%s has no login", d->config->id);
    act = act_new(d, done, userdata);
    change = act ? vault_change_new(d->fleet->vault, d->config->id, VAULT_OF_LOGIN) : NULL;
    if (!change)
        return -ENOMEM;
    vault_change_remove(change);
    r = commit(act, change, e);
    if (r >= 0)
        TAKE_PTR(act);
    return r;
}

/* Of two devices of that id the one that is left keeps what is its own. */
static bool is_of_another(struct fleet *f, const char *id, const char *uplink)
{
    char of[DEVICE_ID_MAX + 1];
    const struct vault_entry *entry = vault_login_find(f->vault, id, of);
    const struct device *other = fleet_find(f, id);

    if (!other)
        return false;
    return !entry || vault_quarantine(entry) || strcmp(of, uplink) != 0 || strcmp(of, other->config->uplink) == 0;
}

void login_forget_of(struct fleet *f, const char *id, const char *uplink)
{
    struct vault_change *change;

    if (is_of_another(f, id, uplink))
        return;
    /* One that is being committed goes behind it. */
    if (!vault_find(f->vault, id, VAULT_OF_LOGIN) && f->tasks.logins_committing == 0)
        return;
    change = vault_change_new(f->vault, id, VAULT_OF_LOGIN);
    if (change)
        vault_change_remove(change);
    if (!change || vault_commit(f->vault, change, NULL, NULL) < 0)
        log_warning(id, "its login is still in the vault: out of memory");
}

const char *login_fingerprint(const struct device *d)
{
    char of[DEVICE_ID_MAX + 1];
    const struct vault_entry *entry = vault_login_find(d->fleet->vault, d->config->id, of);

    return entry && strcmp(of, d->config->uplink) == 0 ? vault_credential(entry, VAULT_MAIN)->fingerprint : "";
}

void login_done(struct device *d)
{
    struct login_act *act = d->login;

    if (!act)
        return;
    d->login = NULL;
    vault_key_read_free(act->reading);
    act->done(-ECANCELED, &(struct error){"the device is gone"}, act->userdata);
    free(act);
}

void logins_leave(struct fleet *f)
{
    if (f->tasks.logins_committing > 0) /* they look at the fleet when they end */
        (void)vault_flush(f->vault);
}
