/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frame.h"

#include "pdu.h"

#include <string.h>

#define MBAP_SIZE 7
#define CRC_SIZE 2
#define RTU_OVERHEAD (1 + CRC_SIZE)
#define RTU_EXCEPTION_SIZE (2 + RTU_OVERHEAD)
#define RTU_SINGLE_SIZE (5 + RTU_OVERHEAD) /* a read's request; a write's answer, and the request if it writes one */

uint16_t frame_crc(const uint8_t *bytes, size_t n)
{
    static const uint16_t nibbles[16] = {0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401,
                                         0xa001, 0x6c00, 0x7800, 0xb401, 0x5000, 0x9c01, 0x8801, 0x4400};
    uint16_t crc = 0xffff;

    for (size_t i = 0; i < n; i++) {
        crc = (uint16_t)(crc >> 4 ^ nibbles[(crc ^ bytes[i]) & 0xf]);
        crc = (uint16_t)(crc >> 4 ^ nibbles[(crc ^ bytes[i] >> 4) & 0xf]);
    }
    return crc;
}

static bool crc_fits(const uint8_t *frame, size_t n)
{
    return frame_crc(frame, n - CRC_SIZE) == (frame[n - 2] | frame[n - 1] << 8);
}

size_t frame_encode(const struct frame_request *r, uint8_t *adu)
{
    if (r->framing == FRAMING_TCP) {
        size_t length = 1 + r->pdu_size;
        const uint8_t head[MBAP_SIZE] = {(uint8_t)(r->transaction >> 8), (uint8_t)r->transaction, 0,      0,
                                         (uint8_t)(length >> 8),         (uint8_t)length,         r->unit};
        memcpy(adu, head, sizeof head);
        memcpy(adu + MBAP_SIZE, r->pdu, r->pdu_size);
        return MBAP_SIZE + r->pdu_size;
    }
    adu[0] = r->unit;
    memcpy(adu + 1, r->pdu, r->pdu_size);
    uint16_t crc = frame_crc(adu, 1 + r->pdu_size);
    adu[1 + r->pdu_size] = (uint8_t)crc;
    adu[2 + r->pdu_size] = (uint8_t)(crc >> 8);
    return r->pdu_size + RTU_OVERHEAD;
}

size_t frame_answer_size(const struct frame_request *r)
{
    size_t size = pdu_answer_size(r->pdu, r->pdu_size);

    return (size > 0 ? size : PDU_MAX) + (r->framing == FRAMING_TCP ? MBAP_SIZE : RTU_OVERHEAD);
}

static void drop(struct frame_buffer *b, size_t n)
{
    b->n -= n;
    memmove(b->bytes, b->bytes + n, b->n);
}

/* --- TCP --- */

/* The size of the frame at the start of the buffer; 0 if its head is not there yet, -1 if this is no frame. */
static int mbap_size(const uint8_t *bytes, size_t n)
{
    if (n < 6)
        return 0;
    unsigned length = (unsigned)bytes[4] << 8 | bytes[5];
    return bytes[2] != 0 || bytes[3] != 0 || length < 3 || length > 1 + PDU_MAX ? -1 : (int)length + 6;
}

/* Units 0 and 255 name the server itself, which may answer by its own number. */
static bool unit_fits(uint8_t asked, uint8_t answered)
{
    return answered == asked || asked == 0 || asked == 255;
}

static enum frame_verdict judge(const struct frame_request *r, const uint8_t *frame, size_t n, struct frame_answer *ret,
                                struct frame_noise *noise)
{
    unsigned transaction = (unsigned)frame[0] << 8 | frame[1];
    const uint8_t *pdu = frame + MBAP_SIZE;
    size_t size = n - MBAP_SIZE;

    if (r->check_transaction && transaction != r->transaction) {
        noise->strays++;
        return FRAME_WAIT;
    }
    if (!unit_fits(r->unit, frame[6])) {
        noise->strays++;
        noise->other_units++;
        return FRAME_WAIT;
    }
    if (pdu_answers(r->pdu, r->pdu_size, pdu, size)) {
        memcpy(ret->pdu, pdu, size);
        ret->pdu_size = size;
        return FRAME_GOOD;
    }
    noise->strays++;
    return r->check_transaction ? FRAME_ODD : FRAME_WAIT;
}

static enum frame_verdict take_tcp(struct frame_buffer *b, const struct frame_request *r, struct frame_answer *ret,
                                   struct frame_noise *noise)
{
    enum frame_verdict verdict = FRAME_WAIT;

