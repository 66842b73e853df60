/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An uplink's settings in the configuration as those of src/uplink. Pure; the result refers to what it was given. */

#include "config/config.h"
#include "uplink/session.h"

struct uplink_options uplink_settings(const struct config_uplink *settings, const struct arena *arena);
