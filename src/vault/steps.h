/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A change of an entry as a list of steps, and what carries them out on a copy of the entry (apply.c). Loop thread;
 * used by the files of src/vault only. */

#include "vault/entry.h"

enum step_type {
    STEP_PUT,
    STEP_SWAP,
    STEP_FORGET,
    STEP_ROTATION,
    STEP_CLOUD_ID,
    STEP_COUNTER,
    STEP_REGISTRATION,
    STEP_AUTHENTICATED,
    STEP_RESTORED,
    STEP_RESET,
    STEP_REMOVE,
};

struct step {
    struct step *next;
    enum step_type type;
    enum vault_slot slot;
    unsigned flags;
    uint64_t value;
    uint8_t digest[DIGEST_SIZE];
    bool key_reserved;             /* a key_row of ours, not the one of the slot as it was */
    bool key_shared;               /* another entry may have it, too */
    struct identity_row *identity; /* a reference of ours */
    size_t size;
    uint8_t data[]; /* a record sealed for waiting, a blob, a text */
};

struct vault_change {
    struct vault_change *next;
    struct vault *vault;
    struct vault_entry *entry;
    struct step *first, **last;
    int failed; /* the first step that failed */
    struct error error;
    vault_done_fn *done;
    void *userdata;
    /* From here on while it is in a batch */
    struct vault_entry after;
    uint64_t version; /* before it */
    bool forgets;
    uint8_t *state; /* sealed */
    struct store_write write;
};

struct queue {
    struct vault_change *first, **last;
    size_t count;
};

/* apply.c: carries the steps out on a copy of the entry. */
int change_prepare(struct vault_change *c);
/* Whether it begins the entry again. */
bool change_resets(const struct vault_change *c);
/* The physical slot that holds, or held before it was damaged, the key of this digest; -1: none. */
int change_held_slot(const struct vault_entry *entry, const uint8_t *digest);
/* The copy becomes the entry; cannot fail. */
void change_apply(struct vault_change *c);
/* Lets go of what change_prepare() made. */
void change_unprepare(struct vault_change *c);
