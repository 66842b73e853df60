/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The first look at a JSON file that a person wrote: json-c has no positions, takes duplicate keys in silence, and in
 * strict mode refuses comments.
 *
 * prescan_new blanks out comments (// to the end of the line, and slash-star pairs) in place, checks the whole grammar
 * of RFC 8259 with UTF-8, and refuses duplicate keys (compared after their escapes), trailing commas, NUL characters,
 * numbers beyond a double, and nesting deeper than CONFIG_DEPTH_MAX - 1. What it accepts, json_parse() accepts. It
 * remembers where each value and key stands. Lines and columns count from 1, columns in characters. Pure, any thread.
 *
 * Values are numbered: 0 is the root. */

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRESCAN_ROOT 0u
#define PRESCAN_NONE UINT32_MAX

struct position {
    unsigned line, column;
};

struct prescan;

/* `text` has n bytes and a NUL behind them; it is changed in place, n stays. -EBADMSG with *ret_at and a text; -ENOMEM.
 */
int prescan_new(char *text, size_t n, struct prescan **ret, struct position *ret_at, struct error *e);
struct prescan *prescan_free(struct prescan *s);
DEFINE_FREEP(struct prescan, prescan_free)

/* How many values there are; each number below has a key, a parent, a position. */
size_t prescan_count(const struct prescan *s);
/* The member `key`, or the element whose index `key` is in decimal; PRESCAN_NONE if there is none. */
uint32_t prescan_child(const struct prescan *s, uint32_t node, const char *key);
uint32_t prescan_parent(const struct prescan *s, uint32_t node);
/* The key under which the value stands, unescaped; "" for the root and for elements. Owned by s. */
const char *prescan_key(const struct prescan *s, uint32_t node);
/* Whether the value is a member of an object, and so has a key of its own in the file. */
bool prescan_is_member(const struct prescan *s, uint32_t node);
/* Where the value begins; where its key begins (for an element or the root, the value). */
struct position prescan_value_at(const struct prescan *s, uint32_t node);
struct position prescan_key_at(const struct prescan *s, uint32_t node);

/* The value that a JSON pointer (RFC 6901) names; if it names none, the deepest one on the way to it that exists. */
uint32_t prescan_pointer(const struct prescan *s, const char *pointer);
