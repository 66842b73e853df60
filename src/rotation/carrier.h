/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Carries out one device's rotation: holds its state machine, feeds it events, and does what it says through ops that
 * the device layer gives.
 *
 * Events that arrive while a commit is under way, or from within an op, wait their turn; the ops are therefore never
 * called from within each other. Every request op is answered by exactly one of its events (machine.h), and commit by
 * rotation_carrier_committed(); an op that cannot begin returns a negative errno instead, which is treated as that
 * request's harmless failure. Each act of the operator that rotation_carrier_event() took is answered by one reply().
 *
 * Loop thread. The carrier owns its copy of everything given; pointers given to ops are valid until they return. */

#include "base/cleanup.h"
#include "rotation/machine.h"

struct rotation_carrier;

/* One transaction: the change of the slots and the blob that describes what they then are. */
struct rotation_commit {
    enum rotation_change_type change;
    enum rotation_role role; /* CLOUD_ID: whose */
    const char *cloud_id;    /* CLOUD_ID; otherwise NULL */
    bool again;              /* the same is asked once more: not worth a write where it cannot be */
    const void *blob;
    size_t blob_size;
};

struct rotation_ops {
    uint64_t (*random)(void *userdata); /* for jitter; NULL: none */
    void (*now)(void *userdata, struct stamp *ret);
    /* 0: under way. Negative: failed. */
    int (*commit)(void *userdata, const struct rotation_commit *commit);
    int (*offer)(void *userdata);
    int (*find)(void *userdata, enum rotation_role role);
    int (*probe)(void *userdata);
    int (*verify)(void *userdata);
    int (*delete)(void *userdata, enum rotation_role role);
    void (*close_old)(void *userdata);
    /* A probe was accepted, but its session is not needed after all. May be NULL. */
    void (*drop_probe)(void *userdata);
    /* Calls rotation_carrier_event(TIMER) at CLOCK_BOOTTIME `when`; replaces the one before. */
    void (*set_timer)(void *userdata, uint64_t when);
    void (*finished)(void *userdata, enum rotation_outcome outcome, const char *reason);
    /* The roles were exchanged, and not by a rotation. */
    void (*moved)(void *userdata, enum rotation_move move, const char *reason);
    void (*report)(void *userdata, enum rotation_report report, const char *reason);
    /* `act` is the operator's event; r 0 or negative errno with a reason. */
    void (*reply)(void *userdata, enum rotation_event_type act, int r, const char *reason);
    /* The state or what is shown of it may have changed. May be NULL. */
    void (*changed)(void *userdata);
};

/* From the blob of the vault, or without one (n = 0) as an idle device; `has_main`, `has_backup`: what the vault's
 * slots hold, which must be what the blob says (-EBADMSG: they differ; the device must not run on either). Begins with
 * rotation_carrier_start(). -EINVAL, -EPROTONOSUPPORT: see rotation_decode(). */
int rotation_carrier_new(const struct rotation_ops *ops, void *userdata, const struct rotation_policy *policy,
                         const void *blob, size_t n, bool has_main, bool has_backup, struct rotation_carrier **ret);
/* Forgets operations in flight; no op is called any more. May not be called from within an op. */
struct rotation_carrier *rotation_carrier_free(struct rotation_carrier *c);
DEFINE_FREEP(struct rotation_carrier, rotation_carrier_free)
void rotation_carrier_start(struct rotation_carrier *c);

/* `event.now` is filled in here; cloud_id is copied. -EBUSY: too much is waiting (an operator's act only). */
int rotation_carrier_event(struct rotation_carrier *c, const struct rotation_event *event);
/* The commit ended: 0 or a negative errno. Not from within ops->commit. */
void rotation_carrier_committed(struct rotation_carrier *c, int r);
/* After a reload. A rotation under way goes on by the new rules. */
void rotation_carrier_set_policy(struct rotation_carrier *c, const struct rotation_policy *policy);

const struct rotation *rotation_carrier_machine(const struct rotation_carrier *c);
/* "idle", "staged", ..., "fallen-back" */
const char *rotation_carrier_state(const struct rotation_carrier *c);
