/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The outline of the D-Bus wire protocol: where the handshake ends and how long each message is, so that nothing longer
 * than LINK_FRAME_MAX ever reaches sd-bus, which itself would take 128 MiB. Contents are sd-bus's business.
 *
 * Embedded, pure. A stream that was refused stays refused. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_HEADER_SIZE 16
#define FRAME_AUTH_MAX 4096     /* bytes of handshake in all */
#define FRAME_AUTH_LINE_MAX 512 /* what one line of it may hold, its \r\n included */

enum frame_phase {
    FRAME_START, /* the one NUL byte that comes first */
    FRAME_AUTH,
    FRAME_HEADER,
    FRAME_BODY,
    FRAME_REFUSED,
};

struct frame_reader {
    enum frame_phase phase;
    size_t auth_bytes;
    uint64_t remaining;  /* of the message under way */
    uint64_t messages;   /* whose header was passed */
    const char *refusal; /* why, in words; static */
};

/* All zero is a reader at the start of a stream. */

/* Looks at the next n bytes of the stream. Returns how many of them may be passed on; the rest is an unfinished line or
 * header that has to be offered again with more behind it. -EBADMSG (not D-Bus) or -EMSGSIZE: nothing more may be
 * passed on. */
ssize_t frame_read(struct frame_reader *f, const void *data, size_t n);
