/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads a JSON file that a person wrote, member by member, and notes each mistake where it stands.
 *
 *     reader_open(&r, file, text, n, &mistakes)      prescan and json-c
 *     reader_known(&r, object, keys)                 every other key is a mistake, with the nearest known one
 *     reader_duration(&r, object, "max_age", ...)    absent: the caller's value stays
 *
 * A getter returns true if the member was there and good. If it was bad, the mistake is noted and the caller's value
 * stays; so a caller reads everything, then asks reader_good() once. Embedded; any thread, one at a time. */

#include "base/json.h"
#include "base/mistakes.h"
#include "base/prescan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
    const char *file;
    const char *device; /* named in mistakes once it is known; NULL before. The caller's. */
    struct mistakes *mistakes;
    size_t mistakes_before;
    struct prescan *map;
    json_object *root;
};

/* A value and its number in the prescan. */
struct value {
    json_object *json;
    uint32_t node;
};

/* `text` is changed in place (comments blanked) and not kept; `file` and `mistakes` stay the caller's and must outlive
 * the reader. 0, -EBADMSG (noted), -ENOMEM. */
int reader_open(struct reader *r, const char *file, char *text, size_t n, struct mistakes *mistakes);
void reader_done(struct reader *r);
/* No mistake was noted since reader_open. */
bool reader_good(const struct reader *r);
struct value reader_root(const struct reader *r);

/* Notes a mistake at the value, or at its key. */
void reader_mistake(struct reader *r, uint32_t node, const char *format, ...) __attribute__((format(printf, 3, 4)));
void reader_mistake_key(struct reader *r, uint32_t node, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Notes a mistake for each member of the object not in the NULL-terminated list, with the nearest of it if one is near.
 */
void reader_known(struct reader *r, struct value object, const char *const known[]);
/* The nearest of a NULL-terminated list to what was written, or NULL if none is near enough to be meant. */
const char *nearest_word(const char *text, const char *const words[]);

/* The member whatever its type; `required` notes its absence at the object. */
bool reader_member(struct reader *r, struct value object, const char *key, bool required, struct value *ret);
bool reader_object(struct reader *r, struct value object, const char *key, bool required, struct value *ret);
/* Owned by the reader. */
bool reader_string(struct reader *r, struct value object, const char *key, bool required, const char **ret);
bool reader_bool(struct reader *r, struct value object, const char *key, bool *ret);
/* A finite number, integer or not. */
bool reader_number(struct reader *r, struct value object, const char *key, double *ret);
/* An integer within min and max. */
bool reader_unsigned(struct reader *r, struct value object, const char *key, unsigned min, unsigned max, unsigned *ret);
/* Text as duration_parse() takes it, within min and max microseconds. */
bool reader_duration(struct reader *r, struct value object, const char *key, uint64_t min, uint64_t max, uint64_t *ret);
/* Text as size_parse() takes it, or an integer number of bytes. */
bool reader_size(struct reader *r, struct value object, const char *key, uint64_t min, uint64_t max, uint64_t *ret);
/* One of a NULL-terminated list of words; *ret is its index. */
bool reader_word(struct reader *r, struct value object, const char *key, const char *const words[], unsigned *ret);
