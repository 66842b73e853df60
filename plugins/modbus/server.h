/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A Modbus server: its one connection, shared by all devices behind it, and its backoff.
 *
 * server_get and server_put may be called on any thread; all else on the thread of the server's bus, which the host
 * serialises. A failure leaves no late answer behind: after a time-out or an answer out of order the connection is
 * closed and made anew by the next request. */

#include "backoff.h"
#include "plan.h"
#include "url.h"

#include <stdbool.h>
#include <stdint.h>

struct modbus_server;

enum failure_kind {
    FAILURE_EXCEPTION, /* the unit answered that it will not */
    FAILURE_UNIT,      /* the unit does not answer, or not sensibly; others on the server may */
    FAILURE_SERVER,    /* no connection; nobody on the server will answer before server_retry_at() */
};

struct modbus_failure {
    enum failure_kind kind;
    int exception;  /* FAILURE_EXCEPTION: the code of section 7, 0 if libmodbus does not know it */
    char text[512]; /* in words */
};

/* How a device wants to be talked to. */
struct server_terms {
    unsigned unit;
    uint64_t timeout;
    unsigned retries;
    uint64_t delay_after_connect;
    uint64_t delay_between_requests;
};

/* The server of that url, made or shared. NULL: out of memory. */
struct modbus_server *server_get(const struct modbus_url *url);
struct modbus_server *server_put(struct modbus_server *s);

/* Until when no connection is tried by server_read from a poll (CLOCK_MONOTONIC), and why; 0 if nothing is wrong. */
uint64_t server_retry_at(const struct modbus_server *s);
const char *server_reason(const struct modbus_server *s);

/* An exception code in words; static. */
const char *server_exception_text(int code);

/* Reads `count` registers (bits: each becomes one 0 or 1). Tried again as often as the terms say, exceptions excepted.
 * 0, or a negative errno with *ret_failure: -EREMOTEIO (an exception), -ETIMEDOUT or -EHOSTUNREACH. */
int server_read(struct modbus_server *s, const struct server_terms *terms, enum modbus_table table, uint16_t address,
                uint16_t count, uint16_t *values, struct modbus_failure *ret_failure);
/* Writes by function 5 or 6 when it is one and `multiple` is false, else by 15 or 16. Never sent twice: whether an
 * unanswered write was carried out is not known. */
int server_write(struct modbus_server *s, const struct server_terms *terms, enum modbus_table table, uint16_t address,
                 uint16_t count, const uint16_t *values, bool multiple, struct modbus_failure *ret_failure);
