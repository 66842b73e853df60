/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of a provisioning: provision.c reads the list twice, provision-check.c judges each row the first
 * time, provision-make.c gives it a key the second time and makes the devices in the end. Loop thread, except
 * provision_parse(). */

#include "base/map.h"
#include "device/internal.h"

/* Something that must be distinct within the list: a device, an identity, a key. */
struct seen {
    struct map_node node;
    size_t row;
};

struct driver_count {
    char *driver;
    size_t n;
};

/* A device that was there without a key. */
struct provision_existing {
    struct provision_existing *next;
    char id[DEVICE_ID_MAX + 1];
};

/* The rows that are at work, and what becomes of each. */
struct provision_page {
    struct list_rows *rows;
    struct config_device *devices[LIST_ROWS]; /* NULL for a device that is there already */
    char *texts[LIST_ROWS];
    size_t at; /* the row that is next */
    bool busy; /* a worker or a check has it */
};

/* Findings of the first reading. */
struct provision_check {
    struct map seen;
    struct driver_count *drivers;
    size_t n_drivers;
    size_t n_rows, n_new, n_mistakes, n_unused;
};

/* Keys and devices that the second reading makes. */
struct provision_make {
    struct config_device **devices;
    char **texts;
    size_t n, allocated, started;
    size_t commits; /* under way */
    struct provision_existing *existing;
    bool waiting; /* for the last of the commits */
    bool stored;
    size_t n_registrations, n_by_hand;
};

struct provision {
    struct fleet *fleet; /* NULL: gone */
    struct job *job;
    struct provision_options options;
    json_object *template;
    struct list_reader *reader;
    struct provision_page page;
    bool making, cancelled;
    struct error error;
    int r;
    sd_event_source *turn;
    struct provision_check check;
    struct provision_make make;
};

/* provision.c */
void provision_mistake(struct provision *p, const struct list_row *row, const char *text);
void provision_next_turn(struct provision *p);
void provision_end(struct provision *p, int r, const char *why);
/* Frees it, if the fleet is gone and nobody has to answer any more. */
void provision_left(struct provision *p);
/* The device of a row that is configured already. */
struct device *provision_existing(struct provision *p, const struct list_row *row);
/* The identity as it goes over the wire: behind a project or tenant, if the uplink has one. -E2BIG. */
int provision_identity(const struct config_uplink *u, const char *identity, char ret[IDENTITY_MAX + 1]);
/* Where a row's device is to be connected. */
const struct config_uplink *provision_uplink(struct provision *p, size_t i);

/* provision-check.c */
void provision_check_row(struct provision *p, size_t i);
/* Why a device that is configured cannot be given a key by a list; NULL if it can. */
const char *provision_unfit(const struct device *d);
/* Whether its row is passed over, since the device has a key that can be used. */
bool provision_skips(const struct provision *p, const struct device *d);
void provision_check_done(struct provision *p);

/* provision-make.c */
int provision_make_row(struct provision *p, size_t i);
/* All rows have their keys: files, then devices. */
void provision_finish(struct provision *p);
void provision_make_done(struct provision *p);
