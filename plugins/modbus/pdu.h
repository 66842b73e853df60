/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The protocol data units of MODBUS Application Protocol V1.1b3: a request into bytes, the bytes of an answer into
 * values. Pure, any thread. */

#include "modbus-limits.h"
#include "plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pdu_function {
    PDU_READ_COILS = 1,
    PDU_READ_DISCRETE = 2,
    PDU_READ_HOLDING = 3,
    PDU_READ_INPUT = 4,
    PDU_WRITE_COIL = 5,
    PDU_WRITE_REGISTER = 6,
    PDU_WRITE_COILS = 15,
    PDU_WRITE_REGISTERS = 16,
    PDU_ENCAPSULATED = 43,
};
#define PDU_EXCEPTION 0x80

/* Section 7; any other code may come too. */
enum pdu_exception {
    EXCEPTION_FUNCTION = 1,
    EXCEPTION_ADDRESS = 2,
    EXCEPTION_VALUE = 3,
    EXCEPTION_FAILURE = 4,
    EXCEPTION_ACKNOWLEDGE = 5,
    EXCEPTION_BUSY = 6,
    EXCEPTION_PARITY = 8,
    EXCEPTION_GATEWAY_PATH = 10,
    EXCEPTION_GATEWAY_TARGET = 11,
};

/* The code in words; static. Codes that the protocol does not define have words that say so. */
const char *pdu_exception_text(int code);

/* Busy, and "accepted, still working": they mean the unit as a whole and pass by themselves. Any other code but the
 * gateways' may be about one of the registers. */
bool pdu_exception_passes(int code);

/* Each writes a request of at most PDU_MAX bytes and returns its size. Of coils and discrete inputs a value is 0 or
 * not. */
size_t pdu_read(enum modbus_table table, uint16_t address, uint16_t count, uint8_t *pdu);
size_t pdu_write(enum modbus_table table, uint16_t address, uint16_t count, const uint16_t *values, bool multiple,
                 uint8_t *pdu);

/* Function 43/14, the basic identification: who made the unit, which product it is, its version. */
struct pdu_identification {
    char texts[3][64];
};
size_t pdu_identify(uint8_t *pdu);
/* The texts of an answer for which pdu_answers holds. */
void pdu_identification(const uint8_t *answer, size_t size, struct pdu_identification *ret);

/* The size that a good answer to this request has, of which the first n bytes are there: more than n as long as that
 * cannot be told. 0: it is none. */
size_t pdu_answer_size_of(const uint8_t *request, size_t size, const uint8_t *answer, size_t n);
/* The size that a good answer to this request has; 0 if it depends on the answer. */
size_t pdu_answer_size(const uint8_t *request, size_t size);
/* Whether a PDU answers the request: a good answer of the right size and, of a write, the right place; or an exception
 * to its function. */
bool pdu_answers(const uint8_t *request, size_t request_size, const uint8_t *answer, size_t answer_size);
/* Of an answer for which pdu_answers holds: the exception's code, or -1. */
int pdu_exception(const uint8_t *answer);
/* The values of a good answer to a read. */
void pdu_values(enum modbus_table table, uint16_t count, const uint8_t *answer, uint16_t *values);
