/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* gatehousectl: a D-Bus client of org.gatehouse1. One thread, blocking calls. What a verb has to say goes into its
 * result, a JSON object, and is then printed, as JSON or for people, so that both say the same. Verbs return an exit
 * status; what they take and how they are called stands in verbs.c alone. */

#include "base/cleanup.h"
#include "base/json.h"
#include "base/names.h"
#include "style.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

enum output { OUTPUT_TEXT, OUTPUT_JSON_SHORT, OUTPUT_JSON_PRETTY };

struct ctl {
    enum output output;
    bool quiet, no_legend, no_pager, yes, help, version;
    const char *json, *host; /* host NULL: this machine */
    /* options of single verbs */
    bool add, all, compromised, dry_run, for_image, force, full, keep, latest, lines, no_wait, registered, skip, trace;
    const char *encoding, *keyfile, *state_dir, *kind, *type, *format, *template, *count, *prefix, *uplink, *timeout;
    const char *url, *unit, *units, *read;
    const char *agent_program, *config_dir, *list_dir;
    bool list; /* check */
    const char *root, *plugin_dir, *driver_program;
    const char *driver, *sensor, *state;
    struct terminal out; /* standard output, as it was at the beginning */
    sd_bus *bus;
    json_object *result; /* by ctl_result() */
};

/* The words about an agent that ended meanwhile. */
#define CTL_STOPPED "gatehoused has stopped"

/* call.c */
/* To the bus, unless that is done; every ctl_call() begins with it. Exit status. */
int ctl_connect(struct ctl *c);
/* Says what failed, by the method or in words, and returns the exit status that goes with the error. */
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
/* How a job is waited for. */
struct job_watch {
    bool progress;                              /* shown meanwhile, on a terminal */
    uint64_t until;                             /* CLOCK_BOOTTIME; 0: for ever */
    int (*look)(struct ctl *c, void *userdata); /* every now and then, may be NULL; its exit status ends the wait */
    void *userdata;
};

/* Waits for a job's end; its properties with the results, or of one that still runs at `until`. Exit status. */
int job_wait(struct ctl *c, const char *path, const struct job_watch *watch, json_object **ret_properties);
bool job_ended(json_object *properties);
/* Waits with progress, adds the job to the result and prints its outcome, and what did not go well. Exit status:
 * EXIT_PARTIAL if something did. `until`: as in struct job_watch. */
int job_outcome(struct ctl *c, const char *path, uint64_t until);
/* As people give it. */
const char *job_number(const char *path);
/* Puts a job's properties, which this takes, among the `jobs` of the result, with its number. */
void job_result(struct ctl *c, const char *path, json_object *properties);

/* key.c: a sealed memfd with these bytes, or -EBADF after saying why. */
int key_memfd(const void *bytes, size_t n);
/* Whether keys may go to standard output, having said why not. */
bool key_output_fit(const struct ctl *c);

/* provision.c: has the agent make devices of an open list; `template` NULL: {}.
 * *ret_unused (may be NULL): whether devices have other keys than it, which were not taken. Exit status. */
int provision_list(struct ctl *c, int fd, const char *format, const char *template, bool registered, bool *ret_unused);
/* provision-dir.c: each list of --directory, once. Exit status. */
int provision_directory(struct ctl *c);

/* find.c: what is done with what `scan` of this driver found. */
#define DRIVER_OF_FINDS "ble"
/* Before the scan: whether this is asked for in a way that it can be done. Exit status. */
int find_check(const struct ctl *c, const char *driver, const char *which);
/* Prints the device file of one, or adds it. `which`: its number in `found`, address or id; NULL: the user is asked.
 * Exit status. */
int find_use(struct ctl *c, json_object *found, const char *which);

/* look.c: `read` without a configured device. Exit status. */
int look_read(struct ctl *c, int argc, char **argv);

/* key.c: the key of a file, or of standard input or a terminal (NULL), as a descriptor to hand over; `encoding` is what
 * it is if the user does not say. And how many bytes it stands for. */
int key_take(struct ctl *c, const char *file, const char *encoding, int *ret_fd, size_t *ret_length);
/* key-bind.c: the sensor's own key. */
bool key_is_bind(const struct ctl *c);
int key_bind_set(struct ctl *c, int argc, char **argv);
/* Two lines, a user name and a password, as key_take(). */
int key_take_login(const char *file, int *ret_fd);
/* key-login.c: a user name and a password. */
bool key_is_login(const struct ctl *c);
int key_login_set(struct ctl *c, int argc, char **argv);

