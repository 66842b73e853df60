/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A serial device as Modbus RTU needs it: raw, exclusive, with whatever switches an RS-485 driver. Blocks for no longer
 * than the bytes need on the wire and DRAIN_MAX; opening never waits for a carrier. On the bus's thread. */

#include "url.h"

#include <stdint.h>

enum rs485_mode {
    RS485_AUTO,   /* as the kernel has it: a device tree or udev rule may have set it up; adapters do it themselves */
    RS485_KERNEL, /* TIOCSRS485, or no line */
    RS485_RTS,    /* RTS is switched from here */
    RS485_NONE,   /* switched off where the kernel has it on */
};

enum serial_echo {
    ECHO_AUTO, /* found out from the answers */
    ECHO_YES,
    ECHO_NO,
};

/* Of the line as a whole: all its devices say the same. */
struct serial_settings {
    enum rs485_mode rs485;
    uint64_t rts_delay; /* between RTS and the first bit */
    enum serial_echo echo;
    bool low_latency;
};

/* The descriptor is nonblocking. A negative errno comes with its words in `error`. */
int serial_open(const struct modbus_url *url, const struct serial_settings *settings, int *ret_fd, char *error,
                size_t error_size);
/* Drops what has not been sent first, so that it never waits. */
void serial_close(int fd);
/* Drops what was received. */
void serial_flush(int fd);
/* Sends, and returns when the last bit should be on the wire. */
int serial_send(int fd, const struct modbus_url *url, const struct serial_settings *settings, const uint8_t *bytes,
                size_t n);
