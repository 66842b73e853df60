/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Answers that wait until samples are safe. A part of the spool; its waiters are freed when they are answered, each
 * once. */

#include "base/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct spool;
struct spool_device;

/* Somebody waits until samples are safe. */
struct waiter {
    struct waiter *next; /* of the device */
    TAILQ_ENTRY(waiter) by_age;
    struct spool_device *device;
    uint64_t until; /* of the device's `passed` */
    uint64_t since; /* CLOCK_BOOTTIME */
    void (*done)(int r, void *userdata);
    void *userdata;
    size_t n;
    uint64_t marks[]; /* of its samples */
};
TAILQ_HEAD(waiter_list, waiter);

/* Those who wait for a device. */
struct waits {
    uint64_t passed; /* samples that became safe, or left before */
    struct waiter *first, *last;
    /* Samples that are here although whoever waited for them was refused: they come a second time. */
    uint64_t *again; /* marks */
    size_t n_again;
    uint64_t again_until; /* of `passed`: then they are safe */
    uint64_t again_since; /* CLOCK_BOOTTIME: when they, or others of the device, were refused or known last */
};

/* So many more samples are safe, or left. */
void waits_passed(struct waits *w, uint64_t n);
/* Whether somebody waits for all that is in no row, of which so many samples are on their way or to be written. */
bool waits_for_all(const struct waits *w, uint64_t n);
/* For n samples as they are handed over, before they are taken: NULL when out of memory. */
struct waiter *waiter_new(struct spool_device *d, uint64_t now, const struct sample *said, size_t n);
/* Until all that the device has is safe. */
void wait_until_safe(struct waiter *w, void (*done)(int r, void *userdata), void *userdata);
void end_waiters(struct waits *w, int r);
/* Those who wait for the device get -EBUSY; its samples stay, and are known again. */
void give_up(struct spool_device *d, uint64_t now);
/* The disk fails: nobody waits for what only it makes safe. */
void give_up_offline(struct spool *s);
/* Nobody waits longer than SPOOL_WAIT_MAX. */
void waits_over(struct spool *s, uint64_t now);
/* Whether samples of the device cannot be made safe at present, so that none are taken. */
bool is_refused(struct spool_device *d);
/* Whether this one is here already, after give_up(). */
bool is_again(struct spool_device *d, uint64_t now, const struct sample *said);
void again_forget(struct waits *w);
/* Samples are here that whoever handed them over still has, and that are not safe. */
bool again_unsafe(const struct waits *w);
