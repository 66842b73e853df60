/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation/batch.h"

#include "rotation/number.h"

#include <errno.h>
#include <string.h>

/* No version of a device's own state (blob.c) is the same. Numbers are big-endian. */
#define VERSION 0xb1
#define FLAG_COMPROMISED 1
#define RECORD_SIZE (1 + 1 + 16 + 16 + 8 + 8)

_Static_assert(RECORD_SIZE <= BATCH_RECORD_MAX, "a record must fit");

ssize_t batch_encode(const struct batch_record *record, uint8_t *blob, size_t size)
{
    uint8_t *p = blob;

    if (size < RECORD_SIZE)
        return -ENOBUFS;
    *p++ = VERSION;
    *p++ = record->compromised ? FLAG_COMPROMISED : 0;
    memcpy(p, record->id, sizeof(record->id));
    memcpy(p + 16, record->begun.boot, sizeof(record->begun.boot));
    p = put_number(put_number(p + 32, record->begun.boottime), record->begun.realtime);
    return p - blob;
}

int batch_decode(const void *blob, size_t n, struct batch_record *ret)
{
    const uint8_t *p = blob;
    struct batch_record record = {0};

    if (n != RECORD_SIZE || p[0] != VERSION || p[1] & ~FLAG_COMPROMISED)
        return -EINVAL;
    record.compromised = p[1] & FLAG_COMPROMISED;
    memcpy(record.id, p + 2, sizeof(record.id));
    memcpy(record.begun.boot, p + 18, sizeof(record.begun.boot));
    record.begun.boottime = get_number(p + 34);
    record.begun.realtime = get_number(p + 42);
    *ret = record;
    return 0;
}

bool batch_covers(const struct batch_record *record, const struct stamp *main_since)
{
    const struct stamp *begun = &record->begun;

    if (!stamp_is_set(main_since) || stamp_is_assumed(main_since))
        return false;
    if (memcmp(begun->boot, main_since->boot, sizeof(begun->boot)) == 0)
        return main_since->boottime > begun->boottime;
    return begun->realtime != 0 && main_since->realtime > begun->realtime;
}
