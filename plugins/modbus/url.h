/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a Modbus server is: tcp://HOST[:PORT]. The one place that knows the forms of a url; a further transport is a
 * further enum modbus_transport here and a case in server.c's open_line. Pure, any thread. */

#include "modbus-limits.h"

#include <stddef.h>

enum modbus_transport {
    TRANSPORT_TCP,
};

struct modbus_url {
    enum modbus_transport transport;
    char host[HOST_MAX]; /* a name, or an address without brackets */
    char port[8];
};

#define MODBUS_TCP_PORT "502"

/* 0, or -EINVAL with what is wrong and what was expected in `error`. */
int modbus_url_parse(const char *text, struct modbus_url *ret, char *error, size_t error_size);
/* The name of the bus: two urls of the same server give the same text. */
void modbus_url_bus(const struct modbus_url *url, char *bus, size_t size);
