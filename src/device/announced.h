/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Topics that a broker keeps for a device, so that they can be taken back: a list, and its text in a file.
 *
 *     gatehouse announced 1
 *     broker localhost:8883
 *     texts 0123456789abcdef
 *     TOPIC<tab>POINT
 *
 * A list is zeroed at first; announced_done() frees what it has. Pure. */

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct announced_topic {
    char *topic;
    char *point; /* "": of the device itself */
};

struct announced {
    char *broker;   /* "HOST:PORT"; NULL: not known yet */
    uint64_t texts; /* a digest of the device's configuration when all that is not in the list had been taken back */
    struct announced_topic *list; /* in the order of their topics */
    size_t n;
};

bool announced_has(const struct announced *a, const char *topic);
/* 1 it is there now, 0 it was before, -ENOMEM. */
int announced_add(struct announced *a, const char *topic, const char *point);
void announced_remove(struct announced *a, const char *topic);
/* Text of a file, to be freed. 0 or -ENOMEM. */
int announced_format(const struct announced *a, char **ret);
/* -EBADMSG: not the text of such a file. */
int announced_parse(const char *text, struct announced *ret);
void announced_done(struct announced *a);
