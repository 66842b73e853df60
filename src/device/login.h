/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device's login: a user name and a password for a broker that wants both beside the key. Put into the vault for the
 * uplink that the device has then; the uplink's sessions take it from there (vault/key.h), and no other uplink's.
 *
 * Loop thread. The login passes from descriptor to vault; no byte of it stands here. */

#include "device/device.h"

struct fleet;
struct login_act;

/* device.c, fleet.c */
void login_done(struct device *d);
/* Commits still under way end. */
void logins_leave(struct fleet *f);

/* The device with that uplink is gone, at its cloud as well: its login goes, whatever uplink that is for. If there is
 * another device of that id, the login stays unless it is for this uplink and not for the other device's. */
void login_forget_of(struct fleet *f, const char *id, const char *uplink);
/* "" if it has none for its uplink. Valid as long as the vault's entry. */
const char *login_fingerprint(const struct device *d);
