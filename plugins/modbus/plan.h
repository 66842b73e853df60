/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which registers to read in one request: neighbours of one table and one interval are merged, up to the protocol's and
 * the device's maximum and over gaps of at most max_gap addresses. Pure, any thread; the arrays are the caller's. */

#include "modbus-limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum modbus_table {
    TABLE_COIL,
    TABLE_DISCRETE,
    TABLE_INPUT,
    TABLE_HOLDING,
};

/* "coil", "discrete", "input", "holding" */
const char *modbus_table_name(enum modbus_table table);
static inline bool modbus_table_is_bits(enum modbus_table table)
{
    return table == TABLE_COIL || table == TABLE_DISCRETE;
}

/* The registers that a point covers. */
struct plan_item {
    enum modbus_table table;
    uint16_t address;
    uint16_t count; /* at least 1; address + count <= ADDRESSES */
    uint64_t interval;
    unsigned group; /* items of one group cover the same and stay together; 0: none */
    bool alone;     /* shares its request with nobody */
    size_t point;   /* the caller's */
};

/* One request: items[first .. first + n) are read by it. */
struct plan_request {
    enum modbus_table table;
    uint16_t address;
    uint16_t count;
    uint64_t interval;
    size_t first;
    size_t n;
};

struct plan_limits {
    unsigned max_gap;       /* addresses that nobody asked for, between two items */
    unsigned max_registers; /* 1 .. READ_REGISTERS_MAX; of coils and discrete inputs sixteen times as many */
};

/* Sorts the items and writes at most n requests; returns how many. An item larger than the maximum stands alone. */
size_t plan_make(struct plan_item *items, size_t n, const struct plan_limits *limits, struct plan_request *requests);

/* Cuts a request in two: at its widest gap, else in its middle. False if it has one item only. */
bool plan_split(const struct plan_item *items, const struct plan_request *request, struct plan_request ret[2]);

/* Puts together what plan_split cut: b's items follow a's. */
struct plan_request plan_join(const struct plan_item *items, const struct plan_request *a,
                              const struct plan_request *b);
