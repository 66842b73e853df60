/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Attempts to make a session: through the resolver, admission and a handshake of the transport, again and again until
 * it stands or its owner gives up. A part of the session (session-internal.h); called between session_enter() and
 * session_leave(). */

#include "uplink/admission.h"
#include "uplink/backoff.h"
#include "uplink/hosts.h"
#include "uplink/resolver.h"
#include "uplink/session.h"

struct timer;
struct uplink_host;

/* Where the attempt to make a session stands; beside it an older session may be in use. */
enum phase {
    PHASE_NONE,
    PHASE_WAITING, /* until retry_at */
    PHASE_RESOLVING,
    PHASE_QUEUED, /* to be admitted */
    PHASE_HANDSHAKE,
};

/* A key is known by its generation in its entry: it survives a swap of roles and ends with its credential. */
struct attempt {
    enum phase phase;
    struct backoff backoff;
    uint64_t retry_at;
    struct resolver_address address;
    uint64_t generation;
    size_t host;                  /* of the uplink's */
    struct hosts_round hosts;     /* goes on over attempts until a session stands, as does: */
    struct resolver_round round;  /* of the host's addresses */
    struct uplink_host *referred; /* in the place of `host`: one that a broker has named */
    unsigned followed;            /* such, since a session stood or a failure was told */
    struct resolver_wait resolving;
    struct admission_ticket admission;
    unsigned rounds;  /* over all addresses, that found nobody */
    unsigned refused; /* full handshakes in a row that were answered but refused */
    bool full;        /* no ticket was offered */
    bool fresh;       /* the next handshake has to be a full one */
    bool ticketless;  /* nor does it offer to resume the session that stands: the last one ended badly */
};

/* Begins an attempt now (through resolver and admission). */
void attempt_begin(struct uplink_session *s);
/* The same, at that time. */
void attempt_schedule(struct uplink_session *s, uint64_t at);
/* The session's time has come. */
void attempt_timer(struct timer *timer);
/* The credential that the attempt is for, its key and identity (valid for the call). -ESTALE: it was replaced. */
int attempt_key(struct uplink_session *s, const char **ret_identity, struct secret **ret_key, struct error *e);
/* How long an address may not answer at all, which alone would have `alone`. */
uint64_t attempt_address_wait(const struct uplink_session *s, uint64_t alone);
/* The attempt has ended; `reason` without the endpoint, which is put before it. */
void attempt_failed(struct uplink_session *s, enum uplink_result result, enum uplink_trouble trouble,
                    const char *reason);
/* The handshake is done, and the transport has dropped the session before it. */
void attempt_opened(struct uplink_session *s, bool full);
/* The session that stood has ended by itself; the transport has kept its ticket. */
void attempt_closed(struct uplink_session *s, const char *reason);
/* The network has changed: makes the session anew if the kernel would now send from another address. `route` keeps the
 * answer for a peer from one session to the next; it begins zeroed. */
struct attempt_route {
    struct resolver_address peer, local;
    int r;
};
void attempt_moved(struct uplink_session *s, struct attempt_route *route);
/* The name has other addresses: an attempt that waits, or tries an address that is no longer the cloud's, begins soon.
 */
void attempt_readdressed(struct uplink_session *s);
