/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device that came from a backup: what its rotation remembers may be long past at the cloud. Until the cloud has
 * accepted one of its keys, none is made, offered or forgotten, and nothing is deleted there. Both keys are tried as
 * ever, and the operator may set one, or confirm that one is gone. */
#include "device/restored.h"

#include "base/log.h"
#include "device/act.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/notify.h"
#include "device/rotate.h"

#include <errno.h>

int restored_allows(const struct device *d, enum rotation_change_type change)
{
    if (!restored_waits(d) || (d->keys.act && d->keys.act->confirmed))
        return 0;
    switch (change) {
    case ROTATION_CHANGE_NONE:
    case ROTATION_CHANGE_STATE:
    case ROTATION_CHANGE_SET_MAIN:
    case ROTATION_CHANGE_SET_BACKUP:
    case ROTATION_CHANGE_CLOUD_ID:
    case ROTATION_CHANGE_SWAP:
        return 0;
    case ROTATION_CHANGE_STAGE:
    case ROTATION_CHANGE_FORGET_MAIN:
    case ROTATION_CHANGE_FORGET_BACKUP:
    case ROTATION_CHANGE_FORGET_ALL:
        break;
    }
    return -EAGAIN;
}

static void on_committed(int r, const struct error *e, void *userdata)
{
    struct device *d = userdata;

    d->keys.accepting = NULL;
    if (r < 0) {
        log_error(d->config->id, "cannot commit that a key from the backup is accepted, the next time again: %s",
                  e->text);
        return;
    }
    log_notice(d->config->id, "a key from the backup is accepted: it is rotated again");
    rotate_schedule(d, true);
    rotate_event(d, ROTATION_EV_TIMER);
    device_changed(d);
}

void restored_done(struct device *d)
{
    vault_change_leave(TAKE_PTR(d->keys.accepting));
}

void restored_accepted(struct device *d)
{
    _cleanup_(vault_change_freep) struct vault_change *change = NULL;

    if (!restored_waits(d) || d->keys.accepting)
        return;
    change = vault_change_new(d->fleet->vault, d->config->id, d->config->uplink);
    if (!change)
        return; /* the next handshake brings the next occasion */
    vault_change_restored(change, false);
    d->keys.accepting = change;
    if (vault_commit(d->fleet->vault, TAKE_PTR(change), on_committed, d) < 0)
        d->keys.accepting = NULL;
}
