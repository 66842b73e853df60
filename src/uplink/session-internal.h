/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by uplink.c (common part), session.c (a session as its owner sees it), attempt.c (how it is made and made
 * again) and the transports. Nobody else includes this. */

#include "base/timers.h"
#include "uplink/admission.h"
#include "uplink/backoff.h"
#include "uplink/netlink.h"
#include "uplink/resolver.h"
#include "uplink/session.h"
#include "uplink/sockets.h"

struct dtls_shared;
struct mqtt_shared;
struct transport;

struct uplink {
    const struct transport *transport;
    sd_event *event;
    struct vault *vault;
    char *name;
    char *endpoint; /* "host:port", for texts */
    struct sockets *sockets;
    struct timers *timers;
    struct dtls_shared *dtls; /* CoAP */
    struct mqtt_shared *mqtt; /* MQTT */
    enum uplink_mqtt_version mqtt_version;
    uint64_t session_expiry;
    bool retained;
    uint64_t plain_groups_until; /* MQTT: a long hello got no answer */
    uint64_t old_mqtt_until;     /* the broker has shown that it does not speak version 5 */
    /* MQTT: where a child has just found nobody, and in what words; the time is CLOCK_BOOTTIME, 0: nowhere. */
    struct resolver_address away;
    struct error away_words;
    enum uplink_trouble away_trouble;
    uint64_t away_at;
    struct resolver *resolver;
    struct resolver_watch watch;
    uint64_t moved_at;    /* when sessions were last hurried to new addresses */
    bool readdressed;     /* `look` is for new addresses too */
    uint64_t answer_took; /* CoAP: what the server last took to judge a key, 0: not known */
    struct admission admission;
    sd_event_source *admission_timer;
    struct network *network;
    sd_event_source *look; /* goes through the sessions after a change of the network, a slice in a turn of the loop */
    struct uplink_session *look_next;
    uint64_t jitter;
    unsigned nstart;
    uint64_t keepalive;
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

/* The head of each transport's session. A key is known by its generation in its entry: it survives a swap of roles and
 * ends with its credential. */
struct uplink_session {
    struct uplink *uplink;
    struct uplink_session *next, **link;
    const struct uplink_session_ops *ops;
    void *userdata;
    char *label;
    const struct vault_entry *entry;
    enum vault_slot slot;
    struct timer timer;

    struct resolver_address open_address, making_address;
    uint64_t open_generation, making_generation;

    enum phase phase;
    uint64_t retry_at;
    struct resolver_round round; /* of addresses: goes on over attempts until a session stands */
    struct resolver_wait resolving;
    struct admission_ticket admission;
    struct backoff backoff;
    unsigned rounds;  /* over all addresses, that found nobody */
    unsigned refused; /* full handshakes in a row that were answered but refused */
    uint64_t full_at, online_since;
    struct uplink_counters counters; /* of what is gone; transport->count has the rest */

    enum uplink_state state;
    char *reason;
    enum uplink_trouble trouble; /* of the last attempt; NONE: a session stood since */
    enum uplink_result result;   /* of the attempt that ended, until told */
    char *result_reason;
    unsigned busy;
    bool running, once, freed;
    bool open;        /* a session stands */
    bool fresh;       /* the next handshake has to be a full one */
    bool ticketless;  /* nor does it offer to resume the session that stands: the last one ended badly */
    bool making_full; /* no ticket was offered */
    bool tell_state, tell_result, result_full;
};

/* Operations that differ between CoAP and MQTT. All are called between session_enter() and session_leave(), except
 * those marked const, and count. */
struct transport {
    size_t size; /* of its session, which begins with a struct uplink_session */
    /* Begins and ends a running session; stop ends every request with -ECANCELED. */
    int (*start)(struct uplink_session *s);
    void (*stop)(struct uplink_session *s);
    /* PHASE_HANDSHAKE: begins a handshake with that credential at s->making_address, which is to end in
     * attempt_opened() or attempt_failed(), at once or later. Says in s->making_full whether it is a full one. */
    int (*make)(struct uplink_session *s, const struct vault_credential *credential, struct error *e);
    void (*drop_making)(struct uplink_session *s);
    /* The session that stands, s->open, with or without a word. */
    void (*drop_open)(struct uplink_session *s, enum uplink_bye bye);
    /* A session does no longer stand: requests wait. */
    void (*lost)(struct uplink_session *s);
    /* Forgets the ticket that would shorten the next handshake. */
    void (*drop_ticket)(struct uplink_session *s);
    /* The session that stands may be dead. */
    bool (*doubted)(const struct uplink_session *s);
    uint64_t (*deadline)(const struct uplink_session *s);
    void (*tick)(struct uplink_session *s, uint64_t now);
    /* The local address of the session that stands, without its port. */
    int (*local_address)(const struct uplink_session *s, struct resolver_address *ret);
    /* Adds the counters of what is not gone yet, and tells of the session that stands, if one does. */
    void (*count)(const struct uplink_session *s, struct uplink_counters *c);
    void (*info)(const struct uplink_session *s, struct uplink_info *ret);
    /* The size that a request's payload should not exceed; 0: no such bound is known. */
    size_t (*payload_max)(const struct uplink_session *s);
    int (*request)(struct uplink_session *s, const struct uplink_request *request, uplink_done done, void *userdata,
                   struct uplink_call **ret);
    int (*subscribe)(struct uplink_session *s, const char *target, int accept, uplink_notification notify,
                     void *userdata, struct uplink_subscription **ret);
};
extern const struct transport coap_transport, mqtt_transport;

/* Around everything that may call ops: the last leave tells what there is to tell, arms the timer, and frees what its
 * owner freed meanwhile. */
void session_enter(struct uplink_session *s);
void session_leave(struct uplink_session *s);
/* Its time has come. */
void session_timer(struct timer *timer);
/* transport->deadline() may have changed. */
void session_rearm(struct uplink_session *s);
void session_set_state(struct uplink_session *s, enum uplink_state state, const char *reason);
/* Back to PHASE_NONE, whatever the attempt was doing. */
void session_cancel_attempt(struct uplink_session *s);
void session_drop_open(struct uplink_session *s, enum uplink_bye bye);
/* Ends everything; requests end with -ECANCELED. */
void session_end(struct uplink_session *s, enum uplink_bye bye, const char *reason);

/* Begins an attempt now (through resolver and admission). */
void attempt_begin(struct uplink_session *s);
/* ... or in a while. */
void attempt_schedule(struct uplink_session *s, uint64_t at);
void attempt_tick(struct uplink_session *s, uint64_t now);
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

/* Looks (in the next loop turn) who may be admitted. */
void uplink_kick(struct uplink *u);
