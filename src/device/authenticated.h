/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* When a device's main key authenticated last, on its way into the vault: session.c. Loop thread. */

struct device;
struct vault_change;

/* A time newer than the vault's becomes the first step of a change that is committed anyway. */
void session_add_authenticated(const struct device *d, struct vault_change *change);
