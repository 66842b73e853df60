/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device at run time, as those see it who show it and act on it. It joins what the configuration says of a child with
 * its credentials, its session, its rotation, its waiting samples and its driver. Made and owned by the fleet. Loop
 * thread.
 *
 * Operations that wait for something take a device_done, called exactly once, possibly before the call returns; an
 * error returned at once means that it is not called. Errors are told apart by number, so that callers can name them:
 *
 *     -ENODEV       no such device             -EEXIST       key in use
 *     -ENXIO        no such point              -EADDRINUSE   identity in use
 *     -EACCES       not writable               -EKEYREJECTED weak key
 *     -ERANGE       beyond min and max         -ENOKEY       no credential there
 *     -EDOM         of a wrong type
 *     -ENOTCONN     driver away                -ESTALE       state not durable
 *     -EBUSY        busy                       -EROFS        read-only
 *     -EINVAL       invalid argument
 */

#include "base/device-state.h"
#include "base/error.h"
#include "base/sample.h"
#include "base/sensor-state.h"
#include "device/status.h"
#include "vault/vault.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct device;
struct job;

typedef void (*device_done)(int r, const struct error *e, void *userdata);

const char *device_id(const struct device *d);
const char *device_driver(const struct device *d);
const char *device_uplink(const struct device *d);
enum device_state device_state(const struct device *d);
enum sensor_state device_sensor_state(const struct device *d);
/* Why it is not ok; into the buffer, or the device's own and valid until the loop turn ends. */
const char *device_sensor_reason(const struct device *d, char *buffer, size_t size);
void device_status(const struct device *d, struct device_status *ret);

int device_rotate(struct device *d, bool compromised, struct job **ret_job, struct error *e);
/* Reads the key from fd (taken) and commits it. */
int device_set_credential(struct device *d, enum vault_slot slot, const char *identity, int fd,
                          enum vault_encoding encoding, bool force, device_done done, void *userdata, struct error *e);
/* done's userdata gets the descriptor by device_exported(): it is committed first where exporting is an offer. */
typedef void (*device_exported)(int r, int fd, const struct error *e, void *userdata);
int device_export_credential(struct device *d, enum vault_slot slot, device_exported done, void *userdata,
                             struct error *e);
int device_promote(struct device *d, device_done done, void *userdata, struct error *e);
int device_forget_credential(struct device *d, enum vault_slot slot, bool force, device_done done, void *userdata,
                             struct error *e);
/* The same for the sensor's own key (device/sensor-key.h). -ENOKEY: it has none. */
int device_set_sensor_key(struct device *d, int fd, enum vault_encoding encoding, device_done done, void *userdata,
                          struct error *e);
int device_forget_sensor_key(struct device *d, device_done done, void *userdata, struct error *e);
/* The same for its login (device/login.h), which is the first line that comes from fd, and the second. -ENOKEY. */
int device_set_login(struct device *d, int fd, device_done done, void *userdata, struct error *e);
int device_forget_login(struct device *d, device_done done, void *userdata, struct error *e);
/* Forgets which of its messages was the last. */
int device_reset_counter(struct device *d, device_done done, void *userdata, struct error *e);
void device_connect(struct device *d);
void device_disconnect(struct device *d);

/* The caller of a write, for the journal. */
struct device_asker {
    uint32_t uid;      /* of the caller on the bus; NOBODY: none */
    const char *words; /* "a caller on the bus", "cloud by command 7" */
};
/* `set` is what the device really has now; NULL with r < 0. */
typedef void (*device_written)(int r, const struct sample_value *set, const struct error *e, void *userdata);
int device_write(struct device *d, const char *point, const struct sample_value *value,
                 const struct device_asker *asker, device_written done, void *userdata, struct error *e);
/* Several points of the device by one request to its driver; all are checked before the first is asked for. `set` has
 * as many values, in the order of the writes; NULL with r < 0, and then some may have been written. */
typedef void (*device_points_written)(int r, const struct sample_value *set, size_t n, const struct error *e,
                                      void *userdata);
int device_write_points(struct device *d, const struct sample_write *writes, size_t n, const struct device_asker *asker,
                        device_points_written done, void *userdata, struct error *e);
/* Writes down that the point was not even asked for; at a bounded rate, since a cloud can go on for ever. */
void device_write_refused(struct device *d, const struct device_asker *asker, const char *wanted, const char *point,
                          const char *reason);
typedef void (*device_value)(int r, const struct sample_value *value, uint64_t time, const struct error *e,
                             void *userdata);
/* The driver's counts: an object of numbers, the caller's for the call only; NULL with r < 0. */
typedef void (*device_counts)(int r, json_object *counts, const struct error *e, void *userdata);
int device_statistics(struct device *d, device_counts done, void *userdata, struct error *e);
/* The newest of each point that came, by the names of the points, valid for this turn; the array is the caller's. */
int device_samples(const struct device *d, const struct sample ***ret, size_t *ret_n);
int device_read(struct device *d, const char *point, device_value done, void *userdata, struct error *e);
