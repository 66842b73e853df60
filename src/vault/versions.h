/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* At which version every entry of the vault is, in a size that does not grow with their number: so that the rows of one
 * device, put back to what they were, are noticed, and its name can be told.
 *
 * An entry's version is in its sealed state record, and rises with each of its changes. Here each entry that has one
 * counts in VERSION_HASHES cells, which its id chooses: each cell has the number of its entries, the sum of their
 * versions, and that sum with each version multiplied by a number of the entry's own. What was stored less what was
 * found is zero where nothing was put back; where a cell differs by one entry only, the last two say by which and how
 * far, and that one is taken out of its other cells. So up to 50 entries can be told apart: of a thousand such sets,
 * one cannot, as simulated with random ids.
 *
 * The record is sealed with the state key: "GHVV", format, nonce, ciphertext, tag; associated data magic, format, vault
 * id. All of it is pure, except for the nonce. */

#include "base/arena.h"
#include "vault/seal.h"

#include <stdbool.h>

#define VERSION_HASHES 5
#define VERSION_CELLS (VERSION_HASHES * 19)
#define VERSIONS_SEALED_SIZE (5 + SEAL_OVERHEAD + VERSION_CELLS * 24)

struct versions {
    struct version_cell {
        uint64_t entries, versions, weighted; /* modulo 2^64 */
    } cells[VERSION_CELLS];
};

/* 0 stands for an entry that has no version: that is not counted. */
void versions_move(struct versions *v, uint64_t id, uint64_t from, uint64_t to);
void versions_subtract(struct versions *v, const struct versions *less);
bool versions_are_none(const struct versions *v);
/* Of a difference between what was stored and what was found, here with version `found`: the version that was stored,
 * if some cell differs by this entry alone; otherwise `found`. */
uint64_t versions_stored(const struct versions *difference, uint64_t id, uint64_t found);

int versions_seal(const struct secret *state_key, const uint8_t vault_id[VAULT_ID_SIZE], const struct versions *v,
                  uint8_t ret[VERSIONS_SEALED_SIZE]);
/* -EBADMSG, with *ret untouched. */
int versions_open(const struct secret *state_key, const uint8_t vault_id[VAULT_ID_SIZE], const uint8_t *sealed,
                  size_t n, struct versions *ret);
