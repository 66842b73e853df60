/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Consequences of the events of a device's main connection. Loop thread. */

#include "device/connection.h"

extern const struct connection_ops device_connection_ops;
