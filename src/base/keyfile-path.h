/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a keyfile's successor lies while the vault is being rekeyed: `next` beside a keyfile named `current`, otherwise
 * FILE.next. gatehousectl writes it, the agent looks for it. Pure. */

#include <stddef.h>

/* -ENAMETOOLONG */
int keyfile_next_path(const char *path, char *ret, size_t size);
