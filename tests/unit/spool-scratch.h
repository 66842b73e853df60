/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A spool with a file in a scratch directory. Included by the spool's tests, after cmocka.h. */

#include "scratch-dir.h"

#include "base/cleanup.h"
#include "spool/file.h"

#include <stdio.h>
#include <string.h>

#define NOW (UINT64_C(1000) * USEC_PER_SEC)
#define REAL (UINT64_C(1700000000) * USEC_PER_SEC)

struct scratch {
    char directory[64], path[96];
    sd_event *event; /* NULL: what touches the disk is done at once */
    struct spool *spool;
    struct spool_settings settings;
    uint8_t boot;
    unsigned more, more_of_all, failures, recoveries, corrupt, unreadable, unset;
    uint64_t lost;
    char aside[256];
};

static inline void scratch_more(const char *id, void *userdata)
{
    ((struct scratch *)userdata)->more++;
}

static inline void scratch_more_of_all(void *userdata)
{
    ((struct scratch *)userdata)->more_of_all++;
}

static inline void scratch_disk(const struct error *e, void *userdata)
{
    struct scratch *x = userdata;

    if (e)
        x->failures++;
    else
        x->recoveries++;
}

static inline void scratch_corrupt(const struct error *e, const char *aside, uint64_t lost, void *userdata)
{
    struct scratch *x = userdata;

    x->corrupt++;
    x->lost += lost;
    snprintf(x->aside, sizeof(x->aside), "%s", aside);
}

static inline void scratch_unreadable(const char *id, uint64_t lost, void *userdata)
{
    struct scratch *x = userdata;

    x->unreadable++;
    x->lost += lost;
}

static inline void scratch_unset(unsigned boots, void *userdata)
{
    ((struct scratch *)userdata)->unset += boots;
}

static inline int scratch_try(struct scratch *x, struct error *e)
{
    static const struct spool_ops ops = {.more = scratch_more,
                                         .more_of_all = scratch_more_of_all,
                                         .disk = scratch_disk,
                                         .corrupt = scratch_corrupt,
                                         .unreadable = scratch_unreadable,
                                         .unset = scratch_unset};
    const struct spool_options options = {
        .event = x->event, .path = x->path, .boot = {x->boot}, .ops = &ops, .userdata = x};

    return spool_new(&x->settings, &options, &x->spool, e);
}

static inline void scratch_start(struct scratch *x)
{
    struct error e = {0};

    if (scratch_try(x, &e) < 0)
        fail_msg("%s", e.text);
}

/* The agent is killed: what is not on disk is gone. */
static inline void scratch_kill(struct scratch *x)
{
    x->spool = spool_free(x->spool);
}

static inline void scratch_init(struct scratch *x, enum spool_durability durability)
{
    *x = (struct scratch){.settings = {SPOOL_BYTES_DEFAULT, SPOOL_AGE_DEFAULT, durability}, .boot = 1};
    scratch_directory(x->directory, sizeof(x->directory), "spool");
    snprintf(x->path, sizeof(x->path), "%s/spool.db", x->directory);
    scratch_start(x);
}

static inline void scratch_done(struct scratch *x)
{
    char command[128];

    scratch_kill(x);
    snprintf(command, sizeof(command), "rm -rf %s", x->directory);
    assert_int_equal(system(command), 0);
}

static inline struct sample number(const char *point, uint64_t time, int64_t x)
{
    return (struct sample){.point = point, .time = time, .value = {.type = SAMPLE_INT, .x = x}, .unit = "Cel"};
}

static inline struct spool_counts counts_of(struct scratch *x, const char *id)
{
    struct spool_counts c;

    spool_device_counts(spool_device(x->spool, id), &c);
    return c;
}

static inline void on_answer(int r, void *userdata)
{
    int *answer = userdata;

    *answer = r == 0 ? 1 : r;
}
