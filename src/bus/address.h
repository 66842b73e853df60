/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the system bus listens. Pure. */

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The first of a D-Bus address list that is a local socket (unix:path=, unix:abstract=). NULL: the usual place.
 * -EINVAL: there is none in it. */
int address_parse(const char *text, struct sockaddr_un *ret, socklen_t *ret_size);
