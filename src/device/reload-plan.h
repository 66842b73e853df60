/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The part of each device in a reload, worked out once from the differences of two configurations: whom plugins are
 * asked about, whose requests are waited for, who goes, comes or goes on. Pure. */

#include "config/diff.h"

#include <stdbool.h>
#include <stddef.h>

enum reload_what {
    RELOAD_KEEP,   /* it goes on, with its settings exchanged */
    RELOAD_ADD,    /* it does not run: it is new, or could not be made before */
    RELOAD_REMAKE, /* it ends, and begins anew; its samples stay */
    RELOAD_REMOVE, /* it ends, with its samples */
};

struct reload_step {
    const char *id;
    struct config_device *before, *after; /* NULL: not in that configuration */
    enum reload_what what;
    unsigned changes; /* a set of enum config_device_change, of one that is in both */
};

/* Points into both configurations, which must outlive it. */
struct reload_plan {
    struct reload_step *steps; /* in the order of the ids */
    size_t n;
    unsigned global; /* a set of enum config_global_change */
};

/* Findings that are in neither configuration. */
struct reload_view {
    bool (*runs)(const char *device, void *userdata);
    /* Whether the uplink's profile is what it was; asked of uplinks in both. */
    bool (*profile_same)(const char *uplink, void *userdata);
    void *userdata;
};

/* 0 or -ENOMEM. reload_plan_done() frees what ret holds. */
int reload_plan(const struct config *before, const struct config *after, const struct reload_view *view,
                struct reload_plan *ret);
void reload_plan_done(struct reload_plan *plan);
/* Whether the device's plugin has not seen it as it now is. */
bool reload_wants_check(const struct reload_step *step);
/* Whether what runs of it ends. */
bool reload_ends(const struct reload_step *step);
