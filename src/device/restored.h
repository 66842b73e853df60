/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device that came from a backup (restored_waits()), until the cloud has accepted one of its keys. Loop thread. */

#include "rotation/carrier.h"

struct device;

/* -EAGAIN: not before that. */
int restored_allows(const struct device *d, enum rotation_change_type change);
/* The cloud has accepted one of its keys. */
void restored_accepted(struct device *d);
void restored_done(struct device *d);
