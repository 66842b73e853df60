/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A user name and a password in CONNECT, whose copies are wiped once the broker has answered. */

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct mqtt;
struct mqtt_options;

/* Sizes with their NULs of what went to libmosquitto of a login; 0: there is none. */
struct mqtt_login_copies {
    size_t user, password;
    size_t connect; /* the texts in CONNECT */
    bool forgotten;
};

int mqtt_login_set(struct mqtt *m, const struct mqtt_options *options, struct error *e);
/* Once the broker has answered CONNECT, or will not. */
void mqtt_login_forget(struct mqtt *m);
/* Wipes where the copies were that libmosquitto has freed since. */
void mqtt_login_scrub(const struct mqtt_login_copies *copies);
/* To follow the words for a client that is not let in. */
const char *mqtt_login_hint(const struct mqtt *m);
