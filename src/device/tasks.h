/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Long operations on the whole fleet, each a pointer of it that is NULL while none is under way: how each is left when
 * the fleet goes, and what others tell it. Loop thread. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct fleet;

/* Backups after rotations. */
struct backup_dir {
    struct backup_file *file; /* being made */
    sd_event_source *timer;
    uint64_t last; /* CLOCK_BOOTTIME, 0: never */
    bool wanted;   /* another one, after that */
};

struct tasks {
    struct verify *verify;
    struct quiesce *quiesce; /* NULL: it is not */
    struct look *looks;      /* scans and raw reads under way */
    struct vault_care *care;
    struct backup_job *backup;
    struct backup_dir backup_dir;
    struct provision *provision;
    struct export *export;
    struct reload *reload;      /* NULL: none waits for what is under way */
    unsigned logins_committing; /* changes of devices' logins */
};

/* backup-dir.c: something has changed that the backup should have. */
void backup_dir_due(struct fleet *f);
void backup_dir_begin(struct fleet *f); /* blocks: before the loop runs */
void backup_dir_leave(struct fleet *f);

void verify_leave(struct fleet *f);
void vault_care_leave(struct fleet *f);
void backup_leave(struct fleet *f);
void provision_leave(struct fleet *f);
void export_leave(struct fleet *f);
