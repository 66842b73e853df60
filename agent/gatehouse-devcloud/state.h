/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The store's memory: what a journal's entries, applied one after the other, amount to. The store's own part, for
 * store.c. Pure; one thread. */

#include "journal.h"
#include "store.h"

struct state {
    void *identities; /* tsearch tree of credentials, deleted ones too */
    void *device_ids; /* tsearch tree of devices that are not forgotten */
    struct device *devices;
    struct map cloud_ids; /* of devices */
    struct map hardware;  /* of devices, by each of their ids */
    struct map keys;      /* of secrets */
};

void state_done(struct state *s);
/* -ENOMEM; -EINVAL: an entry that never came from here */
int state_apply(struct state *s, const struct journal_entry *j);
/* As if nothing had been applied yet, but what was handed out stays where it is, to be found again by what is applied
 * next; state_forget_absent() ends that. */
void state_clear(struct state *s);
void state_forget_absent(struct state *s);

/* Deleted ones too. */
struct credential *state_find(struct state *s, const char *identity);
struct device *state_device(struct state *s, const char *id);
struct device *state_device_by_cloud_id(struct state *s, const char *cloud_id);
struct device *state_device_by_hardware(struct state *s, const char *hardware);
struct credential *state_find_key(struct state *s, const char *identity_end, const void *key, size_t size);
