/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library that is bound lazily, as most are: its first call of another's function goes through the loader. */
#include <unistd.h>

int lazy_call(void);

int lazy_call(void)
{
    return getppid() > 0;
}
