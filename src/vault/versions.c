/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/versions.h"

#include <errno.h>
#include <string.h>

#define MAGIC "GHVV"
#define HEADER_SIZE 5
#define PART (VERSION_CELLS / VERSION_HASHES)

/* A number as far from any pattern as the id itself is, which is an HMAC. */
static uint64_t mix(uint64_t id, unsigned which)
{
    uint64_t x = id + (which + 1) * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static unsigned place(uint64_t id, unsigned hash)
{
    return hash * PART + (unsigned)(mix(id, hash) % PART);
}

static uint64_t weight(uint64_t id)
{
    return mix(id, VERSION_HASHES) | 1;
}

void versions_move(struct versions *v, uint64_t id, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < VERSION_HASHES; i++) {
        struct version_cell *cell = &v->cells[place(id, i)];

        cell->entries += (uint64_t)(to != 0) - (uint64_t)(from != 0);
        cell->versions += to - from;
        cell->weighted += (to - from) * weight(id);
    }
}

void versions_subtract(struct versions *v, const struct versions *less)
{
    for (unsigned i = 0; i < VERSION_CELLS; i++) {
        v->cells[i].entries -= less->cells[i].entries;
        v->cells[i].versions -= less->cells[i].versions;
        v->cells[i].weighted -= less->cells[i].weighted;
    }
}

static bool cell_is_none(const struct version_cell *cell)
{
    return cell->entries == 0 && cell->versions == 0 && cell->weighted == 0;
}

bool versions_are_none(const struct versions *v)
{
    for (unsigned i = 0; i < VERSION_CELLS; i++)
        if (!cell_is_none(&v->cells[i]))
            return false;
    return true;
}

uint64_t versions_stored(const struct versions *difference, uint64_t id, uint64_t found)
{
    for (unsigned i = 0; i < VERSION_HASHES; i++) {
        const struct version_cell *cell = &difference->cells[place(id, i)];
        uint64_t stored = found + cell->versions;

        if (cell->versions != 0 && cell->versions * weight(id) == cell->weighted &&
            cell->entries == (uint64_t)(stored != 0) - (uint64_t)(found != 0))
            return stored;
    }
    return found;
}

static uint8_t *put_u64(uint8_t *p, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        *p++ = (uint8_t)(value >> (56 - 8 * i));
    return p;
}

static const uint8_t *get_u64(const uint8_t *p, uint64_t *ret)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | *p++;
    *ret = value;
    return p;
}

int versions_seal(const struct secret *state_key, const uint8_t vault_id[VAULT_ID_SIZE], const struct versions *v,
                  uint8_t ret[VERSIONS_SEALED_SIZE])
{
    uint8_t data[VERSION_CELLS * 24], *p = data;
    struct seal_ad ad;

    for (unsigned i = 0; i < VERSION_CELLS; i++)
        p = put_u64(put_u64(put_u64(p, v->cells[i].entries), v->cells[i].versions), v->cells[i].weighted);
    memcpy(ret, MAGIC, 4);
    ret[4] = VAULT_FORMAT;
    seal_ad_init(&ad, MAGIC, vault_id);
    return seal_box(state_key, &ad, data, sizeof(data), ret + HEADER_SIZE);
}

int versions_open(const struct secret *state_key, const uint8_t vault_id[VAULT_ID_SIZE], const uint8_t *sealed,
                  size_t n, struct versions *ret)
{
    uint8_t data[VERSION_CELLS * 24];
    const uint8_t *p = data;
    struct seal_ad ad;
    int r;

    if (n != VERSIONS_SEALED_SIZE || memcmp(sealed, MAGIC, 4) != 0 || sealed[4] != VAULT_FORMAT)
        return -EBADMSG;
    seal_ad_init(&ad, MAGIC, vault_id);
    r = open_box(state_key, &ad, sealed + HEADER_SIZE, n - HEADER_SIZE, data);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < VERSION_CELLS; i++) {
        p = get_u64(p, &ret->cells[i].entries);
        p = get_u64(p, &ret->cells[i].versions);
        p = get_u64(p, &ret->cells[i].weighted);
    }
    return 0;
}
