/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The durable part of a rotation, and the record of a fleet's: what is decoded is encoded again to the same bytes. */
#include "rotation/batch.h"
#include "rotation/machine.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[ROTATION_BLOB_MAX];
    struct batch_record record;
    struct rotation_durable d;

    if (batch_decode(data, size, &record) >= 0 &&
        (batch_encode(&record, again, sizeof(again)) != (ssize_t)size || memcmp(again, data, size) != 0))
        abort();
    if (rotation_decode(data, size, &d) < 0)
        return 0;
    if (rotation_encode(&d, again, sizeof(again)) != (ssize_t)size || memcmp(again, data, size) != 0)
        abort();
    return 0;
}
