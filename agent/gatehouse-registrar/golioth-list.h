/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Readers of Golioth's lists and answers. The bytes are untrusted. Pure.
 *
 *   {"list": [...], "page": 0, "perPage": 100, "total": 3}     {"data": {"id": "..."}} */

#include "base/json.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>

/* The elements of one page, and how many there are in all pages, or SIZE_MAX if it does not say. NULL: no page. Owned
 * by the page. */
json_object *golioth_page(json_object *page, size_t *ret_total);

/* Which of the list is the device with this hardware id: its id, or "". -ENOTUNIQ: several; -EBADMSG: its id is none.
 */
int golioth_find_device(json_object *list, const char *hardware_id, char ret_id[CLOUD_ID_MAX]);
/* Finds the credential with this identity, with or without the project behind it. -EBADMSG as above. */
int golioth_find_credential(json_object *list, const char *identity, char ret_id[CLOUD_ID_MAX]);
/* The id at `key` in the answer's data. -EBADMSG: there is none. */
int golioth_new_id(json_object *answer, const char *key, char ret_id[CLOUD_ID_MAX]);

/* The identity without the project behind its '@', as Golioth is told it; it appends that itself. -EINVAL: it does not
 * end in the project. */
int golioth_local_identity(const char *identity, const char *project, char ret[IDENTITY_MAX + 1]);

/* Device and credential in one id, and back. -E2BIG; -EINVAL. */
int golioth_join(const char *device, const char *credential, char ret_id[CLOUD_ID_MAX]);
int golioth_split(const char *id, char ret_device[CLOUD_ID_MAX], char ret_credential[CLOUD_ID_MAX]);
