/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pdu.h"

#include <string.h>

const char *pdu_exception_text(int code)
{
    switch (code) {
    case EXCEPTION_FUNCTION:
        return "illegal function";
    case EXCEPTION_ADDRESS:
        return "illegal data address";
    case EXCEPTION_VALUE:
        return "illegal data value";
    case EXCEPTION_FAILURE:
        return "device failure";
    case EXCEPTION_ACKNOWLEDGE:
        return "accepted, still working on it";
    case EXCEPTION_BUSY:
        return "device busy";
    case 7:
        return "negative acknowledgement";
    case EXCEPTION_PARITY:
        return "memory parity error";
    case EXCEPTION_GATEWAY_PATH:
        return "gateway: no path to the unit";
    case EXCEPTION_GATEWAY_TARGET:
        return "gateway: the unit does not respond";
    default:
        return "a code of the maker's own";
    }
}

bool pdu_exception_passes(int code)
{
    return code == EXCEPTION_ACKNOWLEDGE || code == EXCEPTION_BUSY;
}

static uint8_t *put16(uint8_t *p, unsigned value)
{
    *p++ = (uint8_t)(value >> 8);
    *p++ = (uint8_t)value;
    return p;
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

size_t pdu_read(enum modbus_table table, uint16_t address, uint16_t count, uint8_t *pdu)
{
    static const uint8_t functions[] = {[TABLE_COIL] = PDU_READ_COILS,
                                        [TABLE_DISCRETE] = PDU_READ_DISCRETE,
                                        [TABLE_INPUT] = PDU_READ_INPUT,
                                        [TABLE_HOLDING] = PDU_READ_HOLDING};

    pdu[0] = functions[table];
    return (size_t)(put16(put16(pdu + 1, address), count) - pdu);
}

size_t pdu_write(enum modbus_table table, uint16_t address, uint16_t count, const uint16_t *values, bool multiple,
                 uint8_t *pdu)
{
    bool bits = modbus_table_is_bits(table);
    uint8_t *p = put16(pdu + 1, address);

    if (count == 1 && !multiple) {
        pdu[0] = bits ? PDU_WRITE_COIL : PDU_WRITE_REGISTER;
        p = put16(p, !bits ? values[0] : values[0] ? 0xff00 : 0);
        return (size_t)(p - pdu);
    }
    pdu[0] = bits ? PDU_WRITE_COILS : PDU_WRITE_REGISTERS;
    p = put16(p, count);
    size_t n = bits ? (count + 7u) / 8u : 2u * count;
    *p++ = (uint8_t)n;
    if (bits) {
        memset(p, 0, n);
        for (unsigned i = 0; i < count; i++)
            p[i / 8] |= (uint8_t)((values[i] != 0) << i % 8);
        p += n;
    } else {
        for (unsigned i = 0; i < count; i++)
            p = put16(p, values[i]);
    }
    return (size_t)(p - pdu);
}

size_t pdu_answer_size(const uint8_t *request, size_t size)
{
    if (size < 5)
        return 0;
    switch (request[0]) {
    case PDU_READ_COILS:
    case PDU_READ_DISCRETE:
        return 2 + (get16(request + 3) + 7) / 8;
    case PDU_READ_HOLDING:
    case PDU_READ_INPUT:
        return 2 + 2 * (size_t)get16(request + 3);
    case PDU_WRITE_COIL:
    case PDU_WRITE_REGISTER:
    case PDU_WRITE_COILS:
    case PDU_WRITE_REGISTERS:
        return 5;
    default:
        return 0;
    }
}

/* --- identification --- */

#define IDENTIFY_TYPE 14
#define IDENTIFY_BASIC 1
#define IDENTIFY_HEAD 7 /* function, type, category, conformity, more follows, next object, how many */

size_t pdu_identify(uint8_t *pdu)
{
    const uint8_t request[] = {PDU_ENCAPSULATED, IDENTIFY_TYPE, IDENTIFY_BASIC, 0};

    memcpy(pdu, request, sizeof request);
    return sizeof request;
}

/* Each object is its id, its length and so many bytes. */
static size_t identification_size(const uint8_t *answer, size_t n)
{
    size_t at = IDENTIFY_HEAD;

    if (n >= 2 && answer[1] != IDENTIFY_TYPE)
        return 0;
    if (n < IDENTIFY_HEAD)
        return n + 1;
    for (unsigned i = 0; i < answer[6]; i++) {
        if (at + 2 > n)
            return n + 1;
        at += 2u + answer[at + 1];
    }
    return at <= PDU_MAX ? at : 0;
}

void pdu_identification(const uint8_t *answer, size_t size, struct pdu_identification *ret)
{
    size_t at = IDENTIFY_HEAD;

    *ret = (struct pdu_identification){0};
    for (unsigned i = 0; i < answer[6] && at + 2 <= size; i++, at += 2u + answer[at + 1]) {
        unsigned id = answer[at], n = answer[at + 1];
        if (id >= 3)
            continue;
        char *text = ret->texts[id];
        for (unsigned k = 0; k < n && k + 1 < sizeof ret->texts[0] && at + 2 + k < size; k++) {
            uint8_t byte = answer[at + 2 + k];
            text[k] = (char)(byte >= 0x20 && byte < 0x7f ? byte : '?');
        }
    }
}

size_t pdu_answer_size_of(const uint8_t *request, size_t size, const uint8_t *answer, size_t n)
{
    return request[0] == PDU_ENCAPSULATED ? identification_size(answer, n) : pdu_answer_size(request, size);
}

bool pdu_answers(const uint8_t *request, size_t request_size, const uint8_t *answer, size_t answer_size)
{
    if (answer_size < 2 || (answer[0] & ~PDU_EXCEPTION) != request[0])
        return false;
    if (answer[0] & PDU_EXCEPTION)
        return true;
    if (answer_size != pdu_answer_size_of(request, request_size, answer, answer_size))
        return false;
    if (request[0] == PDU_ENCAPSULATED)
        return true;
    /* A read says how many bytes follow; a write repeats the place, and what was written or how much. */
    if (request[0] <= PDU_READ_INPUT)
        return answer[1] == answer_size - 2;
    return memcmp(answer + 1, request + 1, 4) == 0;
}

int pdu_exception(const uint8_t *answer)
{
    return answer[0] & PDU_EXCEPTION ? answer[1] : -1;
}

void pdu_values(enum modbus_table table, uint16_t count, const uint8_t *answer, uint16_t *values)
{
    for (unsigned i = 0; i < count; i++)
        values[i] =
            (uint16_t)(modbus_table_is_bits(table) ? answer[2 + i / 8] >> i % 8 & 1 : get16(answer + 2 + 2 * i));
}
