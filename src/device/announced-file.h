/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The file of a device's kept topics at one broker, STATE_DIR/announced/DEVICE@BROKER (a digest of "HOST:PORT").
 * Durable before the first message is kept, so that none is ever unknown. All block on the disk: for workers. */

#include "device/announced.h"

/* To be freed; NULL: no memory. */
char *announced_path(const char *state_dir, const char *device, const char *broker);
/* 0, also where there is no such file: then nothing is kept; -EBADMSG; -errno. */
int announced_read(const char *path, struct announced *ret);
/* Writes the text, or removes the file (text NULL). */
int announced_write(const char *path, const char *text);
/* Whether there may be one. */
bool announced_some(const char *state_dir);
/* Each file of the directory: its device's id, and what it has. */
int announced_each(const char *state_dir, int (*one)(const char *device, struct announced *a, void *userdata),
                   void *userdata);
