/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The start of a program that holds keys: all symbols bound, and none of the variables by which a library would write
 * keys to a file, or take other ciphers, engines or certificates than its caller asks for.
 *
 * Lazy binding stores the vector registers on the stack at the first call of each function, with what a copy of a key
 * left in them. The loader decides how the libraries below ours are bound, and some variables are read before main().
 * So the program executes itself once more in the same process, without a fork: main process, descriptors and signals
 * stay. A unit that sets LD_BIND_NOW=1 and unsets the others saves that.
 *
 * Main thread, first thing in main(), before any key is read. For a tool that does not follow an exec (valgrind), set
 * LD_BIND_NOW=1. */

#include "base/error.h"

#include <stdbool.h>

/* Returns 0 if nothing is left to do, and does not return if the program begins once more. -EPERM: it has more rights
 * than its caller, so the loader would not obey. Otherwise execve()'s errno: the program must not go on. */
int startup_clean(char **argv, struct error *e);

/* Whether a variable ("NAME=value" or "NAME") is taken away. Pure. */
bool startup_forbids(const char *variable);
/* The environment to begin with, in a new array of the old strings, or NULL with *ret_r 0 when the old one will do;
 * -ENOMEM. */
char **startup_environment(char *const *old, int *ret_r);
