/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes JSON (RFC 8259) or CBOR (RFC 8949), whichever it was begun with, into a growing buffer.
 *
 * Values are exact in both: integers to 64 bits, times to the microsecond, doubles as the shortest text, or the
 * shortest floating-point number, that reads back as the same one. CBOR has definite lengths and each head as short as
 * it can be.
 *
 * Embedded and zeroed, except `cbor` and `labels`. The caller keeps to the grammar: a container's members are counted
 * beforehand, each member of an object is a key and a value. Out of memory is kept in out.failed. Pure, any thread. */

#include "base/sample.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer {
    bool cbor;
    bool labels; /* CBOR: keys of SenML are the numbers that they have there (RFC 8428 section 6) */
    bool comma;  /* JSON: a value stands before, and what follows is parted from it */
    struct strbuf out;
};

void writer_object(struct writer *w, size_t members);
void writer_object_end(struct writer *w);
void writer_array(struct writer *w, size_t elements);
void writer_array_end(struct writer *w);
void writer_key(struct writer *w, const char *key);

void writer_null(struct writer *w);
void writer_bool(struct writer *w, bool value);
void writer_int(struct writer *w, int64_t value);
void writer_uint(struct writer *w, uint64_t value);
void writer_double(struct writer *w, double value);
void writer_text(struct writer *w, const char *text);
void writer_value(struct writer *w, const struct sample_value *value);
/* Microseconds as seconds. */
void writer_seconds(struct writer *w, bool negative, uint64_t usec);

/* Microseconds as seconds in decimal, exact, without needless zeros; what writer_seconds() says in JSON. */
void seconds_format(struct strbuf *b, bool negative, uint64_t usec);
/* 2023-11-14T22:13:20.5Z (RFC 3339), in UTC, exact. */
void iso_format(struct strbuf *b, uint64_t usec);
/* Makes an array of all that was written, once the number of its elements is known; what that will add in bytes. */
void writer_prepend_array(struct writer *w, size_t elements);
size_t writer_array_size(const struct writer *w, size_t elements);
