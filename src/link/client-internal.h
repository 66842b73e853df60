/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between client.c (connection and reports) and client-call.c (what the agent asks of us). Included by these only. */

#include "link/client.h"

/* client-call.c */
int client_add_methods(sd_bus *bus, struct link_client *c);

/* client.c */
const struct link_client_ops *client_ops(struct link_client *c, void **ret_userdata);
