/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the control socket's commands do; control.h lists them. One thread. */

#include "server.h"

#include <json-c/json.h>

/* Runs one line; the answer belongs to the caller and is never NULL. */
json_object *commands_run(struct server *s, const char *line, size_t n);
