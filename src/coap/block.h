/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Block-wise transfer (RFC 7959), seen from the client: which block goes out next, and what a response's blocks join
 * to. Embedded structs, pure; loop thread. */

#include "base/limits.h"
#include "coap/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COAP_SZX_MAX 6
#define COAP_BLOCK_SIZE(szx) ((size_t)16 << (szx))
#define COAP_ETAG_MAX 8

struct coap_block {
    uint32_t num;
    bool more;
    uint8_t szx;
};
/* -ENOENT: the message has none; -EBADMSG: the reserved SZX 7. */
int coap_block_get(const struct coap_message *m, uint16_t number, struct coap_block *ret);
uint32_t coap_block_value(const struct coap_block *b);

/* The next block that a response asks for. */
enum coap_block_step {
    COAP_BLOCK_DONE,    /* the response is final */
    COAP_BLOCK_NEXT,    /* the next block */
    COAP_BLOCK_AGAIN,   /* from the beginning, in smaller blocks */
    COAP_BLOCK_RESTART, /* from the beginning: the peer lost it (4.08), or the resource has changed */
};

/* A request body on its way out. */
struct coap_block1 {
    size_t offset; /* of the block that is being sent */
    uint8_t szx;
    bool active; /* the body takes more than one block */
};
void coap_block1_init(struct coap_block1 *b, size_t total, uint8_t szx);
/* The block at b->offset; its size is *ret_size. */
struct coap_block coap_block1_current(const struct coap_block1 *b, size_t total, size_t *ret_size);
/* Halves the blocks from here on; false when they cannot be smaller. */
bool coap_block1_shrink(struct coap_block1 *b, size_t total);
/* enum coap_block_step, and b moved accordingly; -EBADMSG. */
int coap_block1_answer(struct coap_block1 *b, size_t total, const struct coap_message *response);

/* A response body on its way in. */
struct coap_block2 {
    uint8_t *body; /* owned */
    size_t size, allocated;
    uint8_t etag[COAP_ETAG_MAX];
    uint8_t etag_size;
    uint8_t szx;
    bool active; /* there was a first block, and there are more */
    int content_format;
};
void coap_block2_done(struct coap_block2 *b);
/* The block to ask for next. */
struct coap_block coap_block2_wanted(const struct coap_block2 *b);
/* Takes a response. COAP_BLOCK_DONE with b->active: the body is whole, in b; otherwise the response's own payload is
 * all (also an error in the middle, which ends it: b is empty then). -EBADMSG, -EMSGSIZE (over body_max), -ENOMEM. */
int coap_block2_answer(struct coap_block2 *b, const struct coap_message *response, uint8_t szx_max, size_t body_max);
