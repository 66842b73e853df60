/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A copy of a vault that another process may hold, made without a lock and without a write beside the original: for a
 * look at it by another version of the agent. Sealed bytes only. Blocks. */

#include "base/error.h"

/* Copies the database at `path` and its log into the existing directory `directory`, as VAULT_FILE; the copy is what a
 * power cut at one moment would have left. -ENOENT and other errors of opening; -EFBIG; -EAGAIN: it changed all the
 * time. */
int vault_copy(const char *path, const char *directory, struct error *e);
