/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a backup: refused, or a head that is written as it was read, with all behind it as the sealed box. */
#include "vault/backup.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t head[BACKUP_HEAD_SIZE];
    struct backup b;

    if (backup_parse(data, size, &b) < 0)
        return 0;
    if (b.box != data + BACKUP_HEAD_SIZE || b.box_size != size - BACKUP_HEAD_SIZE || b.box_size <= SEAL_OVERHEAD)
        abort();
    backup_head(&b.sealed, b.sealed.bound ? NULL : b.wrap, head);
    /* Without a recovery wrap its place is zero, whatever stood there. */
    if (memcmp(head, data,
               b.sealed.has_recovery ? BACKUP_HEAD_SIZE : BACKUP_HEAD_SIZE - KEYFILE_CHECK_SIZE - WRAP_SIZE) != 0)
        abort();
    return 0;
}
