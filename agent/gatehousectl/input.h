/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Texts that the caller hands in: a file, a pipe, or standard input. */

#include "base/error.h"

/* All of `file` ("-": standard input) up to CONFIG_FILE_MAX bytes, ended by a NUL, which the caller frees. -EFBIG for
 * more. */
int input_read(const char *file, char **ret, struct error *e);
