/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The places where a check looks: the installed gateway's places, or others that the command line or a test names.
 * Everything is read below `root`, so that an image that is mounted somewhere, or a directory with a planted case, is
 * looked at as the machine itself. Views; the caller's. Any thread. */

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct check_place {
    const char *root; /* in front of every path; "": this machine */
    const char *config_dir, *state_dir, *keyfile, *plugin_dir;
    const char *agent_program;   /* gatehoused */
    const char *driver_program;  /* NULL: plugins are not loaded */
    const struct config *config; /* NULL: not readable, or there is none */
    const char *user;            /* the agent's; the uid is looked up below `root` */
    uid_t uid;                   /* (uid_t)-1: there is no such user */
};

/* ROOT/PATH. Whether it fits. */
bool check_path(const struct check_place *p, char *ret, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Reads a short file of the system whole, up to size - 1 bytes; its length, or a negative errno. A trailing newline is
 * dropped. */
ssize_t check_read(const struct check_place *p, char *ret, size_t size, const char *path);
