/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The rotation of a device's key, carried out: commits to the vault, calls to the registrar, probes, timers. What it
 * comes to goes out as struct rotation_ops. Loop thread. */

#include "base/error.h"

#include <stdbool.h>

struct device;
struct timer;

int rotate_init(struct device *d, struct error *e);
void rotate_timer(struct timer *timer);
/* The configuration's rules may have changed. */
void rotate_policy(struct device *d);
/* Gives the event ROTATE to its rotation. */
int rotate_ask(struct device *d, bool compromised, bool scheduled);
/* 0, or why it may not be rotated now, as for Rotate. */
int rotate_allowed(const struct device *d, bool compromised, struct error *e);
/* rotate-when.c; `fresh`: it is not what was planned before. */
void rotate_schedule(struct device *d, bool fresh);
/* rotate-end.c */
void rotate_done(struct device *d);
