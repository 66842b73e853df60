/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whatever stands in a record: its header is parsed within bounds, what it claims to be stays within the format, and it
 * does not open unless it was sealed. A first byte of 'S' has the rest sealed as a key, whose record must open. */
#include "vault/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t vault_id[VAULT_ID_SIZE] = "fuzz";
static const struct record_place place = {vault_id, "device", "uplink"};
static struct arena *arena;
static struct secret *record_key;

static void check(bool good)
{
    if (!good)
        abort();
}

static void seal_and_open(const uint8_t *data, size_t size)
{
    _cleanup_(secret_freep) struct secret *key = NULL, *back = NULL;
    struct record_header header = {.kind = VAULT_PSK, .slot = 1, .generation = size, .identity = "identity"}, parsed;
    uint8_t record[RECORD_MAX];
    size_t n;

    if (size > ARENA_CELL_SIZE)
        return;
    check(secret_new(arena, &key) >= 0);
    memcpy(key->bytes, data, size);
    key->size = size;
    if (record_seal(record_key, &place, &header, key, record, &n) < 0) {
        check(size < KEY_MIN || size > KEY_MAX);
        return;
    }
    check(record_parse(record, n, &parsed) == 0 && strcmp(parsed.identity, "identity") == 0);
    check(record_open(record_key, &place, 1, size, record, n, &back) == 0);
    check(back->size == size && memcmp(back->bytes, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_header header;
    struct secret *key = NULL;

    if (!arena)
        check(arena_new(&arena, NULL) >= 0 && secret_random(arena, SEAL_KEY_SIZE, &record_key) >= 0);
    if (size > 0 && data[0] == 'S')
        seal_and_open(data + 1, size - 1);
    if (record_parse(data, size, &header) < 0)
        return 0;
    check(header.kind <= VAULT_LOGIN && header.slot <= RECORD_SLOT_WAITING);
    check(*header.identity && strlen(header.identity) <= IDENTITY_MAX);
    check(record_open(record_key, &place, header.slot, header.generation, data, size, &key) == -EBADMSG);
    check(!key && arena_cells_free(arena) == ARENA_CELLS - 1);
    return 0;
}
