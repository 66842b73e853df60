/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values of points as variants of D-Bus. Pure except for the message. */

#include "base/sample.h"

#include <systemd/sd-bus.h>

int bus_append_value(sd_bus_message *m, const struct sample_value *v);
/* A variant of one of the types of enum sample_type, or u or i, which people write first; its string lives as long as
 * m. -EINVAL for any other, and for what is no valid value. */
int bus_read_value(sd_bus_message *m, struct sample_value *ret);
