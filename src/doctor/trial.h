/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Handshakes of a check while no agent runs: the attempts of src/uplink, with the key in slot main of each device.
 *
 * Nothing but the handshake is sent, so that no server or broker takes it for the device. Slot backup is left alone: it
 * may have a key of which the cloud must not see a byte yet. Nothing is written down: a rotation wants evidence of its
 * own, made after its last step, and this is none.
 *
 * One device of each uplink goes first. Where it fails by what all have in common (name, route, port, suites), the
 * others are not tried; otherwise up to CHECK_TRIES of them are. A refusal is believed when it comes twice. An uplink
 * without a device that has a key is tried without one, as far as that goes. All ends within CHECK_TRY_WAIT.
 *
 * Blocks and runs the event loop: for a program that does nothing else. */

#include "base/arena.h"
#include "check/findings.h"
#include "config/config.h"
#include "vault/vault.h"

#include <systemd/sd-event.h>

struct trial {
    sd_event *event;
    struct arena *arena;
    struct vault *vault; /* NULL: there is none, or none that can be opened */
    bool none;           /* there is none: no device has a key */
    const struct config *config;
};

/* Adds what the tries show, and how many there were. */
int trial_run(const struct trial *trial, struct findings *f, struct error *e);
