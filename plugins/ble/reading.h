/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading the JSON of a decoder file: each getter checks type and range, and complains with the JSON pointer (RFC 6901)
 * of what is wrong. All complaints of a file are made, not only the first. Any thread. */

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `path` is the file's, `place` a JSON pointer into it, or "LINE:COLUMN" where it is no JSON. */
typedef void (*decoder_complain)(void *context, const char *path, const char *place, const char *message);

struct reading {
    decoder_complain complain;
    void *context;
    const char *path;
    char pointer[256];
    bool failed;
};

/* Goes into the member or element `key`; reading_leave takes what this returned. */
size_t reading_enter(struct reading *r, const char *key);
size_t reading_enter_index(struct reading *r, size_t index);
void reading_leave(struct reading *r, size_t before);

/* At `key` of where it is, or at where it is if that is NULL. Always false. */
bool reading_complain(struct reading *r, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Complains of members that are not among the n names, and of a "comment" that is no text. */
void reading_known(struct reading *r, json_object *o, const char *const *names, size_t n);

/* Each is false if the key is absent, or after a complaint; r->failed tells which. */
bool reading_get(struct reading *r, json_object *o, const char *key, json_type type, json_object **ret);
bool reading_text(struct reading *r, json_object *o, const char *key, const char **ret);
bool reading_bool(struct reading *r, json_object *o, const char *key, bool *ret);
bool reading_number(struct reading *r, json_object *o, const char *key, double *ret);
bool reading_whole(struct reading *r, json_object *o, const char *key, int64_t min, int64_t max, int64_t *ret);
/* A whole number, or one in hexadecimal as a text: "0x8000". False if it is neither. */
bool reading_raw(json_object *o, int64_t *ret);
/* Such a number as the key of a member: "1", "-1", "0x01". */
bool reading_key(const char *key, int64_t *ret);
