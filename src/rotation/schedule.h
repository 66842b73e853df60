/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* When keys come of age: which device's rotation is due, and how many may run at once, and begin in a second. Pure: the
 * caller gives the time and arms its timer at schedule_wake().
 *
 * A key is due at max_age less up to a tenth, spread over the devices, so that a fleet made in one day does not rotate
 * in one hour. Its age is counted as age.h says, and fixed once it is known: a clock that jumps later fires nothing. An
 * age that is unknown is not due. What was already due when its age became known (after a long power-off) is spread
 * over the next max_age / 10, and drawn anew at each start: a gateway that is started more often than that still gets
 * through, at the same pace.
 *
 * An entry is embedded in the caller's device and belongs to one schedule at most; it must be dropped before it is
 * freed. The cost of everything is logarithmic in the number of entries. Loop thread. */

#include "base/cleanup.h"
#include "rotation/age.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schedule;

struct schedule_policy {
    uint64_t max_age;    /* USEC_INFINITY: keys never come of age */
    unsigned concurrent; /* at once; those asked for one by one come on top */
    unsigned rate;       /* begun in a second; 0: any number */
    uint32_t seed;       /* another number at each start */
};

struct schedule_entry {
    size_t index;     /* in the heap, plus 1; 0: not in it */
    uint64_t due;     /* CLOCK_BOOTTIME; USEC_INFINITY: not known, or never */
    uint64_t max_age; /* by which `due` was computed */
    void *userdata;
    bool manual; /* shows when it is due, but is never taken */
};

int schedule_new(const struct schedule_policy *policy, struct schedule **ret);
/* Entries are left alone. */
struct schedule *schedule_free(struct schedule *s);
DEFINE_FREEP(struct schedule, schedule_free)
/* Applies to entries put from now on: put all of them again. */
void schedule_set_policy(struct schedule *s, const struct schedule_policy *policy);

/* Enters a device, or again after its key changed or the clock was synchronised. `spread` is the device's own, any
 * number that stays the same (a hash of its id). An entry whose age was known keeps its due time unless `main_since`
 * changed (`fresh` says so), or the policy's max_age. -ENOMEM. */
int schedule_put(struct schedule *s, struct schedule_entry *entry, const struct stamp *main_since,
                 const struct stamp *now, uint32_t spread, bool fresh);
void schedule_drop(struct schedule *s, struct schedule_entry *entry);

/* The entry due longest, out of the heap, if another may begin; NULL: none now. It counts as running until
 * schedule_finished(). */
struct schedule_entry *schedule_take(struct schedule *s, uint64_t now);
void schedule_finished(struct schedule *s);
/* When schedule_take may give something: CLOCK_BOOTTIME, USEC_INFINITY if only a rotation's end can change that. */
uint64_t schedule_wake(struct schedule *s, uint64_t now);

/* The same bounds for rotations that come of something else than age: whether another may begin now; it then counts as
 * running until schedule_finished(). `under_way`: it runs already, and only counts. */
bool schedule_begin(struct schedule *s, uint64_t now, bool under_way);
/* When schedule_begin() may say yes; USEC_INFINITY if only a rotation's end can change that. */
uint64_t schedule_room(struct schedule *s, uint64_t now);
