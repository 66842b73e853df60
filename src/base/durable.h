/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files that are either old or new after a power cut, never half: temp file, write all, fsync, rename, fsync of the
 * directory. Blocking: not for the loop thread, except for what is small and rare (a device file added over D-Bus). */

#include "base/error.h"

#include "base/cleanup.h"

#include <stddef.h>
#include <sys/types.h>

/* Writes or replaces `name` in the directory `dir_fd` (AT_FDCWD allowed). */
int durable_write(int dir_fd, const char *name, const void *data, size_t n, mode_t mode, struct error *e);
/* As durable_write, but -EEXIST if the name is there already, also when two do it at once. */
int durable_create(int dir_fd, const char *name, const void *data, size_t n, mode_t mode, struct error *e);
/* Gives a file another name in the same directory, in place of what has it. */
int durable_rename(int dir_fd, const char *from, const char *to, struct error *e);
/* Many new files of one directory with three syncs in all: first written beside their names, then all named. None is
 * named before all are durable, and if one cannot be (-EEXIST: there already), those before lose their names again. */
struct durable_many;
int durable_many_new(int dir_fd, mode_t mode, struct durable_many **ret, struct error *e);
int durable_many_add(struct durable_many *m, const char *name, const void *data, size_t n, struct error *e);
int durable_many_publish(struct durable_many *m, struct error *e);
/* Removes files that were not published. */
struct durable_many *durable_many_free(struct durable_many *m);
DEFINE_FREEP(struct durable_many, durable_many_free)
/* Removes a name and syncs the directory; not there is success. */
int durable_unlink(int dir_fd, const char *name, struct error *e);
/* fsync of the directory that holds `name`: a name that is new, changed or gone is not durable before it. */
int durable_sync_directory(int dir_fd, const char *name);
/* Reads a whole regular file of at most `max` bytes; *ret_data is NUL-terminated beyond its ret_size bytes. -EFBIG. */
int file_read(int dir_fd, const char *name, size_t max, char **ret_data, size_t *ret_size, struct error *e);
/* write() until all is written. */
int write_all(int fd, const void *data, size_t n);
