/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Differences between CoAP and MQTT in a session (session-internal.h): a table of functions for each, called by
 * session-core.c, session.c and attempt.c. Owns nothing. */

#include "uplink/resolver.h"
#include "uplink/session.h"

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
