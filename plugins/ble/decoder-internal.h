/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A decoder file as it is held in memory; for decoder*.c only. */

#include "bytes.h"
#include "decoder.h"
#include "field.h"

/* Fields that stand together, or what a tag or a characteristic means. */
struct object {
    uint32_t id;          /* a tag */
    struct ble_uuid uuid; /* a characteristic */
    int length;           /* bytes; -1: a byte with the length comes first */
    unsigned more;        /* bytes that this length does not count */
    struct field *fields;
    size_t n_fields;
};

enum source {
    SOURCE_NONE, /* characteristics only */
    SOURCE_MANUFACTURER,
    SOURCE_COMPANY_IS_DATA, /* the company id is the first two bytes of the values */
    SOURCE_SERVICE,
};

struct match_bytes {
    unsigned at;
    size_t n;
    uint8_t bytes[32];
};

struct match {
    enum source source;
    uint16_t companies[MATCH_COMPANIES_MAX];
    size_t n_companies;
    struct ble_uuid service;
    uint16_t short_service; /* 0: of 128 bits */
    bool has_advertised;
    struct ble_uuid advertised;
    char *names[MATCH_NAMES_MAX]; /* the beginnings of names; one is enough */
    size_t n_names;
    size_t length_min, length_max; /* bytes of the payload */
    struct match_bytes bytes[MATCH_BYTES_MAX];
    size_t n_bytes;
    struct field_condition *when;
    size_t n_when;
};

struct walk {
    bool used;
    unsigned from;     /* bytes before the first object */
    unsigned tag_size; /* bytes */
    bool tag_big;
    bool has_length; /* a byte with the length follows each tag */
};

struct decoder {
    char *name;
    char *path;
    char *title;
    bool active_scan;
    struct match match;
    enum cipher cipher;
    struct object plain; /* fields at fixed places */
    struct walk walk;
    struct object *objects;
    size_t n_objects;
    struct object *characteristics;
    size_t n_characteristics;
    size_t n_vectors;
};

struct decoder_set {
    struct decoder *decoders[DECODER_FILES_MAX]; /* by name */
    size_t n;
};

/* decoder-read.c: the file's text into memory, without its vectors. NULL after a complaint. */
struct decoder *decoder_read(struct reading *r, const char *name, json_object *root);
struct decoder *decoder_free(struct decoder *d);
/* decoder-object.c */
bool object_read_fields(struct reading *r, json_object *list, struct object *ret);
bool objects_read(struct reading *r, json_object *o, const char *key, bool characteristics, bool has_length,
                  struct object **ret, size_t *ret_n);
void object_done(struct object *o);
/* decoder-match.c: the payload that matches in `buffer`; how particular the match is, 0 if there is none. */
unsigned decoder_match(const struct decoder *d, const struct advert *advert, uint8_t buffer[ADVERT_PAYLOAD_MAX],
                       size_t *ret_n);
/* decode.c */
int decoder_run(const struct decoder *d, const struct advert *advert, const struct bind_key *key,
                struct counter_state *state, uint64_t now, struct decoded *ret);
int decoder_run_characteristic(const struct decoder *d, const struct ble_uuid *uuid, const uint8_t *bytes, size_t n,
                               struct decoded *ret);
/* walk.c: adds the values of the body to ret. DECODED, DECODER_STOPPED or DECODER_TRUNCATED. */
enum decoder_result decoder_values(const struct decoder *d, const uint8_t *body, size_t n, struct decoded *ret);
enum decoder_result object_values(const struct object *o, const uint8_t *bytes, size_t n, struct decoded *ret);
bool decoder_gives_value(const struct decoder *d, const char *name);
/* vectors.c: false after a complaint. */
bool decoder_check_vectors(struct reading *r, struct decoder *d, json_object *root);
