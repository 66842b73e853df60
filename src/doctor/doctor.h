/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The agent's half of a check: Check on the bus, a job whose results are findings.
 *
 * Division of work. The agent knows its devices, their last handshakes (and so names, routes and servers), vault,
 * spool, clock and drivers, and is asked for these; its sandbox hides the rest of the machine from it. Modes and
 * owners, serial ports, radios, the kernel's command line and plugins are looked at by gatehousectl with the rights of
 * its caller (src/check), which works when the agent does not run, too.
 *
 * Devices that are connecting are waited for, CHECK_WAIT in all, so that a check right after a change sees what came of
 * it; the rest is read from memory, DEVICES_PER_TURN in each turn of the loop. One check runs at a time, a second one
 * joins it. Loop thread; owned by the bus, and freed before the fleet. */

#include "base/cleanup.h"
#include "device/fleet.h"

#include <systemd/sd-event.h>

struct doctor;

int doctor_new(sd_event *event, struct fleet *fleet, struct doctor **ret);
/* A job under way ends as cancelled. */
struct doctor *doctor_free(struct doctor *d);
DEFINE_FREEP(struct doctor, doctor_free)

int doctor_check(struct doctor *d, struct job **ret_job, struct error *e);

/* The error that a person should look at first, or else the samples of a device that is not there, with the command
 * that mends it, in one line for `status`, `list` and the service manager: "ID: SUBJECT: CAUSE; mend: COMMAND". "":
 * none. Of a large fleet only devices whose state shows it are looked at. */
const char *doctor_problem(struct fleet *fleet, char *buffer, size_t size);
