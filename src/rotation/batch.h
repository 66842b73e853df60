/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A rotation of the whole fleet, as it is kept while it lasts: one small record. Which devices are done is not in it:
 * each device's own state says since when its key is main, so that not one more byte is written for a device. Pure. */

#include "rotation/age.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct batch_record {
    uint8_t id[16];
    struct stamp begun;
    bool compromised;
};

#define BATCH_RECORD_MAX 64
ssize_t batch_encode(const struct batch_record *record, uint8_t *blob, size_t size);
/* -EINVAL: not such a record. */
int batch_decode(const void *blob, size_t n, struct batch_record *ret);

/* Whether a key that is main since then is one that came after the beginning. What cannot be known is no: such a device
 * gets one key more than it needed. */
bool batch_covers(const struct batch_record *record, const struct stamp *main_since);
