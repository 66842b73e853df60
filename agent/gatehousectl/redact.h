/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Takes out of a text what may be a key or a password, so that the text can be sent to others: runs of hex digits and
 * of base64 that are long enough to be a key, whatever follows a word like "key" or "password", and passwords in URLs.
 * What is no printable text goes as well. Rather too much than too little: an id of 16 hex digits (a fingerprint)
 * stays. Pure. */

#include "base/strbuf.h"

#include <stddef.h>

#define REDACTED "(redacted)"

void redact(const char *text, size_t n, struct strbuf *to);
