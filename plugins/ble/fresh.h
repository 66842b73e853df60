/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The new part of an advertisement of one sensor while BlueZ keeps the data of earlier ones beside it, as it does
 * unless somebody discovers with DuplicateData. Pure; the caller owns all of it. */

#include "advert.h"
#include "ble-limits.h"

#include <stdint.h>

struct fresh {
    struct fresh_entry {
        uint64_t key, content;   /* hashes */
    } entries[2 * ELEMENTS_MAX]; /* the latest last */
    size_t n;
};

/* Leaves in the two lists what was not there, or was different, at the last call. */
void fresh_filter(struct fresh *f, struct advert_manufacturer *manufacturer, size_t *n_manufacturer,
                  struct advert_service *service, size_t *n_service);
void fresh_forget(struct fresh *f);
