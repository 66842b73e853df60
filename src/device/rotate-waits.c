/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reason and the time for which a rotation waits: `rotate` prints them while it waits, `show` at any time. */
#include "base/clock.h"
#include "base/limits.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/rotate-words.h"
#include "rotation/carrier.h"

#include <stdio.h>

struct waits {
    char *text;
    size_t size;
    uint64_t until; /* CLOCK_BOOTTIME, 0: nobody knows */
};

static const char *for_text(struct waits *w, uint64_t until, const char *text, const char *why)
{
    w->until = until;
    snprintf(w->text, w->size, "%s%s%s", text, why && why[0] ? ": " : "", why && why[0] ? why : "");
    return w->text;
}

/* A session of the device, where its registrar has no other way. */
static const char *for_session(const struct device *d, struct waits *w)
{
    return for_text(w, 0, "a session, over which the cloud is asked", device_session_reason(d) ?: "");
}

static bool is_connected(const struct device *d)
{
    return rotate_heard(d);
}

static const char *for_new_key(const struct device *d, const struct rotation *m, struct waits *w)
{
    uint64_t settled = m->unsettled_until, when = m->in_flight == ROTATION_REQUEST_NONE ? d->keys.when : 0;
    bool rejected = m->absent || m->d.give_up || d->keys.report == ROTATION_REPORT_CONFLICT;

    if (m->d.fallen)
        return for_text(w, d->keys.when, "the newer key to be accepted again, which is tried", d->keys.vain.why);
    if (rejected && settled > clock_boottime())
        return for_text(w, settled, "an earlier offer of the new key, which may still arrive", d->keys.problem);
    if (m->in_flight == ROTATION_REQUEST_OFFER)
        return for_text(w, 0, "the registrar's answer to the new key", "");
    if (m->in_flight == ROTATION_REQUEST_PROBE && !d->keys.vain.why)
        return for_text(w, 0, "the cloud's answer to a session with the new key", "");
    if (d->uplink->registrar->traits.manual)
        return for_text(w, when, "the new key, which the operator carries, to be accepted: it is tried",
                        d->keys.vain.why);
    if (m->d.state == ROTATION_PROBING)
        return for_text(w, when, "the cloud to accept the new key, which its registrar took: it is tried",
                        d->keys.vain.why);
    /* A registrar that wants to be asked again is why the key is not known there. */
    if (d->keys.vain.why && !d->keys.problem)
        return for_text(w, when, "the cloud to accept the new key, which was offered: it is tried", d->keys.vain.why);
    if (!is_connected(d))
        return for_session(d, w);
    return for_text(w, d->keys.when, "the registrar, which is asked again", d->keys.problem);
}

static const char *for_old_key(const struct device *d, const struct rotation *m, struct waits *w)
{
    const char *what = m->d.wanted ? "the old key to be deleted at the cloud, before another is made"
                                   : "the time to delete the old key at the cloud";

    if (d->uplink->registrar->traits.manual && !d->uplink->registrar->traits.replaces && !m->d.retire_now)
        return for_text(w, 0, "the operator to delete the old key at the cloud, and then here (key forget)", "");
    if (m->unsettled_until > clock_boottime())
        return for_text(w, m->unsettled_until, "a request that may still arrive, before the old key is deleted", "");
    if (!is_connected(d))
        return for_session(d, w);
    return for_text(w, d->keys.when, what, "");
}

static const char *for_deletion(const struct device *d, const struct rotation *m, struct waits *w)
{
    if (m->unsettled_until > clock_boottime())
        return for_text(w, m->unsettled_until, "a request that may still arrive, before a key is deleted", "");
    if (!is_connected(d))
        return for_session(d, w);
    return for_text(w, d->keys.when, "the cloud to confirm that a key is deleted", d->keys.problem);
}

static const char *in_words(const struct device *d, const struct rotation *m, struct waits *w)
{
    if (m->change != ROTATION_CHANGE_NONE)
        return for_text(w, 0, "the vault, into which a step is being written", "");
    switch (m->d.state) {
    case ROTATION_IDLE:
        return m->d.wanted ? for_text(w, d->keys.when, "its beginning", d->keys.problem) : "";
    case ROTATION_STAGED:
        if (d->uplink->registrar->traits.manual)
            return for_text(w, 0, "the operator to carry the new key to the cloud (key export)", "");
        return for_text(w, d->keys.when, "the vault, to offer the new key", d->keys.problem);
    case ROTATION_OFFERED:
    case ROTATION_PROBING:
        return for_new_key(d, m, w);
    case ROTATION_SWAPPED:
        return for_old_key(d, m, w);
    case ROTATION_RETIRING:
    case ROTATION_ABANDONING:
        return for_deletion(d, m, w);
    case ROTATION_STATES:
        break;
    }
    return "";
}

const char *rotate_waits(const struct device *d, uint64_t *ret_until)
{
    static char buffer[2 * ERROR_TEXT_MAX]; /* read within this loop turn */
    struct waits w = {.text = buffer, .size = sizeof(buffer)};
    uint64_t now = clock_boottime();
    const char *text;

    *ret_until = 0;
    if (!d->keys.rotation)
        return d->keys.problem ?: "";
    text = in_words(d, rotation_carrier_machine(d->keys.rotation), &w);
    if (text[0] && w.until > now && w.until != USEC_INFINITY)
        *ret_until = clock_realtime() + (w.until - now);
    return text;
}
