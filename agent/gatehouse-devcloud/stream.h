/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads what a device sends to Golioth's stream: {"ts": time, point: value, ...}, or a list of such. Each value becomes
 * a record of a pack that names no device. Taken whole or not at all. Pure except for the given clock. */

#include "senml.h"

/* -EINVAL, with the record and what is wrong with it; -ENOMEM. */
int stream_read(const char *text, size_t n, uint64_t now, struct senml_pack **ret, struct error *e);
