/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The value of a simulated point at a time. Pure. */

#include "config.h"

/* `now` in microseconds; `n` counts the reports of the point; `random` is 0..1. */
struct gatehouse_value sim_signal_at(const struct sim_point *p, uint64_t now, uint64_t n, double random);
