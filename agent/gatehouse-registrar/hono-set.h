/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The set of credentials that a Hono registry holds for one device. It is written back whole, so everything that is not
 * ours goes back as it came: other entries, other members, secrets as their "id" without a key. The set is foreign.
 * Pure.
 *
 *   [{"type": "psk", "auth-id": "x-4", "secrets": [{"id": "a1f0", "not-before": "..."}]}, {"type": "hashed-password",
 * ...}]
 */

#include "base/json.h"
#include "base/limits.h"
#include "request.h"

/* The identity without the tenant behind its '@'. -EINVAL: it does not end in the tenant. */
int hono_auth_id(const char *identity, const char *tenant, char ret[IDENTITY_MAX + 1]);

/* Whether it is a set at all: an array of objects. */
bool hono_set_valid(json_object *set);

enum hono_state {
    HONO_NONE,      /* no secret stands under the identity */
    HONO_OURS,      /* by its id, or because it was sent and nothing else can have come there */
    HONO_DISPLACED, /* mode "replaces": the device's other credential stands there, or which one cannot be told */
    HONO_FOREIGN,   /* somebody else's */
};
/* The state of the credential, and its secret's id ("" if it has none that could be kept). `sent`: this credential may
 * have been written before. */
enum hono_state hono_look(json_object *set, const char *auth_id, const struct request *q, bool sent,
                          char ret_id[CLOUD_ID_MAX]);

/* Writes the key under the identity, in the place of any other there. 0 or -ENOMEM. */
int hono_put(json_object *set, const char *auth_id, const char *key);
/* Takes the secret away, and the entry with its last one. 1: done; 0: it was not there. */
int hono_remove(json_object *set, const char *auth_id, const char *id);
