/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An operator's act on the keys of a device, from its request to its answer. Each is an event of the device's rotation,
 * which knows whether it is safe, commits it, and replies. One at a time; the device's. Loop thread. */

#include "base/error.h"
#include "device/device.h"
#include "rotation/machine.h"
#include "vault/vault.h"

#include <stdbool.h>

struct secret;
struct vault_key_read;

struct act {
    enum rotation_event_type type;
    bool mends; /* what is damaged: not a matter of the rotation, which does not know of it */
    char *identity;
    struct secret *key;
    bool force;
    bool confirmed;       /* the operator says that the cloud has it no longer */
    enum vault_slot slot; /* exports */
    int r;                /* why there was no commit, and its words if the vault gave any */
    char *reason;
    struct vault_key_read *reading;
    device_done done;
    device_exported exported;
    void *userdata;
};

/* -EBUSY: another one is under way, or the device is damaged. */
int act_begin(struct device *d, enum rotation_event_type type, device_done done, void *userdata, struct error *e);
/* Gives the act to the rotation; a refusal at once is an answer like any other. */
void act_submit(struct device *d, bool confirmed);
/* It has ended: its answer. */
void act_end(struct device *d, int r, const struct error *e);
/* Answer of the rotation. */
void act_reply(struct device *d, enum rotation_event_type type, int r, const char *reason);
/* The act ends without an answer, or with the one that its device is gone. Both are harmless without an act. */
void act_drop(struct device *d);
void act_clear(struct device *d);
/* The commit that an act waits for failed: the vault's words are more exact than the rotation's. Harmless without an
 * act. */
void act_failed(struct device *d, int r, const struct error *e);
/* RemoveDevice: `done` once it is committed that the cloud is to delete its credentials. `force`: they are forgotten,
 * whatever stands at the cloud. */
void device_begin_removal(struct device *d, bool force, device_done done, void *userdata);
