/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a bus is: tcp://HOST[:PORT], rtu+tcp://HOST[:PORT], rtu:/dev/NAME[?baud=9600&parity=none&stop=1&data=8]. The
 * one place that knows the forms of a url. Pure, any thread. */

#include "modbus-limits.h"

#include <stdbool.h>
#include <stddef.h>

enum modbus_transport {
    TRANSPORT_TCP,
    TRANSPORT_RTU_TCP, /* RTU frames inside TCP: a serial server that converts nothing */
    TRANSPORT_RTU,
};

enum serial_parity {
    PARITY_NONE,
    PARITY_EVEN,
    PARITY_ODD,
    PARITY_MARK,
    PARITY_SPACE,
};

struct modbus_url {
    enum modbus_transport transport;
    char host[HOST_MAX]; /* a name, or an address without brackets; of RTU the device's path */
    char port[8];        /* empty for RTU */
    unsigned baud;
    enum serial_parity parity;
    unsigned stop; /* bits */
};

#define MODBUS_TCP_PORT "502"

/* 0, or -EINVAL with what is wrong and what was expected in `error`. */
int modbus_url_parse(const char *text, struct modbus_url *ret, char *error, size_t error_size);
/* The name of the bus: two urls of the same server or serial line give the same text. */
void modbus_url_bus(const struct modbus_url *url, char *bus, size_t size);
/* "9600 baud, parity none, 1 stop bit" */
void modbus_url_mode(const struct modbus_url *url, char *text, size_t size);
/* How long n characters take on a serial line. */
uint64_t modbus_url_time(const struct modbus_url *url, size_t n);
/* The default silence between two frames: 3.5 characters (1.75 ms above 19200 baud), at least GAP_MIN. */
uint64_t modbus_url_gap(const struct modbus_url *url);
/* "none" and so on */
const char *serial_parity_name(enum serial_parity parity);
