/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/record.h"

#include "base/text.h"

#include <stdbool.h>
#include <string.h>

#define MAGIC "GHVR"

_Static_assert(DEVICE_LOGIN_MAX > KEY_MAX && DEVICE_LOGIN_MAX < ARENA_CELL_SIZE,
               "RECORD_MAX is that of a login, which fits a cell");

static bool size_valid(enum vault_kind kind, size_t n)
{
    return kind == VAULT_LOGIN ? n >= 1 && n <= DEVICE_LOGIN_MAX : n >= KEY_MIN && n <= KEY_MAX;
}

static bool header_valid(const struct record_header *header)
{
    size_t n = strnlen(header->identity, sizeof(header->identity));

    return header->kind <= VAULT_LOGIN && header->slot <= RECORD_SLOT_WAITING && n > 0 && n <= IDENTITY_MAX &&
           text_printable(header->identity, n);
}

static void associated_data(struct seal_ad *ad, const struct record_place *place, const struct record_header *header)
{
    seal_ad_init(ad, MAGIC, place->vault_id);
    seal_ad_text(ad, place->device);
    seal_ad_text(ad, place->uplink);
    seal_ad_u8(ad, (uint8_t)header->kind);
    seal_ad_u8(ad, header->slot);
    seal_ad_text(ad, header->identity);
    seal_ad_u64(ad, header->generation);
}

int record_seal(const struct secret *record_key, const struct record_place *place, const struct record_header *header,
                const struct secret *key, uint8_t *record, size_t *ret_size)
{
    struct seal_ad ad;
    size_t n = strnlen(header->identity, sizeof(header->identity));
    int r;

    if (!header_valid(header) || !size_valid(header->kind, key->size))
        return -EINVAL;
    memcpy(record, MAGIC, 4);
    record[4] = VAULT_FORMAT;
    record[5] = (uint8_t)header->kind;
    record[6] = header->slot;
    record[7] = (uint8_t)n;
    for (int i = 0; i < 8; i++)
        record[8 + i] = (uint8_t)(header->generation >> (56 - 8 * i));
    memcpy(record + RECORD_HEADER_SIZE, header->identity, n);
    associated_data(&ad, place, header);
    r = seal_box(record_key, &ad, key->bytes, key->size, record + RECORD_HEADER_SIZE + n);
    if (r < 0)
        return r;
    *ret_size = RECORD_HEADER_SIZE + n + SEAL_OVERHEAD + key->size;
    return 0;
}

int record_parse(const uint8_t *record, size_t size, struct record_header *ret)
{
    struct record_header header = {0};
    size_t n, box;

    if (size < RECORD_HEADER_SIZE || size > RECORD_MAX || memcmp(record, MAGIC, 4) != 0 || record[4] != VAULT_FORMAT ||
        record[5] > VAULT_LOGIN)
        return -EBADMSG;
    header.kind = (enum vault_kind)record[5];
    header.slot = record[6];
    n = record[7];
    for (int i = 0; i < 8; i++)
        header.generation = header.generation << 8 | record[8 + i];
    if (n > IDENTITY_MAX || size < RECORD_HEADER_SIZE + n)
        return -EBADMSG;
    box = size - RECORD_HEADER_SIZE - n;
    if (box < SEAL_OVERHEAD || !size_valid(header.kind, box - SEAL_OVERHEAD))
        return -EBADMSG;
    memcpy(header.identity, record + RECORD_HEADER_SIZE, n);
    /* A NUL inside makes the text shorter than it says: then the associated data would not be what was parsed. */
    if (strlen(header.identity) != n || !header_valid(&header))
        return -EBADMSG;
    *ret = header;
    return 0;
}

int record_open(const struct secret *record_key, const struct record_place *place, uint8_t slot, uint64_t generation,
                const uint8_t *record, size_t size, struct secret **ret_key)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    struct record_header header;
    struct seal_ad ad;
    size_t begin;
    int r = record_parse(record, size, &header);

    if (r < 0)
        return r;
    if (header.slot != slot || header.generation != generation)
        return -EBADMSG;
    r = secret_new(record_key->arena, &key);
    if (r < 0)
        return r;
    begin = RECORD_HEADER_SIZE + strlen(header.identity);
    associated_data(&ad, place, &header);
    r = open_box(record_key, &ad, record + begin, size - begin, key->bytes);
    if (r < 0)
        return r;
    key->size = size - begin - SEAL_OVERHEAD;
    *ret_key = TAKE_PTR(key);
    return 0;
}
