/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether what is written to a directory would be gone after a reboot: tmpfs, ramfs, an overlay whose upper directory
 * is on one of those ("overlay file system" of Raspberry Pi OS) or which is mounted `volatile`. Blocking, at start. */

#include <stddef.h>
#include <sys/types.h>

enum volatile_answer {
    VOLATILE_NO,
    VOLATILE_YES,
    VOLATILE_UNKNOWN, /* an overlay whose upper directory cannot be looked at */
};

#define VOLATILE_WHY_MAX 256

/* `why` gets the reason unless the answer is VOLATILE_NO. Or -errno. */
int volatile_check(const char *path, char why[VOLATILE_WHY_MAX]);

enum overlay_answer {
    OVERLAY_UPPER,      /* *upper holds the upper directory */
    OVERLAY_NO_UPPER,   /* read-only */
    OVERLAY_NEVER_SYNC, /* mounted volatile */
    OVERLAY_NOT_FOUND,
};

/* Looks in the text of a mountinfo file for the overlay mount with this id, or else, with mount_id 0, with this device.
 * Pure. The upper directory is unescaped; it is cut off never: too long counts as not found. */
enum overlay_answer overlay_find(const char *mountinfo, unsigned long long mount_id, dev_t device, char *upper,
                                 size_t size);
