/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs a program of ours to its end, or to the end of its time, and takes what it prints. Blocks; any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check_run {
    const char *const *argv; /* NULL-terminated, begins with the program's path */
    bool errors;             /* standard error is taken, too; otherwise it goes nowhere */
    uint64_t wait;           /* microseconds, after which it is killed */
};

/* Text of up to size - 1 bytes into `ret`, and the exit status; -ETIMEDOUT, -ECHILD if a signal ended it, or why it
 * could not be started. */
int check_run(const struct check_run *run, char *ret, size_t size);