    while (verdict == FRAME_WAIT) {
        int size = mbap_size(b->bytes, b->n);
        if (size < 0)
            return FRAME_LOST;
        if (size == 0 || (size_t)size > b->n)
            return FRAME_WAIT;
        verdict = judge(r, b->bytes, (size_t)size, ret, noise);
        drop(b, (size_t)size);
    }
    return verdict;
}

/* --- RTU --- */

/* The request of another master to the same unit and function: the answer behind it is not ours. */
static bool is_foreign_request(const struct frame_request *r, const uint8_t *at, size_t n)
{
    return n >= RTU_SINGLE_SIZE && r->pdu[0] <= PDU_READ_INPUT && at[0] == r->unit && at[1] == r->pdu[0] &&
           crc_fits(at, RTU_SINGLE_SIZE) && memcmp(at + 1, r->pdu, r->pdu_size) != 0;
}

/* The size that the answer has if it begins here; 0 if it does not. */
static size_t rtu_size(const struct frame_request *r, const uint8_t *at, size_t n)
{
    size_t size;

    if (n < 2 || at[0] != r->unit)
        return 0;
    if (at[1] == (r->pdu[0] | PDU_EXCEPTION))
        return RTU_EXCEPTION_SIZE;
    size = pdu_answer_size_of(r->pdu, r->pdu_size, at + 1, n - 1);
    if (at[1] != r->pdu[0] || size == 0)
        return 0;
    if (n < size + RTU_OVERHEAD)
        return size + RTU_OVERHEAD;
    return pdu_answers(r->pdu, r->pdu_size, at + 1, size) ? size + RTU_OVERHEAD : 0;
}

struct match {
    size_t begin, end;
    unsigned bad_crc;
    unsigned skipped; /* answers to another master */
};

/* Of all that match, the answer whose last byte came first: so it does not matter in which pieces they came. */
static bool find_rtu(const struct frame_buffer *b, const struct frame_request *r, struct match *m)
{
    size_t skip_from = SIZE_MAX;

    *m = (struct match){.end = SIZE_MAX};
    for (size_t i = 0; i < b->n; i++) {
        size_t size = rtu_size(r, b->bytes + i, b->n - i);
        if (skip_from == SIZE_MAX && is_foreign_request(r, b->bytes + i, b->n - i))
            skip_from = i + RTU_SINGLE_SIZE;
        if (size == 0 || i + size > b->n || i + size >= m->end)
            continue;
        if (!crc_fits(b->bytes + i, size)) {
            m->bad_crc++;
        } else if (i >= skip_from) {
            skip_from = SIZE_MAX;
            m->skipped++;
        } else {
            m->begin = i;
            m->end = i + size;
        }
    }
    return m->end != SIZE_MAX;
}

static enum frame_verdict take_rtu(struct frame_buffer *b, const struct frame_request *r, struct frame_answer *ret,
                                   struct frame_noise *noise)
{
    struct match m;

    if (!find_rtu(b, r, &m)) {
        noise->bad_crc = m.bad_crc;
        noise->strays = m.skipped;
        noise->bytes = b->n;
        if (b->n > FRAME_BUFFER_SIZE - ADU_MAX)
            drop(b, b->n - ADU_MAX);
        return FRAME_WAIT;
    }
    ret->pdu_size = m.end - m.begin - RTU_OVERHEAD;
    memcpy(ret->pdu, b->bytes + m.begin + 1, ret->pdu_size);
    noise->bytes = m.begin;
    drop(b, m.end);
    return FRAME_GOOD;
}

enum frame_verdict frame_take(struct frame_buffer *buffer, const struct frame_request *request,
                              struct frame_answer *ret, struct frame_noise *noise)
{
    return request->framing == FRAMING_TCP ? take_tcp(buffer, request, ret, noise)
                                           : take_rtu(buffer, request, ret, noise);
}

bool frame_drop_echo(struct frame_buffer *buffer, const uint8_t *adu, size_t n)
{
    const uint8_t *at = memmem(buffer->bytes, buffer->n, adu, n);

    if (!at)
        return false;
    drop(buffer, (size_t)(at - buffer->bytes) + n);
    return true;
}

void frame_flush(struct frame_buffer *b, enum framing framing)
{
    int size = 0;

    if (framing == FRAMING_RTU) {
        b->n = 0;
        return;
    }
    while ((size = mbap_size(b->bytes, b->n)) > 0 && (size_t)size <= b->n)
        drop(b, (size_t)size);
}
