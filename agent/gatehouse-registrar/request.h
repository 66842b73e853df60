/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A request of the agent, read strictly: an unknown key, a missing one, or one of another type is refused with an
 * error text. Pure. All texts belong to the request; the caller calls request_done(). */

#include "base/error.h"
#include "registrar/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum registrar_type { TYPE_GOLIOTH, TYPE_HONO, TYPE_EXEC };
/* "golioth" and so on; parsing gives the value or -EINVAL. */
const char *registrar_type_to_string(enum registrar_type type);
int registrar_type_from_string(const char *text);

struct request {
    json_object *root;
    enum wire_action action;
    const char *device, *identity;
    const char *hardware_id;         /* the device's, if the request names none */
    const char *cloud_id, *other_id; /* "" if unknown */
    const char *encoding, *key;      /* NULL except for put */
    bool offered, create, replaces, clock;
    /* how the cloud is reached; those that do not belong to the type are NULL */
    enum registrar_type type;
    const char *realm; /* project, tenant */
    const char *url, *ca, *proxy;
    const char *program;
    uint64_t timeout;
};

/* -EINVAL with words, in which there is no key. */
int request_parse(const char *text, size_t n, struct request *ret, struct error *e);
void request_done(struct request *q);
