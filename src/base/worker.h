/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Threads for what may block (name resolution, disk commits, passwd look-ups), posting back to the loop.
 *
 * `run` is called on a worker thread, `done` on the loop thread with what run returned; with one thread, works run and
 * finish in the order of submission. The pool owns a work until done has returned; `userdata` stays the caller's. */

#include "base/cleanup.h"

#include <systemd/sd-event.h>

struct workers;

int workers_new(sd_event *event, unsigned threads, struct workers **ret);
/* Waits for works already running; works not begun are dropped, their `done` called with -ECANCELED. */
struct workers *workers_free(struct workers *w);
DEFINE_FREEP(struct workers, workers_free)

int workers_submit(struct workers *w, int (*run)(void *userdata), void (*done)(int r, void *userdata), void *userdata);
