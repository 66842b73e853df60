/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys of a device at run time: its rotation (rotate.h), the operator's acts (act.h), its place on the calendar and
 * in a batch, its first registration. Part of struct device; loop thread. */

#include "base/timers.h"
#include "device/batch.h"
#include "device/registration.h"
#include "device/turns.h"
#include "rotation/machine.h"
#include "rotation/schedule.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct act;
struct job;
struct registrar_call;
struct rotation_carrier;
struct vault_change;

struct vain {
    char *why;   /* the new key was not accepted; NULL: it was not tried yet, or is accepted */
    size_t told; /* lines in the journal */
};

struct keys {
    struct rotation_carrier *rotation; /* NULL: its state cannot be understood */
    uint64_t when;                     /* its timer comes, CLOCK_BOOTTIME; 0: not set */
    struct timer timer;                /* of the fleet's `rotation_timers` */
    enum rotation_report report;
    bool unoffered;            /* backup was made here since the start, and no offer of it can have reached the cloud */
    bool scheduled;            /* its rotation was begun by its key's age */
    const char *report_reason; /* static */
    char *problem;
    struct vain vain;
    struct registrar_call *call;
    /* Commits under way, which the device leaves when it goes */
    struct vault_change *pending;   /* of its rotation */
    struct vault_change *mending;   /* a key in place of what is damaged; no other commit meanwhile */
    struct vault_change *accepting; /* it is being committed that it is no longer to be taken as restored */
    struct act *act;                /* NULL: none is under way */
    struct job *job;
    struct schedule_entry schedule;
    struct turn turn;
    struct batch_place batch;
    struct registration registration;
};
