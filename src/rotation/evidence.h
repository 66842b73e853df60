/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Evidence gathered from events, and the facts that the table asks of it. Nothing here is durable: after a crash it is
 * gathered again, and until then the machine does less. Pure; for machine.c. */

#include "rotation/machine.h"
#include "rotation/table.h"

#define EVIDENCE_TRIES_MAX 16 /* beyond which the backoff does not grow */

/* The event's CLOCK_BOOTTIME, never 0. */
uint64_t event_time(const struct rotation_event *ev);

void evidence_observe(struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev);
/* Counts belong to a state, and end with it. */
void evidence_clear(struct rotation *r);
/* enum rotation_fact, of this moment. */
uint32_t evidence_facts(const struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev);

/* In this state something may be told to the cloud. */
bool evidence_asking(const struct rotation_durable *d);
/* A request of `since` may be carried out late. Unknown when that was, it is `now`. */
void evidence_unsettle(struct rotation *r, const struct stamp *since, const struct stamp *now);
/* Whether nothing sent can be carried out late any more. */
bool evidence_settled(const struct rotation *r, uint64_t now);
/* Microseconds until the old key is due to retire, 0: it is. */
uint64_t evidence_retire_left(const struct rotation *r, const struct rotation_policy *p, const struct stamp *now);

/* Whether a time has no place on the calendar that it could be given now. */
bool evidence_undated(const struct stamp *s, const struct stamp *now);

/* The credential that FIND and DELETE are about: backup, or main when the device is removed and backup is gone. */
enum rotation_role rotation_target(const struct rotation_durable *d);
/* Backup is the key that was main before, or one that is being deleted. */
bool rotation_way_back(const struct rotation *r);
