/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text that goes with a negative errno: what failed, where, what was expected, and how to mend it.
 *
 * A function that can fail for a reason worth words takes `struct error *e` last; the caller owns it and may pass NULL.
 * Functions in src/ return errors and do not log; programs log them once. Never put key bytes into one. */

#include "base/limits.h"

struct error {
    char text[ERROR_TEXT_MAX];
};

/* Writes the text (cut to fit) unless e is NULL, and returns r, so that `return error_set(e, -EINVAL, "...")` works. */
int error_set(struct error *e, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the present text; returns r. */
int error_prefix(struct error *e, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As error_set, with ": " and the words for -r appended. */
int error_errno(struct error *e, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));
