/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A directory for what a test writes, in the one for temporary files that the environment names: the tests write
 * durably, and most of their time would be the disk's. Included after cmocka.h; the caller removes the directory. */

#include <stdio.h>
#include <stdlib.h>

static inline void scratch_directory(char *ret, size_t size, const char *name)
{
    const char *parent = getenv("TMPDIR");

    if (snprintf(ret, size, "%s/gatehouse-%s-XXXXXX", parent && *parent ? parent : "/tmp", name) >= (int)size)
        fail_msg("the path in TMPDIR is too long");
    assert_non_null(mkdtemp(ret));
}
