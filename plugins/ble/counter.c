/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "counter.h"

#include <errno.h>
#include <string.h>

#define SAVED_VERSION 1
#define WRAP_WINDOW UINT32_C(65536) /* of a wide counter: how many may be missed around the wrap */

static uint32_t highest(unsigned bits)
{
    return bits >= 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1;
}

static bool is_newer(uint32_t last, uint32_t counter, unsigned bits)
{
    uint32_t max = highest(bits);

    if (bits <= 16)
        return counter != last && ((counter - last) & max) <= max / 2;
    if (last > max - WRAP_WINDOW && counter < WRAP_WINDOW)
        return true;
    /* Just past the wrap, what was before it is old. */
    return counter > last && !(last < WRAP_WINDOW && counter > max - WRAP_WINDOW);
}

static enum counter_verdict accept(struct counter_state *s, uint32_t counter, uint64_t now,
                                   enum counter_verdict verdict)
{
    s->known = true;
    s->last = counter;
    s->accepted = s->heard = now;
    memset(&s->run, 0, sizeof s->run);
    return verdict;
}

static bool is_believed(const struct counter_state *s, uint64_t now)
{
    if (s->run.n < COUNTER_RUN)
        return false;
    return (s->run.low && s->run.silent) ||
           (now - s->run.began >= COUNTER_PATIENCE && now - s->accepted >= COUNTER_PATIENCE);
}

static enum counter_verdict hold(struct counter_state *s, uint32_t counter, uint64_t now)
{
    bool silent = now - s->heard >= COUNTER_SILENCE;

    s->heard = now;
    if (s->run.n > 0 && counter == s->run.last)
        return COUNTER_HELD;
    bool rises = s->run.n > 0 && counter > s->run.last;
    bool better = silent && counter < COUNTER_LOW && !(s->run.low && s->run.silent);
    if (!rises || better) {
        s->run.n = 1;
        s->run.began = now;
        s->run.silent = silent;
        s->run.low = counter < COUNTER_LOW;
    } else {
        s->run.n++;
    }
    s->run.last = counter;
    return is_believed(s, now) ? accept(s, counter, now, COUNTER_RESTARTED) : COUNTER_HELD;
}

enum counter_verdict counter_check(struct counter_state *s, uint32_t counter, unsigned bits, uint64_t now)
{
    if (!s->known || is_newer(s->last, counter, bits))
        return accept(s, counter, now, COUNTER_NEW);
    if (counter == s->last) {
        s->heard = now;
        return COUNTER_DUPLICATE;
    }
    return hold(s, counter, now);
}

/* FNV-1a: nobody is kept out by it, repetitions are found. */
static uint32_t digest_of(const uint8_t *bytes, size_t n)
{
    uint32_t digest = UINT32_C(2166136261);

    for (size_t i = 0; i < n; i++)
        digest = (digest ^ bytes[i]) * UINT32_C(16777619);
    return digest;
}

bool counter_repeated(struct counter_state *s, const uint8_t *bytes, size_t n, bool numbered, uint64_t now)
{
    uint32_t digest = digest_of(bytes, n);
    bool repeated = s->plain.known && s->plain.digest == digest && (numbered || now - s->plain.heard < COUNTER_REPEATS);

    s->plain.known = true;
    s->plain.digest = digest;
    s->plain.heard = now;
    return repeated;
}

void counter_reset(struct counter_state *s)
{
    memset(s, 0, sizeof *s);
}

size_t counter_save(const struct counter_state *s, uint8_t bytes[COUNTER_SAVED_MAX])
{
    if (!s->known)
        return 0;
    bytes[0] = SAVED_VERSION;
    for (size_t i = 0; i < 4; i++)
        bytes[1 + i] = (uint8_t)(s->last >> (8 * i));
    return 5;
}

int counter_restore(struct counter_state *s, const uint8_t *bytes, size_t n, uint64_t now)
{
    if (n == 0)
        return 0;
    if (n != 5 || bytes[0] != SAVED_VERSION)
        return -EINVAL;
    memset(s, 0, sizeof *s);
    s->known = true;
    for (size_t i = 0; i < 4; i++)
        s->last |= (uint32_t)bytes[1 + i] << (8 * i);
    /* How long it was silent before is not known. */
    s->accepted = s->heard = now;
    return 0;
}
