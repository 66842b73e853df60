/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frames of Modbus: requests into bytes, and answers out of the bytes that a line brings. Pure, any thread; all buffers
 * are the caller's.
 *
 * On TCP a frame begins with the seven bytes of MBAP and says its own length; frames that answer an older request are
 * dropped by their transaction number. On RTU (serial, also inside TCP) nothing delimits a frame: the answer is looked
 * for at any offset by unit, function, expected length and CRC, so that noise around it costs nothing. Silence on the
 * line never ends a frame: USB adapters deliver the bytes of one in pieces. */

#include "modbus-limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum framing {
    FRAMING_TCP,
    FRAMING_RTU,
};

/* The request, and how its answer is known. */
struct frame_request {
    enum framing framing;
    uint16_t transaction;
    bool check_transaction; /* false: the server answers with a number of its own */
    uint8_t unit;
    uint8_t pdu[PDU_MAX];
    size_t pdu_size;
};

/* Bytes that came and belong to no frame yet. Empty when zeroed. */
struct frame_buffer {
    uint8_t bytes[FRAME_BUFFER_SIZE];
    size_t n;
};

enum frame_verdict {
    FRAME_WAIT, /* nothing yet */
    FRAME_GOOD, /* an answer to the request, and its length fits */
    FRAME_ODD,  /* TCP: an answer to the request that does not fit it; the line is still in step */
    FRAME_LOST, /* TCP: not Modbus, and where the next frame begins is unknown */
};

struct frame_answer {
    uint8_t pdu[PDU_MAX];
    size_t pdu_size;
};

/* Other bytes seen while waiting, for words and counters. */
struct frame_noise {
    unsigned strays;      /* whole frames that answer something else */
    unsigned other_units; /* of these, with the right transaction and the wrong unit */
    unsigned bad_crc;     /* an answer except for its CRC */
    size_t bytes;         /* that are part of no frame */
};

uint16_t frame_crc(const uint8_t *bytes, size_t n);

/* The request as it goes over the line: at most ADU_MAX bytes; returns how many. */
size_t frame_encode(const struct frame_request *request, uint8_t *adu);
/* How many bytes a good answer has on the line, as far as the request tells. */
size_t frame_answer_size(const struct frame_request *request);

/* Looks for the answer and takes it out of the buffer, with all before it. Call it again after more bytes came. */
enum frame_verdict frame_take(struct frame_buffer *buffer, const struct frame_request *request,
                              struct frame_answer *ret, struct frame_noise *noise);
/* Drops an exact copy of the request, the line's echo, with what came before it. False if there is none (yet). */
bool frame_drop_echo(struct frame_buffer *buffer, const uint8_t *adu, size_t n);
/* Before a new request: on TCP drops the whole frames that are left, on RTU everything. */
void frame_flush(struct frame_buffer *buffer, enum framing framing);
