/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Command line options, for every program of ours. getopt_long() takes any beginning of an option's name for the
 * option: a script that has typed one means another, or none, once an option is added. */

#include <getopt.h>

/* As getopt_long(), with names in full only; '?' after saying what is wrong on standard error, unless opterr is 0. Not
 * thread-safe, as getopt_long() is not. */
int options_next(int argc, char **argv, const char *letters, const struct option *options);
