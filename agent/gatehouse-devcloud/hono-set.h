/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A set of credentials as Eclipse Hono's device registry takes and shows it: an array of
 * {"type":"psk","auth-id":s,"secrets":[{"id":s,"key":base64,"not-before":t,"not-after":t}]} and entries of other types.
 * The DTLS identity is "auth-id@tenant". Pure; one thread. */

#include "store.h"

#define HONO_ENTRIES_MAX 64
#define HONO_SECRETS_MAX 16

/* Checks a set that came for `d` and completes it: a secret without an id gets one, a secret with only an id gets back
 * the key that it has. -EINVAL, naming the field. The caller owns *ret. */
int hono_set_read(json_object *given, const struct device *d, const char *tenant, json_object **ret, struct error *e);
/* The set of `d`, without keys. The caller owns it. */
json_object *hono_set_show(const struct device *d, const char *tenant);

/* How much of an identity is the auth-id; 0: it is not of this tenant. */
size_t hono_auth_id_length(const char *identity, const char *tenant);

/* Of an entry of a completed set: */
bool hono_entry_is_psk(json_object *entry);
/* -EINVAL, -ENOMEM */
int hono_entry_to_credential(json_object *entry, struct credential *c);
/* A copy; the caller owns it. */
json_object *hono_entry_without_secrets(json_object *entry);
