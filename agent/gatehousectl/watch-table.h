/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A table on a terminal that is drawn over: the newest value of each point, how old it is, and what happened last.
 * Between watch_table_begin() and watch_table_end() the terminal shows its other screen. */

#include "ctl.h"

struct watch_table;

/* Whether standard output is a terminal that can be drawn over. */
bool watch_table_possible(const struct ctl *c);
/* NULL when out of memory. */
struct watch_table *watch_table_new(struct ctl *c);
struct watch_table *watch_table_free(struct watch_table *t);
DEFINE_FREEP(struct watch_table, watch_table_free)
/* The latest samples of these devices (none: of all) before anything comes. */
void watch_table_fill(struct watch_table *t, int argc, char **argv);
/* An event as programs get it, and its words. */
void watch_table_event(struct watch_table *t, json_object *event, const char *line);
void watch_table_begin(struct watch_table *t);
void watch_table_draw(struct watch_table *t);
/* The screen as it was, and the table once more, to stay. */
void watch_table_end(struct watch_table *t);
