/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What uplink.c (the shared part), session.c (a session as its owner sees it) and attempt.c (how it is made and made
 * again) know of each other. Nobody else includes this. */

#include "uplink/admission.h"
#include "uplink/backoff.h"
#include "uplink/dtls.h"
#include "uplink/netlink.h"
#include "uplink/resolver.h"
#include "uplink/session.h"

struct uplink {
    sd_event *event;
    struct vault *vault;
    char *name;
    char *endpoint; /* "host:port", for texts */
    struct dtls_shared *dtls;
    struct resolver *resolver;
    struct admission admission;
    sd_event_source *admission_timer;
    struct network *network;
    uint64_t jitter;
    unsigned nstart;
    struct uplink_session *sessions;
};

/* Where the attempt to make a session stands; beside it an older session may be in use. */
enum phase {
    PHASE_NONE,
    PHASE_WAITING, /* until retry_at */
    PHASE_RESOLVING,
    PHASE_QUEUED, /* to be admitted */
    PHASE_HANDSHAKE,
};

/* A key is known by its generation in its entry: it survives a swap of roles and ends with its credential. */
struct uplink_session {
    struct uplink *uplink;
    struct uplink_session *next, **link;
    const struct uplink_session_ops *ops;
    void *userdata;
    char *label;
    const struct vault_entry *entry;
    enum vault_slot slot;
    struct coap_endpoint *endpoint; /* while running */
    sd_event_source *timer;
    uint64_t armed_for;

    struct dtls *open;   /* in use */
    struct dtls *making; /* in the handshake */
    struct resolver_address open_address, making_address;
    uint64_t open_generation, making_generation;
    gnutls_datum_t ticket; /* of a session that ended, for the next */
    uint64_t ticket_generation;
    size_t data_max;

    enum phase phase;
    uint64_t retry_at;
    size_t address; /* which one of the resolver's to try */
    size_t tried;   /* how many of them this round */
    struct resolver_wait resolving;
    struct admission_ticket admission;
    struct backoff backoff;
    unsigned refused; /* full handshakes in a row that were answered but refused */
    uint64_t full_at, online_since, hinted_at;
    struct uplink_counters counters; /* of what is gone; dtls_counters() has the rest */

    enum uplink_state state;
    char *reason;
    enum uplink_result result; /* of the attempt that ended, until told */
    char *result_reason;
    unsigned busy;
    bool running, once, freed;
    bool fresh;       /* the next handshake has to be a full one */
    bool making_full; /* no ticket was offered */
    bool hinted;      /* ICMP casts doubt on `open` */
    bool tell_state, tell_result, result_full;
};

/* Around everything that may call ops: the last leave tells what there is to tell, arms the timer, and frees what its
 * owner freed meanwhile. */
void session_enter(struct uplink_session *s);
void session_leave(struct uplink_session *s);
void session_set_state(struct uplink_session *s, enum uplink_state state, const char *reason);
/* Back to PHASE_NONE, whatever the attempt was doing. */
void session_cancel_attempt(struct uplink_session *s);
void session_drop_open(struct uplink_session *s, bool bye);
void session_drop_ticket(struct uplink_session *s);
/* Ends everything; requests end with -ECANCELED. */
void session_end(struct uplink_session *s, bool bye, const char *reason);

/* Begins an attempt now (through resolver and admission). */
void attempt_begin(struct uplink_session *s);
/* ... or in a while. */
void attempt_schedule(struct uplink_session *s, uint64_t at);
void attempt_tick(struct uplink_session *s, uint64_t now);
/* The exchange layer doubts the session in use, or does no longer. */
void attempt_suspected(struct uplink_session *s);
void attempt_answered(struct uplink_session *s);
/* The network has changed: makes the session anew if the kernel would now send from another address. `route` keeps the
 * answer for a peer from one session to the next; it begins zeroed. */
struct attempt_route {
    struct resolver_address peer, local;
    int r;
};
void attempt_moved(struct uplink_session *s, struct attempt_route *route);

/* Looks (in the next loop turn) who may be admitted. */
void uplink_kick(struct uplink *u);
