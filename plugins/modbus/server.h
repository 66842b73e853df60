/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A Modbus server or serial line: its one connection, shared by all devices behind it, and its backoff.
 *
 * server_get and server_put may be called on any thread; all else on the thread of the server's bus, which the host
 * serialises. Each call asks once; repeating is the caller's business. A time-out keeps the connection (see line.h)
 * unless the terms say otherwise, or nothing has come over it for long. */

#include "backoff.h"
#include "line.h"
#include "pdu.h"
#include "plan.h"

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
    int exception;  /* its code, whatever it is; -1 if there was none */
    bool late;      /* also set on success: an older request was answered meanwhile */
    char text[512]; /* in words */
};

/* Observations of a device. Zeroed at start. */
struct modbus_counts {
    uint64_t requests;
    uint64_t timeouts;
    uint64_t crc_errors;
    uint64_t misfits;    /* answers that do not fit their request, or are no Modbus */
    uint64_t connects;   /* that a request of this device made */
    uint64_t exceptions; /* of these by code: */
    struct {
        int code;
        uint64_t n;
    } codes[COUNTED_CODES_MAX];
    uint64_t round_trip; /* of the last answer */
};

/* How a device wants to be talked to. */
struct server_terms {
    unsigned unit;
    uint64_t timeout;
    uint64_t delay_after_connect;
    uint64_t pause;      /* silence before a request */
    uint64_t turnaround; /* silence after a broadcast */
    bool close_on_timeout;
    bool check_transaction;
    bool trace;
    struct gatehouse_device *device; /* whose trace it is, may be NULL */
    struct modbus_counts *counts;    /* may be NULL */
    bool may_be_absent;              /* whoever is asked: silence says nothing about the connection */
};

/* The server of that url, made or shared. -ENOMEM, or -EEXIST with words when it is there with other settings of the
 * line. */
int server_get(const struct modbus_url *url, const struct serial_settings *settings, struct modbus_server **ret,
               char *error, size_t error_size);
struct modbus_server *server_put(struct modbus_server *s);

/* Until when no connection is tried by server_read from a poll (CLOCK_MONOTONIC), and why; 0 if nothing is wrong. */
uint64_t server_retry_at(const struct modbus_server *s);
const char *server_reason(const struct modbus_server *s);
/* Whether it is unit 0's lot on this line to be told and not asked. */
bool server_has_broadcast(const struct modbus_server *s);
/* Whether others than the caller have it. */
bool server_is_shared(const struct modbus_server *s);
/* Ends the connection; the next request makes it anew. */
void server_disconnect(struct modbus_server *s);

/* READ_BITS_MAX values, for whoever polls: on the stack they would be cleared at each request. */
uint16_t *server_room(struct modbus_server *s);
/* Reads `count` registers (bits: each becomes one 0 or 1). 0, or a negative errno with *ret_failure: -EREMOTEIO (an
 * exception), -ETIMEDOUT or -EHOSTUNREACH. */
int server_read(struct modbus_server *s, const struct server_terms *terms, enum modbus_table table, uint16_t address,
                uint16_t count, uint16_t *values, struct modbus_failure *ret_failure);
/* Reads the unit's maker and model. As server_read. */
int server_identify(struct modbus_server *s, const struct server_terms *terms, struct pdu_identification *ret,
                    struct modbus_failure *ret_failure);
/* Writes by function 5 or 6 when it is one and `multiple` is false, else by 15 or 16. Never sent twice: whether an
 * unanswered write was carried out is not known. */
int server_write(struct modbus_server *s, const struct server_terms *terms, enum modbus_table table, uint16_t address,
                 uint16_t count, const uint16_t *values, bool multiple, struct modbus_failure *ret_failure);
