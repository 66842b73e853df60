/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A connection over which one request at a time is asked and answered: TCP, RTU inside TCP, or a serial device. Blocks;
 * on the bus's thread. Embedded, the owner's; closed when fd is -1.
 *
 * A request that is not answered in time leaves the line open. Nothing of it can be taken for a later answer: on TCP
 * the transaction tells, and on RTU the line is flushed before each request, and a request that would look the same as
 * the one that was not answered waits until the late answer came or no longer can. */

#include "frame.h"
#include "serial.h"
#include "trace.h"
#include "url.h"

enum line_echo {
    LINE_ECHO_UNKNOWN,
    LINE_ECHO_YES,
    LINE_ECHO_NO,
};

/* An RTU answer that did not come in time, and may come yet. */
struct line_owed {
    uint64_t until; /* CLOCK_MONOTONIC; 0: nothing */
    struct frame_request request;
};

struct line {
    const struct modbus_url *url;
    const struct serial_settings *settings;
    int fd;
    struct frame_buffer in;
    uint16_t transaction;
    uint64_t last_byte;  /* that was sent or received, CLOCK_MONOTONIC */
    uint64_t sent_at;    /* the last request */
    struct trace *trace; /* of the exchange under way; NULL: none */
    uint64_t receive_timeout;
    enum line_echo echo;
    unsigned echo_missed;
    struct line_owed owed[OWED_MAX];
};

struct line_terms {
    uint8_t unit;
    uint64_t timeout;
    uint64_t pause; /* from the last byte to the next request */
    uint64_t turnaround;
    bool check_transaction;
    bool trace;
    struct gatehouse_device *device; /* whose trace it is, may be NULL */
};

void line_init(struct line *l, const struct modbus_url *url, const struct serial_settings *settings);
/* A negative errno comes with its words in `error`. */
int line_open(struct line *l, uint64_t timeout, char *error, size_t error_size);
void line_close(struct line *l);

/* Whether unit 0 is everybody, who does not answer, rather than the server itself. */
bool line_has_broadcast(const struct line *l);
/* Whether an answer that repeats its request could be the line's echo. */
bool line_echo_is_unknown(const struct line *l);

/* Asks, and waits for the answer. 0 (of a broadcast without an answer, pdu_size 0), -ETIMEDOUT, -EBADMSG (an answer
 * that does not fit; the line is in step), -EPROTO (not Modbus: close the line), -ECONNRESET (the peer has closed it),
 * another errno of the line (close it), or -ENOTCONN: it turned out to be closed before anything was sent. */
int line_exchange(struct line *l, const struct line_terms *terms, const uint8_t *pdu, size_t pdu_size,
                  struct frame_answer *ret, struct frame_noise *ret_noise);
