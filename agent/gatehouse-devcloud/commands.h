/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The commands of the control socket; control.h lists them. One thread. */

#include "https.h"
#include "server.h"

#include <json-c/json.h>

/* The objects that commands act upon. */
struct cloud {
    struct server *server;
    struct https *https; /* NULL: no management calls */
    bool has_snapshot;
    size_t snapshot; /* how many changes there were */
};

/* Runs one line; the answer belongs to the caller and is never NULL. */
json_object *commands_run(struct cloud *cloud, const char *line, size_t n);
