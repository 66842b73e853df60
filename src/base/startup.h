/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a program that holds keys begins: with every symbol bound, and without the variables by which a library would
 * write keys down, or choose other ciphers, engines or certificates than its caller.
 *
 * Lazy binding stores the vector registers on the stack at the first call of each function, with what a copy of a key
 * has left in them. How the libraries below ours are bound is the loader's decision, and some variables are read before
 * main(): so the program executes itself once more, in the same process (no fork: systemd's main process, its
 * descriptors and signals stay). A unit that sets LD_BIND_NOW=1 itself, and unsets the others, saves that.
 *
 * Main thread, first thing in main(), before there is a key. To debug with a tool that does not follow an exec, set
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
