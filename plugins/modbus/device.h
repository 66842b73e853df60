/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device: its requests and when they are due, what its points last said, its state. It owns its configuration and a
 * share of its server. On the thread of the server's bus. The callbacks of plugin.h of the same names. */

#include "config.h"

struct modbus_device;

/* Takes the configuration over on success. -ENOMEM, or an errno with words: its line is open with other settings. */
int device_new(struct gatehouse_device *host_device, struct modbus_config *config, struct modbus_device **ret,
               char *error, size_t error_size);
struct modbus_device *device_free(struct modbus_device *d);

int device_poll(struct modbus_device *d, uint64_t *ret_next);
int device_write(struct modbus_device *d, const char *point, const struct gatehouse_value *value,
                 struct gatehouse_value *ret_value, char *error, size_t error_size);
int device_write_points(struct modbus_device *d, struct gatehouse_write *writes, size_t n, char *error,
                        size_t error_size);
int device_read(struct modbus_device *d, const char *point, struct gatehouse_value *ret_value, char *error,
                size_t error_size);
