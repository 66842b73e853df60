/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading one JSON object key by key: each getter takes the key off the list of unknown ones, checks type and range,
 * and complains with the key's pointer; an absent key leaves the preset. For config.c and config-point.c. */

#include "config.h"

#define READER_KEYS_MAX 64

struct reader {
    gatehouse_complain complain;
    void *context;
    char pointer[128]; /* of the object: "/section", "/points/NAME" */
    json_object *object;
    bool failed;
    const char *known[READER_KEYS_MAX];
    size_t n_known;
};

/* Parses `text`, which must be one JSON object. False after a complaint; otherwise the caller puts reader->object. */
bool reader_open(struct reader *r, const char *text, gatehouse_complain complain, void *context, const char *pointer);
/* Complains of every key that no getter asked for. */
void reader_finish(struct reader *r);

/* At `key`, or at the object if it is NULL. */
void reader_complain(struct reader *r, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The value at the key, or NULL. */
json_object *reader_get(struct reader *r, const char *key);
/* Only if it is a string; NULL if absent, or after a complaint. */
const char *reader_string(struct reader *r, const char *key);
void reader_uint(struct reader *r, const char *key, unsigned min, unsigned max, unsigned *value);
void reader_double(struct reader *r, const char *key, double *value);
void reader_bool(struct reader *r, const char *key, bool *value);
/* "100ms 1s 5min 24h 90d", "0" alone */
void reader_duration(struct reader *r, const char *key, uint64_t min, uint64_t max, uint64_t *value);

/* -EINVAL */
int duration_parse(const char *text, uint64_t *ret);
void duration_format(uint64_t duration, char *text, size_t size);

/* One of n names: its index. */
void reader_choice(struct reader *r, const char *key, const char *const *names, unsigned n, unsigned *value);

/* config-format.c: what the registers hold. False if the rest cannot be judged. */
bool modbus_format_read(struct reader *r, struct modbus_point *p);
void modbus_format_done(struct modbus_format *f);
/* Says that a key makes no sense for this type; true if the key is there. */
bool modbus_misplaced(struct reader *r, const char *key, const struct modbus_point *p);
/* "0x..." -EINVAL */
int modbus_hex_parse(const char *text, uint64_t *ret);

/* config-point.c: one point; false after a complaint. */
bool modbus_point_read(const struct modbus_config *config, const struct gatehouse_point *point,
                       gatehouse_complain complain, void *context, struct modbus_point *ret);
void modbus_point_done(struct modbus_point *point);
