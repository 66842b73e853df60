/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* gatehousectl: a D-Bus client of org.gatehouse1. One thread, blocking calls. What a verb shows is first a JSON object
 * and then printed, as JSON or for people, so that both say the same. Verbs return an exit status. */

#include "base/cleanup.h"
#include "base/json.h"
#include "base/names.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

enum output { OUTPUT_TEXT, OUTPUT_JSON_SHORT, OUTPUT_JSON_PRETTY };

struct ctl {
    enum output output;
    bool quiet, legend, pager, yes;
    const char *host; /* NULL: this machine */
    /* options of single verbs */
    bool all, force, keep, compromised, for_image, registered, skip;
    const char *encoding, *keyfile, *state_dir, *type, *format, *template, *count, *prefix, *uplink;
    sd_bus *bus;
};

typedef int (*verb_fn)(struct ctl *c, int argc, char **argv);

/* call.c */
/* To the bus, unless that is done; every ctl_call() begins with it. Exit status. */
int ctl_connect(struct ctl *c);
/* Says what failed and returns the exit status that goes with the error. */
int ctl_failed(struct ctl *c, const char *what, int r, const sd_bus_error *error);
/* Calls a method of the manager or of a device; *ret_reply may be NULL. Returns an exit status, having said what
 * failed. */
int ctl_call(struct ctl *c, const char *path, const char *interface, const char *method, sd_bus_message **ret_reply,
             const char *types, ...);
/* The path of a device that exists. Exit status. */
int ctl_device(struct ctl *c, const char *id, char **ret_path);
/* All properties of an interface as a JSON object. Exit status. */
int ctl_properties(struct ctl *c, const char *path, const char *interface, json_object **ret);
/* A value of any type as JSON. */
int ctl_to_json(sd_bus_message *m, json_object **ret);

/* One property, added to `properties`. Exit status. */
int ctl_property(struct ctl *c, const char *path, const char *interface, const char *name, json_object *properties);

/* job.c */
/* Waits for a job's end; its properties with the results. `progress`: shown meanwhile, on a terminal. Exit status. */
int job_wait(struct ctl *c, const char *path, bool progress, json_object **ret_properties);
/* Waits with progress and prints the outcome, and what did not go well. Exit status: EXIT_PARTIAL if something did. */
int job_outcome(struct ctl *c, const char *path);
/* As people give it. */
const char *job_number(const char *path);

/* key.c: a sealed memfd with these bytes, or -EBADF after saying why. */
int key_memfd(const void *bytes, size_t n);

/* vault-*.c: verbs behind `vault` */
int verb_vault_rekey(struct ctl *c);
int verb_vault_backup(struct ctl *c, const char *file);
int verb_vault_recovery_key(struct ctl *c);
int verb_vault_reset(struct ctl *c);
int verb_vault_restore(struct ctl *c, const char *file);

/* print.c */
void print_json(struct ctl *c, json_object *o);
/* microseconds as local time, "never" for 0 */
void print_time(const char *label, uint64_t usec);
void print_say(struct ctl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends what is printed from here on through $PAGER, if standard output is a terminal and there are many rows. */
void print_pager(struct ctl *c, size_t rows);
void print_pager_end(void);

/* The verbs, by file. */
int verb_status(struct ctl *c, int argc, char **argv);
int verb_list(struct ctl *c, int argc, char **argv);
int verb_show(struct ctl *c, int argc, char **argv);
int verb_watch(struct ctl *c, int argc, char **argv);
int verb_job(struct ctl *c, int argc, char **argv);
int verb_rotate(struct ctl *c, int argc, char **argv);
int verb_read(struct ctl *c, int argc, char **argv);
int verb_write(struct ctl *c, int argc, char **argv);
int verb_key(struct ctl *c, int argc, char **argv);
int verb_device(struct ctl *c, int argc, char **argv);
int verb_connect(struct ctl *c, int argc, char **argv);
int verb_disconnect(struct ctl *c, int argc, char **argv);
int verb_provision(struct ctl *c, int argc, char **argv);
int verb_export(struct ctl *c, int argc, char **argv);
int verb_reload(struct ctl *c, int argc, char **argv);
int verb_vault(struct ctl *c, int argc, char **argv);
