/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes of a line, cut anywhere, against any request: the answer that is found does not depend on where they were
 * cut, fits its request, and on RTU has the right CRC. */

#include "modbus/frame.h"

#include "modbus/pdu.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct head {
    uint8_t manner; /* framing, whether the transaction is checked, reading or writing, the table */
    uint8_t unit;
    uint8_t address;
    uint8_t count;
    uint8_t step;
};

static void check(bool good)
{
    if (!good)
        abort();
}

static struct frame_request make_request(const struct head *h)
{
    enum modbus_table table = (enum modbus_table)(h->manner >> 4 & 3);
    uint16_t count = (uint16_t)(1 + h->count % 100), values[100] = {h->address};
    struct frame_request r = {.framing = h->manner & 1 ? FRAMING_RTU : FRAMING_TCP,
                              .transaction = h->address,
                              .check_transaction = h->manner & 2,
                              .unit = h->unit};

    if ((h->manner & 0xc0) == 0xc0)
        r.pdu_size = pdu_identify(r.pdu);
    else if (h->manner & 4)
        r.pdu_size = pdu_write(modbus_table_is_bits(table) ? TABLE_COIL : TABLE_HOLDING, h->address, count, values,
                               h->manner & 8, r.pdu);
    else
        r.pdu_size = pdu_read(table, h->address, count, r.pdu);
    return r;
}

static enum frame_verdict feed(const struct frame_request *r, const uint8_t *data, size_t size, size_t step,
                               struct frame_answer *answer, size_t *ret_used)
{
    struct frame_buffer buffer = {0};
    struct frame_noise noise = {0};
    enum frame_verdict v = FRAME_WAIT;
    uint8_t adu[ADU_MAX];
    size_t used = 0;

    (void)frame_drop_echo(&buffer, adu, frame_encode(r, adu));
    while (used < size && v == FRAME_WAIT) {
        size_t n = size - used < step ? size - used : step;
        check(buffer.n + n <= sizeof buffer.bytes);
        memcpy(buffer.bytes + buffer.n, data + used, n);
        buffer.n += n;
        used += n;
        v = frame_take(&buffer, r, answer, &noise);
    }
    *ret_used = used - buffer.n; /* up to the answer's last byte */
    frame_flush(&buffer, r->framing);
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_answer a = {0}, b = {0};
    size_t end_a, end_b;
    struct head h;

    if (size < sizeof h)
        return 0;
    memcpy(&h, data, sizeof h);
    data += sizeof h;
    size -= sizeof h;
    struct frame_request r = make_request(&h);
    enum frame_verdict v = feed(&r, data, size, 1, &a, &end_a);
    if (v == FRAME_GOOD) {
        struct pdu_identification id;
        if (r.pdu[0] == PDU_ENCAPSULATED && pdu_exception(a.pdu) < 0)
            pdu_identification(a.pdu, a.pdu_size, &id);
        check(pdu_answers(r.pdu, r.pdu_size, a.pdu, a.pdu_size));
        if (r.framing == FRAMING_RTU) {
            const uint8_t *end = data + end_a;
            size_t n = a.pdu_size + 1;
            check(memcmp(end - 2 - a.pdu_size, a.pdu, a.pdu_size) == 0 && end[-2 - (long)n] == r.unit);
            check(frame_crc(end - 2 - n, n) == (end[-2] | end[-1] << 8));
        }
    }
    /* The buffer of RTU forgets the oldest when it is full, which depends on the pieces. */
    if (size > FRAME_BUFFER_SIZE - ADU_MAX)
        return 0;
    check(feed(&r, data, size, 1 + h.step % 250, &b, &end_b) == v);
    check(v != FRAME_GOOD || (a.pdu_size == b.pdu_size && memcmp(a.pdu, b.pdu, a.pdu_size) == 0));
    return 0;
}
