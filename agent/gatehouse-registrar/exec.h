/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs the administrator's program for one request: the request as JSON on its standard input, the answer as JSON on
 * its standard output, within the request's time limit. The program has a session and a process group of its own, which
 * is killed when it has ended or its time is over; it inherits no descriptor but standard error, and an environment of
 * PATH, LANG and, if there is one, CREDENTIALS_DIRECTORY. Blocks. */

#include "outcome.h"
#include "request.h"

/* 0, with the outcome. `directory`: the only place that programs are taken from. */
int exec_serve(const struct request *q, const char *directory, struct outcome *out);
