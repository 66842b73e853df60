/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of uplinks and sessions. From the bottom up: session-core.c (a session's state, and what is told of it),
 * attempt.c (how it is made and made again), the transports, session.c (a session as its owner sees it), uplink.c (what
 * the children of one uplink share). Nobody else includes this. */

#include "base/timers.h"
#include "uplink/admission.h"
#include "uplink/attempt.h"
#include "uplink/host.h"
#include "uplink/netlink.h"
#include "uplink/session.h"
#include "uplink/sockets.h"
#include "uplink/transport.h"

struct dtls_shared;
struct mqtt_shared;

/* Knowledge that the children of an uplink over MQTT share. */
struct uplink_mqtt {
    struct mqtt_shared *shared;
    enum uplink_mqtt_version version;
    uint64_t session_expiry;
    bool retained;
    uint64_t plain_groups_until; /* a long hello got no answer */
    uint64_t old_until;          /* the broker has shown that it does not speak version 5 */
    /* Where a child has just found nobody, and in what words; the time is CLOCK_BOOTTIME, 0: nowhere. */
    struct {
        struct resolver_address address;
        struct error words;
        enum uplink_trouble trouble;
        uint64_t at;
    } away;
};

/* Going through the sessions after a change of the network or of addresses, a slice in a turn of the loop. */
struct uplink_look {
    sd_event_source *source;
    struct uplink_session *next;
    uint64_t moved_at; /* when sessions were last hurried to new addresses */
    bool readdressed;  /* it is for new addresses too */
};

struct uplink {
    const struct transport *transport;
    sd_event *event;
    struct vault *vault;
    char *name;
    struct sockets *sockets;
    struct timers *timers;
    struct dtls_shared *dtls; /* CoAP */
    struct uplink_mqtt mqtt;
    struct workers *resolver_workers;
    struct uplink_host hosts[UPLINK_HOSTS_MAX];
    size_t n_hosts;
    struct hosts_away away;
    bool follow_references;
    uint64_t answer_took; /* CoAP: what the server last took to judge a key, 0: not known */
    struct admission admission;
    sd_event_source *admission_timer;
    struct network *network;
    struct uplink_look look;
    uint64_t jitter;
    unsigned nstart;
    uint64_t keepalive;
    struct uplink_session *sessions;
};

/* The session that stands. */
struct standing {
    bool open;
    struct resolver_address address;
    size_t host;                  /* of the uplink's */
    struct uplink_host *referred; /* instead: one that a broker has named, or NULL */
    uint64_t generation;
    uint64_t full_at; /* the last full handshake, also of a session before this one */
    uint64_t since;
};

/* News for the owner, told by the last session_leave(). */
struct session_news {
    enum uplink_state state;
    enum uplink_trouble trouble; /* of the last attempt; NONE: a session stood since */
    enum uplink_result result;   /* of the attempt that ended, until told */
    bool result_full;
    bool tell_state, tell_result;
    char *reason;
    char *trouble_host; /* of the last attempt that was told; NULL: none was */
    char *result_reason;
};

enum session_life {
    SESSION_STOPPED,
    SESSION_ONCE, /* one attempt; once lost it stops */
    SESSION_KEPT, /* made again for ever */
};

/* The head of each transport's session. */
struct uplink_session {
    struct uplink *uplink;
    struct uplink_session *next, **link;
    const struct uplink_session_ops *ops;
    void *userdata;
    char *label;
    const struct vault_entry *entry; /* NULL: no key, only_handshake */
    enum vault_slot slot;
    struct timer timer;
    enum session_life life;
    bool only_handshake; /* SESSION_ONCE, and nothing is sent upon it */
    unsigned busy;
    bool freed; /* by its owner, while busy */
    struct attempt attempt;
    struct standing standing;
    struct session_news news;
    struct uplink_counters counters; /* of what is gone; transport->count has the rest */
};

/* attempt.c: the one with which the session stands, or stood last. */
const struct uplink_host *standing_host(const struct uplink_session *s);

/* Around everything that may call ops: the last leave tells what there is to tell, arms the timer, and frees what its
 * owner freed meanwhile. */
void session_enter(struct uplink_session *s);
void session_leave(struct uplink_session *s);
/* transport->deadline() may have changed. */
void session_rearm(struct uplink_session *s);
void session_set_state(struct uplink_session *s, enum uplink_state state, const char *reason);
/* Back to PHASE_NONE, whatever the attempt was doing. */
void session_cancel_attempt(struct uplink_session *s);
void session_drop_open(struct uplink_session *s, enum uplink_bye bye);
/* Looks (in the next loop turn) who of the uplink may be admitted. */
void session_admit(struct uplink *u);
/* Ends everything; requests end with -ECANCELED. */
void session_end(struct uplink_session *s, enum uplink_bye bye, const char *reason);
