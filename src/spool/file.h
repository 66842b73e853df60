/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Work on spool.db: one opening, one load, one commit at a time, each carried out by the worker and taken
 * over in the loop. A part of the spool. */

#include "spool/internal.h"

/* disk.c: runs it on the worker, or here and now if there is none; `done` in any case. */
void submit(struct spool *s, int (*run)(void *userdata), void (*done)(int r, void *userdata), void *userdata);
/* Tried again later. A file that is damaged (-EBADMSG) only gets the mark: give_up_damaged() follows. */
void disk_failed(struct spool *s, int r, const struct error *e);
void disk_works(struct spool *s);

/* open.c */
void open_begin(struct spool *s);
void open_done(struct spool *s);
/* The device is gone; `rows`: for good. */
void open_forget(const struct spool_device *d, bool rows);
/* Moves the file aside if it is marked as damaged, once nothing is under way in it. */
void give_up_damaged(struct spool *s);

/* timers.c */
int timers_init(struct spool *s);
void timers_done(struct spool *s);

/* load.c */
/* Whether what is on disk alone is to be read back, to be sent. */
bool load_due(const struct spool_device *d);
/* Lets go of what the device has in memory and on disk, beyond what is sent next and what memory has room for. */
void unload(struct spool_device *d);
void want_load(struct spool_device *d);
void load_next(struct spool *s);
void load_forget(struct spool_device *d);
void load_leave(struct spool *s);

/* commit.c */
void commit_now(struct spool *s);
void commit_forget(struct spool_device *d);
