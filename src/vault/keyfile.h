/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keyfile: the KEYFILE_SIZE random bytes that open the vault, read into the arena. Blocking, small.
 *
 * Below $CREDENTIALS_DIRECTORY only the length is looked at: the service manager guards that directory, and systemd
 * from version 254 on shows its files as 0440 with an ACL. Any other keyfile must belong to root or to us and be closed
 * to group and others; that is asked of the open descriptor, so that what was checked is what is read. */

#include "base/arena.h"

/* `path` NULL: CREDENTIAL_KEY below $CREDENTIALS_DIRECTORY. -ENOENT, -EPERM (owner or mode), -EINVAL (length,
 * not a regular file), -EKEYREJECTED (not random). */
int keyfile_read(struct arena *arena, const char *path, struct secret **ret, struct error *e);
/* The one that a rekey was about to put in its place: CREDENTIAL_KEY_NEXT, or what keyfile_next_path() says of `path`.
 * Mostly there is none: -ENOENT. */
int keyfile_read_next(struct arena *arena, const char *path, struct secret **ret, struct error *e);
/* The checks of a keyfile, for bytes that came in another way. -EINVAL, -EKEYREJECTED. */
int keyfile_check_bytes(const struct secret *key, struct error *e);
