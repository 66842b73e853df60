/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The outline of D-Bus messages as they come from the bus: how long each is, who sent it, what it is. Contents are
 * sd-bus's business, which reads a message only when it is whole. Pure; owns nothing: texts point into the bytes given,
 * which the bus has validated, and which are not believed all the same. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTLINE_FIXED_SIZE 16 /* what has to be there for a message to be measured */

enum outline_type {
    OUTLINE_CALL = 1,
    OUTLINE_RETURN = 2,
    OUTLINE_ERROR = 3,
    OUTLINE_SIGNAL = 4,
};

struct outline {
    enum outline_type type;
    bool little;
    uint8_t flags;
    uint32_t serial, reply_serial, n_fds; /* 0: none */
    uint64_t size;                        /* header and body */
    size_t header_size;
    const char *sender, *path, *interface, *member; /* NULL: none */
    const uint8_t *body;                            /* NULL: has not been given */
    size_t body_size;
};

/* Of a message's first OUTLINE_FIXED_SIZE bytes. -EBADMSG: that begins no message, and where the next begins is
 * unknown.
 */
int outline_measure(const uint8_t *data, struct outline *ret);
/* `data` holds the whole header at least; n bytes. -EBADMSG: what it says cannot be read, its length aside. */
int outline_parse(const uint8_t *data, size_t n, struct outline *ret);

/* Of the body, from *offset on, which is moved behind it. -EBADMSG: there is none. */
int outline_read_string(const struct outline *m, size_t *offset, const char **ret);
int outline_read_u32(const struct outline *m, size_t *offset, uint32_t *ret);

/* A call like m, but with neither body nor descriptors, for m to be refused without it. -ENOMEM. */
int outline_stub(const struct outline *m, uint8_t **ret, size_t *ret_size);
