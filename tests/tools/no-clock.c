/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linked into an agent, a driver and a gatehouse-registrar of their own: nobody has set the clock, and there is no
 * other to trust, until there is a file called $NO_CLOCK_UNTIL. */
#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

bool __wrap_clock_synchronized(void);
enum clock_verdict __wrap_clock_look(void);

bool __wrap_clock_synchronized(void)
{
    const char *until = getenv("NO_CLOCK_UNTIL");

    return until && access(until, F_OK) == 0;
}

enum clock_verdict __wrap_clock_look(void)
{
    return __wrap_clock_synchronized() ? CLOCK_RIGHT : CLOCK_UNSET;
}
