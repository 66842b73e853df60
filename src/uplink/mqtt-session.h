/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A session over MQTT as its two parts know it: mqtt-session.c makes its connections, mqtt-requests.c keeps what goes
 * over them: requests, in order, and subscriptions. Nobody else includes this. */

#include "base/ratelimit.h"
#include "uplink/mqtt-ask.h"
#include "uplink/mqtt.h"
#include "uplink/session-internal.h"

struct mqtt_call {
    struct uplink_call call;
    struct mqtt_call *next, **link;
    struct mqtt_session *session;
    uplink_done done; /* NULL: cancelled when it was in flight already */
    void *userdata;
    int mid;                 /* 0: not in flight */
    bool ended;              /* is told so in another turn of the loop: */
    int result;              /* as for uplink_done */
    uint8_t code;            /* 0: of an answer */
    bool suspect;            /* goes out when nothing else is under way */
    unsigned ends, patience; /* connections that ended with it alone in flight, and how many may */
    uint64_t sent_at;
    bool retain;
    bool divisible; /* if it fails, its owner comes with less */
    size_t size;
    uint8_t *payload;
    char topic[]; /* the payload is behind it */
};

struct mqtt_subscription {
    struct uplink_subscription subscription;
    struct mqtt_subscription *next, **link;
    struct mqtt_session *session;
    uplink_notification notify;
    void *userdata;
    int mid; /* of a SUBSCRIBE not acknowledged, 0: none */
    uint64_t asked_at;
    bool cancelled; /* while subscriptions are gone through */
    char filter[];
};

/* A message that came when nobody listened to its topic yet, which the broker has for a session that it kept. */
struct mqtt_early {
    struct mqtt_early *next;
    size_t size;
    uint8_t *payload;
    char topic[]; /* the payload is behind it */
};

struct mqtt_session {
    struct uplink_session session;
    struct mqtt *open, *making;
    struct mqtt_ask *ask;            /* why `making` was turned away */
    struct mqtt_call *first, **last; /* in the order in which they were made */
    size_t n_calls;
    unsigned in_flight;
    sd_event_source *failing; /* tells of those that have failed */
    struct mqtt_subscription *subscriptions;
    size_t n_subscriptions;
    unsigned visiting; /* subscriptions are gone through */
    struct mqtt_early *early;
    size_t n_early, early_bytes;       /* with their topics */
    struct ratelimit dropping, losing; /* words of what is lost of them: for want of room; with the session */
    uint64_t draining_until;           /* 0: no; otherwise the connection that stands ends first */
    bool one_by_one;                   /* the broker had too many in flight */
    bool older;                        /* this attempt has come to 3.1.1 */
    bool older_said;                   /* because the broker said so: it counts for all */
};

static inline struct mqtt_session *mqtt_session(const struct uplink_session *s)
{
    return (struct mqtt_session *)s;
}

int mqtt_request(struct uplink_session *s, const struct uplink_request *request, uplink_done done, void *userdata,
                 struct uplink_call **ret);
int mqtt_listen(struct uplink_session *s, const char *filter, int accept, uplink_notification notify, void *userdata,
                struct uplink_subscription **ret);

void mqtt_requests_start(struct mqtt_session *c);
/* Ends every request with -ECANCELED, and forgets the subscriptions. */
void mqtt_requests_stop(struct mqtt_session *c);
/* A connection stands: asks for the subscriptions that there are. */
void mqtt_requests_subscribe(struct mqtt_session *c);
/* It has ended, and that may be the doing of what is in flight; mqtt_requests_lost() follows. */
void mqtt_requests_blamed(struct mqtt_session *c, enum mqtt_blame blame, uint8_t code);
/* It is gone: what was under way on it has to go out again. */
void mqtt_requests_lost(struct mqtt_session *c);
/* When what has to be acknowledged next is overdue. */
uint64_t mqtt_requests_deadline(const struct mqtt_session *c);

void mqtt_requests_published(struct mqtt_session *c, int mid, uint8_t reason, const char *words);
void mqtt_requests_subscribed(struct mqtt_session *c, int mid, uint8_t reason, const char *words);
void mqtt_requests_message(struct mqtt_session *c, const char *topic, const void *payload, size_t n);
/* Sends what may be sent. */
void mqtt_requests_pump(struct mqtt_session *c);
