/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* CBOR (RFC 8949) from somebody who is not believed, as the JSON that it stands for, so that the rest need not know in
 * which of the two a message came. Pure, any thread.
 *
 * One item and nothing behind it; nested as deep as json_parse() takes it; no key twice; texts are UTF-8 without NUL.
 * Whole numbers as keys become their decimal text. Tags are left out. What JSON cannot say (byte strings, undefined,
 * numbers that are not finite) stands as null. Memory is bounded by the bytes that are there, whatever they claim,
 * and arrays and maps to COMMAND_CONTAINERS_MAX. */

#include "base/error.h"

#include <json-c/json.h>
#include <stddef.h>

/* *ret may be NULL: a null. -EBADMSG with the byte and the reason; -ENOMEM. */
int cbor_parse(const void *data, size_t n, json_object **ret, struct error *e);
