/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A host for the Modbus plugin in tests: loads modbus.so, keeps what it reports, calls its polls when they are due; and
 * a Modbus server process with its log. Each function fails the running test when something is wrong with the machinery
 * itself. Devices of one bus belong to one thread. */

#include <gatehouse/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SECONDS UINT64_C(1000000)

struct sample {
    char point[65];
    char text[256]; /* of a string value */
    struct gatehouse_value value;
};

/* What the contract leaves opaque is the host's: here, all that a test wants to know. */
struct gatehouse_device {
    void *data;
    uint64_t next;
    bool woken;
    enum gatehouse_state state;
    bool has_state;
    char reason[512];
    unsigned state_changes;
    unsigned logged;
    char last_log[256];
    char counts[512];
    struct sample *samples;
    size_t n_samples;
};

struct served {
    uint64_t time;
    bool write;
    unsigned unit;
    char table[16];
    unsigned address;
    unsigned value;
};

struct server {
    pid_t pid;
    unsigned port;
    char log[64];
    struct served *served;
    size_t n_served;
};

uint64_t test_now(void);
const struct gatehouse_plugin *host_load(void);
/* Opens a device of the loaded plugin. `points` is "NAME {json}" texts ending with NULL; a name that begins with '!' is
 * writable. */
struct gatehouse_device *host_open(const char *section, const char *const *points);
struct gatehouse_device *host_close(struct gatehouse_device *d);
/* Polls what is due until `done` says so or the time is over; returns what done said last. */
bool host_run(struct gatehouse_device **devices, size_t n, bool (*done)(struct gatehouse_device **devices),
              uint64_t timeout);
size_t host_count(const struct gatehouse_device *d, const char *point);
/* The newest sample of a point, or NULL. */
const struct sample *host_last(const struct gatehouse_device *d, const char *point);

/* Starts a server program, whose first line is its port; `arguments` ends with NULL. The log is a new file. */
void server_start(struct server *s, const char *const *command, const char *const *arguments);
/* As before, on the same port and with the same log. */
void server_restart(struct server *s, const char *const *command, const char *const *arguments);
/* Ends it (SIGTERM or SIGKILL), waits, and reads the log. */
void server_end(struct server *s, int signal_number);
void server_done(struct server *s);
