/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* --check-handshakes: the part of `gatehousectl check` that needs keys, while no agent runs. A copy of the vault is
 * opened, so the vault itself is only read; as root, the rights of the agent's user are taken on before the first
 * packet. Keys stay in this process, in the arena. */

#include "options.h"

#include "config/config.h"

#include <systemd/sd-event.h>

/* Prints {"findings": [...]} on standard output; returns the exit status. */
int check_handshakes(sd_event *event, const struct options *o, const struct config *config);