/* print.c */
/* The verb's result, an object. Names of D-Bus properties are printed as main_identity for MainIdentity. */
json_object *ctl_result(struct ctl *c);
/* A text of the result. */
void ctl_result_text(struct ctl *c, const char *name, const char *text);
/* Whether words for people are wanted at all: neither --quiet nor --json. */
bool print_text_wanted(const struct ctl *c);
/* The words for people, a line. */
void print_say(struct ctl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A new document, an object with the version of its schema. */
json_object *print_document(void);
/* Prints an error, a line on standard error and, under --json, in the envelope. */
void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints a warning, in the same places. */
void print_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* One value of a stream, as the output asks for. */
void print_json(struct ctl *c, json_object *o);
/* Under --json: the envelope of result, status and errors that every verb ends with. */
void print_envelope(struct ctl *c, const char *verb, int status);
/* Microseconds as local time, "never" for 0; PRINT_TIME_MAX bytes. Returns `text`. */
#define PRINT_TIME_MAX 64
const char *print_time_text(uint64_t usec, char text[PRINT_TIME_MAX]);
/* The event that a rotation waits for and until when, of a device's properties; 0 if it waits for nothing. */
int print_waits(json_object *device, char *text, size_t size);
/* A field with microseconds as local time and how far that is from now; "never" for 0. */
void print_time(struct ctl *c, const char *label, uint64_t usec);
/* Sends what is printed from here on through $PAGER, if standard output is a terminal and there are many rows. */
void print_pager(struct ctl *c, size_t rows);
void print_pager_end(void);

/* check.c: the agent does not run; says what of its files keeps it from starting. */
void check_explain(struct ctl *c);

/* The verbs, by file. `argv` has what stands behind the verb, as many as verbs.c allows. */
int verb_help(struct ctl *c, int argc, char **argv);
int verb_status(struct ctl *c, int argc, char **argv);
int verb_list(struct ctl *c, int argc, char **argv);
int verb_show(struct ctl *c, int argc, char **argv);
int verb_watch(struct ctl *c, int argc, char **argv);
int verb_job_list(struct ctl *c, int argc, char **argv);
int verb_job_wait(struct ctl *c, int argc, char **argv);
int verb_job_cancel(struct ctl *c, int argc, char **argv);
int verb_check(struct ctl *c, int argc, char **argv);
int verb_rotate(struct ctl *c, int argc, char **argv);
int verb_scan(struct ctl *c, int argc, char **argv);
int verb_read(struct ctl *c, int argc, char **argv);
int verb_write(struct ctl *c, int argc, char **argv);
int verb_key_set(struct ctl *c, int argc, char **argv);
int verb_key_forget(struct ctl *c, int argc, char **argv);
int verb_key_counter_reset(struct ctl *c, int argc, char **argv);
int verb_key_promote(struct ctl *c, int argc, char **argv);
int verb_key_export(struct ctl *c, int argc, char **argv);
int verb_device_add(struct ctl *c, int argc, char **argv);
int verb_device_remove(struct ctl *c, int argc, char **argv);
int verb_connect(struct ctl *c, int argc, char **argv);
int verb_disconnect(struct ctl *c, int argc, char **argv);
int verb_provision(struct ctl *c, int argc, char **argv);
int verb_export(struct ctl *c, int argc, char **argv);
int verb_support_bundle(struct ctl *c, int argc, char **argv);
int verb_apply(struct ctl *c, int argc, char **argv);
int verb_metrics(struct ctl *c, int argc, char **argv);
int verb_reload(struct ctl *c, int argc, char **argv);
int verb_vault_init(struct ctl *c, int argc, char **argv);
int verb_vault_verify(struct ctl *c, int argc, char **argv);
int verb_vault_rekey(struct ctl *c, int argc, char **argv);
int verb_vault_recovery_key(struct ctl *c, int argc, char **argv);
int verb_vault_backup(struct ctl *c, int argc, char **argv);
int verb_vault_restore(struct ctl *c, int argc, char **argv);
int verb_vault_reset(struct ctl *c, int argc, char **argv);
