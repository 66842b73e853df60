/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Commands to devices. What waits for a device is a queue of JSON texts, of which the oldest is what it is shown:
 * {"id":n,"point":s,"value":any}. The device answers with an outcome, {"id":n,"ok":bool,...}, which takes the command
 * off. In memory only. One thread. */

#include "store.h"

#include <json-c/json.h>

struct downlink;

/* Queues a command. With `body` that text stands instead of the command, however wrong it is, until any outcome.
 * *ret_id gets its number. 1: it is what the device is to be shown now; 0: others wait before it; -ENOSPC: too many
 * wait. */
int downlink_add(struct device *d, const char *point, json_object *value, const char *body, int64_t *ret_id,
                 struct error *e);
/* The text of what waits; "" for nothing. */
const char *downlink_state(const struct device *d);
/* An outcome has come, and takes its command off: 1 if the device is to be shown another state now. -EINVAL. */
int downlink_outcome(struct device *d, json_object *outcome, struct error *e);
struct downlink *downlink_free(struct downlink *l);
