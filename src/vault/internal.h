/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The vault in memory, shared by the files of src/vault only: entries (entry.h), changes (steps.h), and how these are
 * committed. Loop thread, except struct vault_batch's `writes`, which
 * belong to the worker while it runs. */

#include "base/worker.h"
#include "vault/steps.h"
#include "vault/versions.h"
#include "vault/volatile.h"

#include <pthread.h>

struct rekey;

struct vault_batch {
    struct vault *vault;
    struct rekey *rekey; /* it alone, with no changes; otherwise NULL */
    struct queue changes;
    struct versions versions; /* afterwards */
    bool forgets, checkpointed;
    int r;
    struct error error;
    bool applied; /* the loop has taken the result already (vault_flush) */
    bool ran;     /* under the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

/* Keys of the vault itself. */
struct seals {
    struct vault_keys keys;
    struct sealed_keys sealed;  /* as the file has them */
    struct secret *waiting_key; /* seals what waits for a commit; random, never written */
    void *bind;                 /* NULL: none */
    size_t bind_size;
    struct secret *backup_key; /* of the keyfile; for the heads of backups */
};

/* Changes on their way into the file. */
struct commits {
    struct queue waiting;
    struct vault_handed handed, ended; /* `ended`: durable, or failed, and answered next */
    struct vault_batch *batch;         /* the one on the worker */
    sd_event_source *start;            /* begins a batch at the end of the loop turn */
    sd_event_source *gathered;         /* begins it at the latest */
    size_t gather_changes;             /* that are worth a batch */
    uint64_t gather_delay;
    bool checkpoint_due;
};

struct vault {
    sd_event *event;
    struct arena *arena;
    struct store *store;
    pthread_mutex_t store_mutex; /* the worker's, and vault_flush()'s */
    struct workers *workers;
    struct seals seals;
    unsigned backups;      /* being made */
    bool opened_with_next; /* the keyfile of a rekey that was cut short */
    struct rekey *rekey;   /* waits for its turn */
    struct map names, entries, key_rows, identities;
    struct versions versions; /* of the entries as they are committed */
    const char *put_back;     /* what could not be told of them, or NULL */
    size_t n_live;
    struct commits commits;
    bool closing;
    struct verification *verification;
    struct vault_stats stats;
    bool durable;
    char why[VOLATILE_WHY_MAX];
};

/* commit.c */
void commit_queue_init(struct queue *q);
void commit_queue_push(struct queue *q, struct vault_change *c);
struct vault_change *commit_queue_pop(struct queue *q);
void commit_schedule(struct vault *v);
int commit_init(struct vault *v);
void commit_done(struct vault *v);

/* rekey.c: everything sealed anew under other keys, as a batch of its own. */
int rekey_prepare(struct rekey *k, struct error *e);
/* On the worker. */
int rekey_run(struct rekey *k, struct error *e);
/* Makes the sealed records the ones in memory; cannot fail. */
void rekey_apply(struct rekey *k);
/* Frees it, with its answer. */
void rekey_end(struct rekey *k, int r, const struct error *e);
