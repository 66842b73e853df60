/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Long operations on the whole fleet, each a pointer of it that is NULL while none is under way: how each is left when
 * the fleet goes, and what others tell it. Loop thread. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct fleet;

/* backup-dir.c: something has changed that the backup should have. */
void backup_dir_due(struct fleet *f);
void backup_dir_begin(struct fleet *f); /* blocks: before the loop runs */
void backup_dir_leave(struct fleet *f);

void verify_leave(struct fleet *f);
void vault_care_leave(struct fleet *f);
void backup_leave(struct fleet *f);
void provision_leave(struct fleet *f);
void export_leave(struct fleet *f);
