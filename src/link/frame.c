/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/frame.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* The fixed part of a message header (D-Bus specification, "Message Format"). */
enum {
    HEADER_ENDIAN = 0,
    HEADER_TYPE = 1,
    HEADER_VERSION = 3,
    HEADER_BODY_LENGTH = 4,
    HEADER_SERIAL = 8,
    HEADER_FIELDS_LENGTH = 12,
};

static ssize_t refuse(struct frame_reader *f, int r, const char *why)
{
    f->phase = FRAME_REFUSED;
    f->refusal = why;
    return r;
}

static uint32_t read_u32(const uint8_t *p, bool little)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return little ? le32toh(v) : be32toh(v);
}

static ssize_t read_start(struct frame_reader *f, const uint8_t *p)
{
    if (p[0] != 0)
        return refuse(f, -EBADMSG, "the stream does not begin as D-Bus does");
    f->phase = FRAME_AUTH;
    f->auth_bytes = 1;
    return 1;
}

static ssize_t read_auth(struct frame_reader *f, const uint8_t *p, size_t n)
{
    size_t room = MIN_OF(FRAME_AUTH_MAX - f->auth_bytes, (size_t)FRAME_AUTH_LINE_MAX);
    const uint8_t *end = memmem(p, MIN_OF(n, room), "\r\n", 2);
    size_t length;

    if (!end)
        return n >= room ? refuse(f, -EMSGSIZE, "the handshake is too long") : 0;
    length = (size_t)(end - p) + 2;
    f->auth_bytes += length;
    if (length == 7 && memcmp(p, "BEGIN", 5) == 0)
        f->phase = FRAME_HEADER;
    return (ssize_t)length;
}

static ssize_t read_header(struct frame_reader *f, const uint8_t *p, size_t n)
{
    bool little = p[HEADER_ENDIAN] == 'l';
    uint64_t fields, total;

    if (n < FRAME_HEADER_SIZE)
        return 0;
    if (!little && p[HEADER_ENDIAN] != 'B')
        return refuse(f, -EBADMSG, "a message has no known byte order");
    if (p[HEADER_TYPE] < 1 || p[HEADER_TYPE] > 4)
        return refuse(f, -EBADMSG, "a message is of no known type");
    if (p[HEADER_VERSION] != 1)
        return refuse(f, -EBADMSG, "a message is of another protocol version");
    if (read_u32(p + HEADER_SERIAL, little) == 0)
        return refuse(f, -EBADMSG, "a message has the serial number 0");
    fields = read_u32(p + HEADER_FIELDS_LENGTH, little);
    total = FRAME_HEADER_SIZE + ((fields + 7) & ~UINT64_C(7)) + read_u32(p + HEADER_BODY_LENGTH, little);
    if (total > LINK_FRAME_MAX)
        return refuse(f, -EMSGSIZE, "a message is longer than 1 MiB");
    f->remaining = total - FRAME_HEADER_SIZE;
    f->messages++;
    f->phase = f->remaining > 0 ? FRAME_BODY : FRAME_HEADER;
    return FRAME_HEADER_SIZE;
}

static ssize_t read_body(struct frame_reader *f, size_t n)
{
    size_t take = (size_t)MIN_OF((uint64_t)n, f->remaining);

    f->remaining -= take;
    if (f->remaining == 0)
        f->phase = FRAME_HEADER;
    return (ssize_t)take;
}

static ssize_t read_next(struct frame_reader *f, const uint8_t *p, size_t n)
{
    switch (f->phase) {
    case FRAME_START:
        return read_start(f, p);
    case FRAME_AUTH:
        return read_auth(f, p, n);
    case FRAME_HEADER:
        return read_header(f, p, n);
    case FRAME_BODY:
        return read_body(f, n);
    case FRAME_REFUSED:
        return -EBADMSG;
    }
    return -EBADMSG;
}

ssize_t frame_read(struct frame_reader *f, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t passed = 0;

    while (passed < n) {
        ssize_t k = read_next(f, p + passed, n - passed);

        if (k < 0)
            return k;
        if (k == 0)
            break;
        passed += (size_t)k;
    }
    return (ssize_t)passed;
}
