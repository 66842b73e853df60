/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The newest sample of each point, with copies of all its texts. One thread. */

#include "base/map.h"
#include "base/sample.h"

#include <stddef.h>

/* A zeroed one is empty. */
struct sample_set {
    struct map by_point;
    uint64_t turn;
};

void sample_set_done(struct sample_set *set);
/* In the place of an earlier one of its point. -ENOSPC: there are `max` points, and this is another; -ENOMEM. */
int sample_set_put(struct sample_set *set, const struct sample *s, size_t max);

enum sample_set_order {
    SAMPLE_SET_BY_TURN, /* as they came */
    SAMPLE_SET_BY_POINT,
};
/* All of them, valid until the set changes; the array is the caller's. */
int sample_set_list(const struct sample_set *set, enum sample_set_order order, const struct sample ***ret,
                    size_t *ret_n);
