/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs the event loop to its end; at log level debug each turn that took long leaves a line in the journal: how long
 * the loop looked at nothing else. Time that other processes took of the processor meanwhile is not counted. */

#include <systemd/sd-event.h>

/* As sd_event_loop(). */
int loop_run(sd_event *event);
