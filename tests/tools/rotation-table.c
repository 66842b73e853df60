/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the rotation table, as the manual page has it. */
#include "rotation/table.h"

#include <stdio.h>

int main(void)
{
    rotation_print_table(stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}
