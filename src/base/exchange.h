/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages over a session, whichever its transport: a request and its outcome, a subscription and its
 * notifications. Over CoAP a request is one (RFC 7252), over MQTT a publication of QoS 1 and its PUBACK. Loop thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uplink_request {
    const char
        *target; /* CoAP: the path, "a/b?x=y", see coap_message_add_path, at most COAP_PATH_MAX; MQTT: the topic */
    const void *payload; /* copied, as is the target */
    size_t payload_size; /* CoAP: over a block it is sent block-wise */
    /* After so many sessions in a row that ended with it unanswered it is given back; 0: UPLINK_ENDS. */
    unsigned ends;
    bool divisible; /* CoAP: where its datagrams are too large for the path it is given back (-ETIMEDOUT) for its owner
                       to make it smaller, instead of being sent in smaller blocks */
    bool suspect;   /* the end of a session may be its doing: it goes out when nothing else is under way */
    /* CoAP only */
    bool secret; /* the payload holds a key: our copies of it are wiped, and it is meant for the session that stands: a
                    new one ends the request with -ECANCELED */
    uint8_t method;        /* enum coap_code: COAP_GET ... COAP_FETCH */
    int content_format;    /* -1: none */
    int accept;            /* -1: none */
    uint16_t wants_option; /* an elective option, sent empty, whose value in the answer is wanted; 0: none */
    bool non;              /* not confirmable; ignored if block-wise */
    /* MQTT only */
    bool retain;
};

struct uplink_response {
    uint8_t code; /* CoAP: enum coap_code, COAP_CODE_CLASS 2, 4 or 5; MQTT: the reason code of PUBACK, 0 before version
                     5; to a subscription that of SUBACK, if it was refused */
    const uint8_t *payload;
    size_t payload_size;
    bool too_large;    /* the code says that the request is too large (4.13, 0x95) */
    size_t limit;      /* and this how many bytes it may have (Size1); 0: it does not say */
    const char *words; /* MQTT: the broker's own about a code that fails, quoted; NULL or "": none */
    const char *topic; /* MQTT: of a message that a subscription brings; otherwise NULL */
    /* CoAP only */
    int content_format;    /* -1: none */
    uint32_t max_age;      /* seconds; 60 if the response does not say */
    const char *location;  /* as uplink_request.target takes it; NULL: none */
    bool challenged;       /* carries Echo: a 4.01 that asks who we are again and again, not a refusal */
    int32_t observe;       /* notifications: the server's order number; -1: it will not send more */
    const uint8_t *option; /* the value of the option that the request asks for; NULL: it is not there */
    size_t option_size;
};

/* Called exactly once for each request, after which the call is gone. r: 0 answered (response is given, with whatever
 * code), -ETIMEDOUT not answered, -ECONNABORTED the server ended one session after the other at it, -ECONNRESET
 * rejected by the peer, -ECANCELED, -EMSGSIZE (the request does not fit a datagram or packet, or the response is over
 * its bound), -EBADMSG (answered in a way that breaks the protocol), -ENOMEM. What response points to is valid until it
 * returns. */
typedef void (*uplink_done)(int r, const struct uplink_response *response, void *userdata);

/* Called for each message that a subscription brings, and with r (as for uplink_done) or an error response when it
 * failed or the server ended it. */
typedef void (*uplink_notification)(int r, const struct uplink_response *response, void *userdata);

/* A request under way; the head of what each transport keeps of it. */
struct uplink_call {
    void (*cancel)(struct uplink_call *call);
};
/* Calls done with -ECANCELED before it returns. What was sent cannot be called back. NULL is taken. */
static inline void uplink_call_cancel(struct uplink_call *call)
{
    if (call)
        call->cancel(call);
}

struct uplink_subscription {
    void (*cancel)(struct uplink_subscription *subscription);
};
/* Tells the server, and forgets: nothing is called any more. NULL is taken. */
static inline void uplink_subscription_cancel(struct uplink_subscription *subscription)
{
    if (subscription)
        subscription->cancel(subscription);
}
