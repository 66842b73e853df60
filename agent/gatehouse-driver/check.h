/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* --check-config: the plugin reads the sections and points of devices, a JSON object a line of standard input, and its
 * complaints go to standard output, [[pointer, message], ...] a line. No device is opened. */

#include "driver.h"

#include <stdio.h>

/* 0, or a negative errno with words. */
int check_lines(struct driver *d, FILE *in, FILE *out, struct error *e);
