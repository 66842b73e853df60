/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Operations on the whole vault while no agent runs. Each reports its result and returns an exit status. */

#include "options.h"

#include "config/config.h"
#include "vault/vault.h"

/* Says how a vault is opened again of which the keyfile is missing, or is not its own. */
void care_ways_back(const struct options *o, const struct config *config, const char *vault);
int care_backup(struct vault *vault, const struct options *o);
/* Opened with the recovery key, for the present keyfile and bind value. */
int care_recover(const struct options *o, const struct config *config);
int care_restore(const struct options *o, const struct config *config);
