/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device's section and its points, checked and read into one struct. Pure, any thread. Every mistake is complained
 * of with its JSON pointer; unknown keys are mistakes. The keys stand in README.md. */

#include "decode.h"
#include "plan.h"
#include "serial.h"
#include "url.h"

#include <gatehouse/plugin.h>
#include <json-c/json.h>

struct modbus_point {
    char *name;
    char *unit; /* NULL if none */
    bool writable;
    enum modbus_table table;
    uint16_t address; /* as it goes over the wire, from 0 */
    uint16_t count;
    unsigned row; /* how many of them stand in a row; 1 once the configuration is read */
    struct modbus_format format;
    bool has_scale_register; /* an int16 of the same table: the exponent of a power of ten */
    uint16_t scale_register;
    char group[GROUP_MAX]; /* "" for none */
    unsigned group_number; /* from 1 */
    uint16_t read_address; /* what one request has to cover: itself, its scale register, its group */
    uint16_t read_count;
    bool alone;
    bool poll;
    uint64_t interval;
    bool on_change;
    uint64_t max_interval; /* 0: none */
    double deadband;
    bool write_multiple;
    uint64_t write_interval; /* 0: none */
};

struct modbus_config {
    struct modbus_url url;
    unsigned unit;
    uint64_t interval;
    uint64_t timeout;
    unsigned retries;
    uint64_t retry_wait;
    unsigned degrade_after;
    uint64_t degrade_for;
    bool close_on_timeout;
    bool close_after_poll;
    bool check_transaction;
    uint64_t delay_after_connect;
    uint64_t delay_between_requests;
    struct serial_settings serial;
    uint64_t gap;
    uint64_t turnaround;
    unsigned address_base;
    bool write_multiple;
    bool trace;
    struct plan_limits limits;
    struct modbus_point *points;
    size_t n_points;
};

/* 0 with *ret (the caller's; ret may be NULL for a check only), -EINVAL after at least one complaint, -ENOMEM. */
int modbus_config_read(const char *section, const struct gatehouse_point *points, size_t n_points,
                       gatehouse_complain complain, void *context, struct modbus_config **ret);
struct modbus_config *modbus_config_free(struct modbus_config *config);

/* The url of a section, for device_bus. -EINVAL. */
int modbus_config_url(const char *section, struct modbus_url *ret);
