/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A TCP connection to a url, made within a time-out. Any thread; blocks. */

#include "url.h"

#include <stdint.h>

/* Each address of the host is tried for at most `timeout`, all of them for at most twice that. The descriptor
 * blocks. A negative errno comes with its words in `error`. */
int tcp_connect(const struct modbus_url *url, uint64_t timeout, int *ret_fd, char *error, size_t error_size);
