/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* CBOR (RFC 8949) in the strict subset of the driver protocol: definite lengths, integers and lengths in their shortest
 * form, doubles of 64 bits, UTF-8 texts without NUL; no tags, byte strings, null or other simple values.
 *
 * The caller asks for what has to come next, so that nothing nests deeper than the caller looks. The first item that is
 * something else fails the reader: every later call returns -EBADMSG as well, and `error` has the words. Pure. */

#include "base/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reading destroys the packet: a text is moved over its own head, to have room for its NUL. Texts returned live as long
 * as the packet. */
struct cbor_reader {
    uint8_t *at, *end;
    const char *error; /* static, NULL while all is well */
};

void cbor_reader_init(struct cbor_reader *r, void *packet, size_t n);
/* The number of items to come (pairs, of a map). */
int cbor_read_array(struct cbor_reader *r, size_t *ret);
int cbor_read_map(struct cbor_reader *r, size_t *ret);
int cbor_read_uint(struct cbor_reader *r, uint64_t max, uint64_t *ret);
/* Fewer than `size` bytes. */
int cbor_read_text(struct cbor_reader *r, size_t size, const char **ret);
/* Whole numbers are SAMPLE_INT where they fit, else SAMPLE_UINT; doubles are finite; texts fewer than `size` bytes. */
int cbor_read_value(struct cbor_reader *r, size_t size, struct sample_value *ret);
/* Nothing is left. */
int cbor_read_end(struct cbor_reader *r);
/* Fails the reader by the caller's own rule; `error` is static. Returns -EBADMSG. */
int cbor_fail(struct cbor_reader *r, const char *error);

/* Into a buffer of the caller's; what does not fit sets `full`, and nothing more is written. */
struct cbor_writer {
    uint8_t *start, *at, *end;
    bool full;
};

void cbor_writer_init(struct cbor_writer *w, void *buffer, size_t size);
size_t cbor_written(const struct cbor_writer *w);
void cbor_put_array(struct cbor_writer *w, size_t n);
void cbor_put_map(struct cbor_writer *w, size_t n);
void cbor_put_uint(struct cbor_writer *w, uint64_t value);
void cbor_put_bool(struct cbor_writer *w, bool value);
void cbor_put_text(struct cbor_writer *w, const char *text);
void cbor_put_text_n(struct cbor_writer *w, const char *text, size_t n);
void cbor_put_value(struct cbor_writer *w, const struct sample_value *value);
/* Items that were written elsewhere. */
void cbor_put_items(struct cbor_writer *w, const void *items, size_t n);
