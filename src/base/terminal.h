/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Secrets typed at a terminal are not shown on it. For programs of one thread, one terminal at a time.
 *
 * Between the two calls a signal that ends or suspends the program puts the terminal right first; a read() that it
 * interrupts is restarted. */

#include "base/error.h"

/* Turns the echo off, drops what was typed before, and asks with `prompt` on standard error. */
int terminal_hide(int fd, const char *prompt, struct error *e);
/* As it was before terminal_hide(). */
void terminal_show(void);
