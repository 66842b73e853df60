/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The profiles of a configuration's uplinks: what each one's cloud is told, as it was read. */

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>

struct profile;

/* In the order of the uplinks. */
struct profiles {
    struct profile **list; /* references */
    size_t n;
};

/* Blocks on files, and touches nothing but its own. -EBADMSG with all mistakes, -ENOMEM. */
int profiles_read(const struct config *config, const char *config_dir, struct profiles *ret, struct mistakes *mistakes);
void profiles_done(struct profiles *p);
/* Whether the device's cloud can be told of it: by its id, and by those of its points. Mistakes are noted. */
bool profiles_take(const struct profiles *profiles, const struct config *config, const struct config_device *d,
                   struct mistakes *mistakes);
/* The same of all of the configuration's. 0, -EBADMSG, -ENOMEM. */
int profiles_check_devices(const struct profiles *p, const struct config *config, struct mistakes *mistakes);
/* That of one of the uplinks of the configuration that they were read for, or of one made from it. */
struct profile *profiles_of(const struct profiles *p, const struct config *config, const char *uplink);
