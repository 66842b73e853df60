/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The state file: one JSON object a line, a change each, appended and synced before the change is made, so that a
 * restart keeps what was registered. A last line that a crash tore is dropped when the file is opened. Blocking; one
 * thread. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum journal_kind {
    JOURNAL_PUT,    /* id, identity, key, device, named, and with a new device its details */
    JOURNAL_DELETE, /* identity, device */
    JOURNAL_FORGET, /* device */
    JOURNAL_NAME,   /* device, name */
    JOURNAL_DEVICE, /* device, details */
    JOURNAL_SET,    /* device, details: {"tenant":s,"set":[...]} as hono_set_read() makes it */
};

struct journal_entry {
    enum journal_kind kind;
    char id[32];
    char identity[IDENTITY_MAX + 1];
    uint8_t key[KEY_MAX];
    size_t key_size;
    char device[IDENTITY_MAX + 1];
    char name[DEVICE_ID_MAX + 1];
    bool named;
    json_object *details; /* owned; of a device: {"cloud":s,"hardware":[...]} */
};

/* Wipes it. */
void journal_entry_done(struct journal_entry *j);

struct journal;

/* Makes the file (0600) if it is not there; calls `replay` for each line in order. */
int journal_open(const char *path, int (*replay)(void *userdata, const struct journal_entry *j), void *userdata,
                 struct journal **ret, struct error *e);
struct journal *journal_free(struct journal *j);
DEFINE_FREEP(struct journal, journal_free)

/* On failure the file is as before. */
int journal_append(struct journal *j, const struct journal_entry *entry, struct error *e);
/* Drops all lines but the first `lines`. */
int journal_cut(struct journal *j, size_t lines, struct error *e);
