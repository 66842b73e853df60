/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dumps.h"

#include <sys/prctl.h>
#include <sys/resource.h>

/* A key must not reach a core file or a debugger of the same user. */
void dumps_forbid(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
}
