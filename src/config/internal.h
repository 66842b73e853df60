/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of src/config only. */

#include "base/reader.h"
#include "config/config.h"

/* Reads gatehouse.json into c: uplinks, rotation, spool, file, digest. 0, -EBADMSG (noted), -ENOMEM. */
int config_read_globals(struct config *c, const char *path, struct mistakes *mistakes);
/* The same from a text, which is changed in place; c->file is set. */
int config_parse_globals(struct config *c, char *text, size_t n, struct mistakes *mistakes);

/* vault.c: the section `vault` of the root. */
void config_read_vault(struct reader *r, struct value root, struct config_vault *ret);

/* A device file, also a bad one. */
struct device_file {
    char *path;
    char *id; /* NULL if it could not be read */
    struct position id_at;
    struct position client_at;    /* what its client id is made of: the hardware id, or the id */
    struct config_device *device; /* NULL if it had mistakes */
};
/* `text` is changed in place. `c` has the uplinks; NULL: they are not known, and the device's is not looked up. Returns
 * 0 also for a file with mistakes, which are noted; -ENOMEM. */
int config_read_device(const struct config *c, char *text, size_t n, struct device_file *f, struct mistakes *mistakes);
void device_file_done(struct device_file *f);

/* clients.c: over MQTT, at which brokers the device is and who it is to it, d->client. 0 or -ENOMEM. */
int config_client(const struct config *c, struct config_device *d);
/* Whether both would be the same to one of the brokers of both. Who is not enabled is nobody. */
bool config_clients_clash(const struct config_device *a, const struct config_device *b);
/* `then`: what comes of it. */
void config_clients_complain(const struct device_file *f, const struct config_device *other, const char *then,
                             struct mistakes *mistakes);
/* Takes away the devices of files, each with one, that clash with each other, and notes it. 0 or -ENOMEM. */
int config_clients_refuse(struct device_file *const *files, size_t n, struct mistakes *mistakes);

/* Notes each key that asks for a secret, anywhere but where `names` (NULL, or a member of the root) holds names that
 * people chose, and takes it out of the tree. */
void config_refuse_secrets(struct reader *r, const char *names);

/* The member `registrar` of an uplink; without it keys are carried by hand. */
void config_read_registrar(struct reader *r, struct value object, struct config_registrar *ret);
void config_registrar_done(struct config_registrar *c);

/* Puts a copy of the text into *ret; out of memory is kept with the mistakes. */
void config_copy(struct reader *r, const char *text, char **ret);

/* To tell whether a file is still the one that was read. */
uint64_t config_digest(const char *text, size_t n);
/* A whole file of at most CONFIG_FILE_MAX bytes; what fails is noted (-EBADMSG). */
int config_read_file(const char *path, char **ret_text, size_t *ret_size, struct mistakes *mistakes);

struct config_uplink *config_uplink_unref(struct config_uplink *u);
DEFINE_FREEP(struct config_uplink, config_uplink_unref)
