/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Methods and properties that stand in the tables of manager.c and device-object.c, and are carried out by files of
 * their own. Handlers as sd-bus calls them: the manager's userdata is the struct bus, a device's the struct device. */

#include "bus/internal.h"

/* vault.c: methods of the manager */
int vault_method_rekey(sd_bus_message *m, void *userdata, sd_bus_error *error);
int vault_method_set_recovery_key(sd_bus_message *m, void *userdata, sd_bus_error *error);
int vault_method_backup(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* counters.c: properties of the manager */
int counters_get(sd_bus *connection, const char *path, const char *interface, const char *property,
                 sd_bus_message *reply, void *userdata, sd_bus_error *error);

/* provision.c: methods of the manager */
int provision_call(sd_bus_message *m, void *userdata, sd_bus_error *error);
int export_call(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* summary.c: a method of the manager */
int summary_method_get(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* points.c: methods of a device */
int points_method_write(sd_bus_message *m, void *userdata, sd_bus_error *error);
int points_method_write_points(sd_bus_message *m, void *userdata, sd_bus_error *error);
int points_method_read(sd_bus_message *m, void *userdata, sd_bus_error *error);
int points_method_get_samples(sd_bus_message *m, void *userdata, sd_bus_error *error);
int points_method_get_statistics(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* look.c: methods of the manager */
int look_method_scan(sd_bus_message *m, void *userdata, sd_bus_error *error);
int look_method_read_raw(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* check.c: a method of the manager */
int check_method(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* quiesce.c: a method of the manager */
int quiesce_method(sd_bus_message *m, void *userdata, sd_bus_error *error);
