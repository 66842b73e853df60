/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which advertisements of one sensor are new. Pure: the time is handed in, microseconds of a clock that does not step
 * (CLOCK_BOOTTIME). One struct a sensor, zero at first; any thread, one at a time.
 *
 * The counter of an encrypted advertisement rises, and is checked after the key has verified it: recordings that are
 * played again bring old ones. But a sensor whose battery was changed begins at 0 again. A lower counter is therefore
 * held back, and taken for a restarted sensor when
 *  - two further ones have verified that rise from it, it began below COUNTER_LOW, and COUNTER_SILENCE without any
 *    verified advertisement came before it; or
 *  - such a run of rising ones has lasted for COUNTER_PATIENCE, and nothing continued the old count meanwhile.
 * Past its highest value a counter begins at 0, which is no restart. Counters of 8 bits can tell only the last 127.
 *
 * Advertisements without encryption prove nothing; there only the same one heard again is found. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNTER_SILENCE (UINT64_C(60) * 1000000)
#define COUNTER_PATIENCE (UINT64_C(24) * 3600 * 1000000)
#define COUNTER_LOW 64      /* a restarted sensor is met before it counted so far */
#define COUNTER_RUN 3       /* advertisements until a restarted sensor is believed */
#define COUNTER_SAVED_MAX 8 /* bytes */
/* Advertisements that carry no sequence number are repeated within this. */
#define COUNTER_REPEATS (UINT64_C(3) * 1000000)

enum counter_verdict {
    COUNTER_NEW,
    COUNTER_RESTARTED, /* new, and the count began again: worth a line in the journal */
    COUNTER_DUPLICATE, /* the newest one again */
    COUNTER_HELD,      /* lower: an old recording, or a restarted sensor that is not believed yet */
};

struct counter_state {
    bool known;
    uint32_t last;
    uint64_t accepted; /* when `last` came */
    uint64_t heard;    /* when the last one came that verified, accepted or not */
    struct {
        unsigned n; /* 0: nothing is held */
        uint32_t last;
        bool low, silent;
        uint64_t began;
    } run;
    struct {
        bool known;
        uint32_t digest;
        uint64_t heard;
    } plain;
};

/* A counter of so many bits (8 to 32) in an advertisement that verified. */
enum counter_verdict counter_check(struct counter_state *s, uint32_t counter, unsigned bits, uint64_t now);
/* Whether an unencrypted advertisement is the one heard before; `numbered`: a sequence number is among the bytes. */
bool counter_repeated(struct counter_state *s, const uint8_t *bytes, size_t n, bool numbered, uint64_t now);

/* Forgets the count: the next advertisement that verifies is accepted whatever it counts. */
void counter_reset(struct counter_state *s);

/* Writes what has to survive a restart. Returns the number of bytes, 0 if nothing is known yet. */
size_t counter_save(const struct counter_state *s, uint8_t bytes[COUNTER_SAVED_MAX]);
/* -EINVAL: not what counter_save wrote; the state is left as it is. */
int counter_restore(struct counter_state *s, const uint8_t *bytes, size_t n, uint64_t now);
