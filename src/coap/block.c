/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "coap/block.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SZX_RESERVED 7
#define MORE_BIT 8u

int coap_block_get(const struct coap_message *m, uint16_t number, struct coap_block *ret)
{
    uint32_t value;
    int r = coap_message_get_uint(m, number, &value);

    if (r < 0)
        return r;
    if ((value & 7) == SZX_RESERVED)
        return -EBADMSG;
    *ret = (struct coap_block){.num = value >> 4, .more = value & MORE_BIT, .szx = value & 7};
    return 0;
}

uint32_t coap_block_value(const struct coap_block *b)
{
    return b->num << 4 | (b->more ? MORE_BIT : 0) | b->szx;
}

void coap_block1_init(struct coap_block1 *b, size_t total, uint8_t szx)
{
    *b = (struct coap_block1){.szx = szx, .active = total > COAP_BLOCK_SIZE(szx)};
}

struct coap_block coap_block1_current(const struct coap_block1 *b, size_t total, size_t *ret_size)
{
    size_t left = total - b->offset, size = b->active ? MIN_OF(left, COAP_BLOCK_SIZE(b->szx)) : left;

    *ret_size = size;
    return (struct coap_block){
        .num = (uint32_t)(b->offset / COAP_BLOCK_SIZE(b->szx)), .more = size < left, .szx = b->szx};
}

bool coap_block1_shrink(struct coap_block1 *b, size_t total)
{
    if (b->szx == 0)
        return false;
    b->szx--;
    b->active = b->active || total > COAP_BLOCK_SIZE(b->szx);
    return true;
}

/* 4.13: if the server names a block size that it would take, from the beginning with that. */
static int too_large(struct coap_block1 *b, size_t total, const struct coap_message *response)
{
    struct coap_block hint;

    if (coap_block_get(response, COAP_OPT_BLOCK1, &hint) < 0)
        return COAP_BLOCK_DONE;
    if (hint.szx >= b->szx || COAP_BLOCK_SIZE(hint.szx) >= total)
        return COAP_BLOCK_DONE;
    coap_block1_init(b, total, hint.szx);
    return COAP_BLOCK_AGAIN;
}

int coap_block1_answer(struct coap_block1 *b, size_t total, const struct coap_message *response)
{
    struct coap_block sent, taken;
    size_t size;

    if (response->code == COAP_TOO_LARGE)
        return too_large(b, total, response);
    if (response->code == COAP_INCOMPLETE && b->active) {
        b->offset = 0;
        return COAP_BLOCK_RESTART;
    }
    if (response->code != COAP_CONTINUE)
        return COAP_BLOCK_DONE;
    sent = coap_block1_current(b, total, &size);
    if (!b->active || !sent.more || coap_block_get(response, COAP_OPT_BLOCK1, &taken) < 0 || taken.num != sent.num)
        return -EBADMSG;
    b->offset += size;
    b->szx = MIN_OF(b->szx, taken.szx);
    return COAP_BLOCK_NEXT;
}

void coap_block2_done(struct coap_block2 *b)
{
    free(b->body);
    *b = (struct coap_block2){0};
}

struct coap_block coap_block2_wanted(const struct coap_block2 *b)
{
    return (struct coap_block){.num = (uint32_t)(b->size / COAP_BLOCK_SIZE(b->szx)), .szx = b->szx};
}

static void remember_first(struct coap_block2 *b, const struct coap_message *response)
{
    const struct coap_option *etag = coap_message_find(response, COAP_OPT_ETAG);
    uint32_t format;

    b->etag_size = etag ? (uint8_t)etag->length : 0;
    if (etag)
        memcpy(b->etag, etag->value, etag->length);
    b->content_format = coap_message_get_uint(response, COAP_OPT_CONTENT_FORMAT, &format) < 0 ? -1 : (int)format;
}

static bool same_etag(const struct coap_block2 *b, const struct coap_message *response)
{
    const struct coap_option *etag = coap_message_find(response, COAP_OPT_ETAG);

    if (!etag)
        return b->etag_size == 0;
    return etag->length == b->etag_size && memcmp(etag->value, b->etag, b->etag_size) == 0;
}

static int append(struct coap_block2 *b, const uint8_t *data, size_t n, size_t body_max)
{
    if (n == 0)
        return 0;
    if (n > body_max - b->size)
        return -EMSGSIZE;
    if (b->size + n > b->allocated) {
        size_t want = MIN_OF(MAX_OF(2 * b->allocated, b->size + n), body_max);
        uint8_t *p = realloc(b->body, want);

        if (!p)
            return -ENOMEM;
        b->body = p;
        b->allocated = want;
    }
    memcpy(b->body + b->size, data, n);
    b->size += n;
    return 0;
}

int coap_block2_answer(struct coap_block2 *b, const struct coap_message *response, uint8_t szx_max, size_t body_max)
{
    struct coap_block block;
    uint32_t size2;
    int r = coap_block_get(response, COAP_OPT_BLOCK2, &block);

    if (r == -EBADMSG)
        return r;
    if (COAP_CODE_CLASS(response->code) != 2) {
        coap_block2_done(b);
        return COAP_BLOCK_DONE;
    }
    if (r < 0)
        return b->active ? -EBADMSG : COAP_BLOCK_DONE;
    if ((size_t)block.num * COAP_BLOCK_SIZE(block.szx) != b->size)
        return -EBADMSG;
    if (block.more && response->payload_size != COAP_BLOCK_SIZE(block.szx))
        return -EBADMSG;
    if (!block.more && !b->active)
        return COAP_BLOCK_DONE;
    if (b->active && !same_etag(b, response)) {
        coap_block2_done(b);
        return COAP_BLOCK_RESTART;
    }
    if (!b->active)
        remember_first(b, response);
    if (coap_message_get_uint(response, COAP_OPT_SIZE2, &size2) == 0 && size2 > body_max)
        return -EMSGSIZE;
    r = append(b, response->payload, response->payload_size, body_max);
    if (r < 0)
        return r;
    if (!b->active)
        b->szx = szx_max;
    b->szx = MIN_OF(b->szx, block.szx);
    b->active = true;
    return block.more ? COAP_BLOCK_NEXT : COAP_BLOCK_DONE;
}
