/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The section `ble` of a device's file and its points, as checked. All mistakes are complained of by their JSON
 * pointers. Pure, any thread; the caller frees. */

#include "ble-limits.h"
#include "bytes.h"
#include "field.h"

#include <gatehouse/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct decoder_set;

enum ble_pairing {
    PAIRING_NONE,
    PAIRING_JUST_WORKS,
    PAIRING_PASSKEY,
};

struct ble_point {
    char *name, *unit; /* unit NULL: the decoder's */
    char *value;       /* the decoder's name for it */
    bool gatt;         /* of a characteristic, not of what is advertised */
    char *characteristic;
    char *service; /* NULL: any */
    bool has_type; /* its bytes are as `field` says; otherwise a decoder knows */
    struct field field;
    uint64_t read; /* how often; 0: not by itself */
    bool notify, writable;
};

struct ble_config {
    char address[ADDRESS_TEXT];
    char *format;
    char adapter[ADDRESS_TEXT]; /* "": any */
    uint64_t interval, timeout; /* timeout 0: never */
    bool passive;               /* it is to be listened for passively */
    enum ble_pairing pairing;
    uint32_t passkey;
    struct ble_point *points;
    size_t n_points, n_gatt;
};

/* 0, -EINVAL after a complaint, -ENOMEM. `ret` may be NULL. */
int ble_config_read(const struct decoder_set *set, const char *section, const struct gatehouse_point *points,
                    size_t n_points, gatehouse_complain complain, void *context, struct ble_config **ret);
struct ble_config *ble_config_free(struct ble_config *c);
/* Nothing is connected to; its values are those of advertisements. */
bool ble_config_listens(const struct ble_config *c);

/* "100ms", "1s", "5min", "24h"; "0". */
int ble_duration(const char *text, uint64_t *ret);
/* In capitals. */
int ble_address(const char *text, char ret[ADDRESS_TEXT]);
