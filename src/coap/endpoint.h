/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of a CoAP endpoint, shared by coap-endpoint.c (datagrams in, time, matching), coap-exchange.c (one request
 * from its queueing to its end) and coap-observe.c. Nobody else includes this.
 *
 * Rules: every public function is between coap_enter() and coap_leave(). What is ready to be sent goes out in the
 * outermost coap_leave(), and an endpoint freed in a callback is gone only after it. coap_exchange_finish() calls back,
 * so after it nothing that was looked up before may be touched. */

#include "coap/block.h"
#include "coap/exchange.h"
#include "coap/path.h"
#include "coap/reliability.h"

/* Beside the path: Observe, Content-Format, Accept, two Block, Size1, Echo, Request-Tag, one that is wanted back. */
#define COAP_OTHER_OPTIONS_MAX 9
#define COAP_ECHO_MAX 40
#define COAP_REQUEST_TAG_SIZE 8

enum coap_exchange_state {
    COAP_QUEUED,  /* the next message waits its turn */
    COAP_SENT,    /* outstanding: no answer yet, counted against nstart */
    COAP_WAITING, /* acknowledged (or not confirmable): the response comes separately */
};

struct coap_observation;

/* A ping is an empty confirmable message, answered by RST (RFC 7252 section 4.3). */
enum coap_kind { COAP_REQUEST, COAP_PING };

/* The request as its owner made it. */
struct coap_ask {
    const char *path;
    const uint8_t *payload;
    size_t payload_size;
    int content_format, accept;
    int observe;           /* value of the Observe option, -1: none */
    uint16_t wants_option; /* 0: none */
    uint8_t method;
    bool non;
    bool secret;    /* the payload is wiped */
    bool divisible; /* is given back rather than sent in smaller blocks */
};

/* The last message of an exchange. */
struct coap_out {
    uint64_t sent_at; /* its first transmission */
    uint64_t timeout, deadline;
    uint16_t mid;
    uint16_t wire_size;
    uint8_t transmissions;
    uint8_t szx; /* the largest block that it knew of */
    bool confirmable;
};

/* RFC 9175. */
struct coap_tags {
    bool tagged;
    uint8_t echo_size;
    uint8_t request_tag[COAP_REQUEST_TAG_SIZE];
    uint8_t echo[COAP_ECHO_MAX];
};

/* Chances of a request, over messages and sessions. */
struct coap_fate {
    uint8_t restarts;
    bool spared;            /* the session was given another chance while it was out */
    bool begun;             /* something was sent: 4.29 and 5.03 of others do not hold it any more */
    bool suspect;           /* goes out when nothing else is under way */
    uint8_t ends, patience; /* of sessions with it alone unanswered, and how many it is kept for */
};

struct coap_exchange {
    struct uplink_call call; /* the first: is cast to this */
    struct coap_exchange *previous, *next;
    struct coap_endpoint *ep;
    uplink_done done; /* may be NULL */
    void *userdata;
    enum coap_kind kind;
    enum coap_exchange_state state;
    struct coap_ask ask;
    struct coap_out out;
    struct coap_block1 block1;
    struct coap_block2 block2;
    struct coap_tags tags;
    struct coap_fate fate;
    bool has_token;
    uint8_t token[COAP_TOKEN_SIZE];
    char data[]; /* path, payload */
};

/* Messages of the peer's that were answered, to be answered the same way again. */
struct coap_dedup {
    struct {
        uint64_t at;
        uint16_t mid;
        uint8_t type;  /* of the message; a slot not in use has at == 0 */
        uint8_t reply; /* COAP_ACK or COAP_RST */
    } seen[COAP_DEDUP_MAX];
    unsigned next;
};

struct coap_counts {
    uint64_t sent, received, retransmitted, duplicates, malformed, unknown_token, rejected;
};

/* When something was last said, and when a ping is due. */
struct coap_idle {
    uint64_t keepalive, sent_at, ping_at; /* ping_at: when to look whether a ping is due; USEC_INFINITY: never */
    uint64_t connected_at;                /* USEC_INFINITY: the session's first ping was sent, or not needed */
    uint64_t heard_at;                    /* when the peer last answered anything */
};

/* How large messages may be. */
struct coap_size {
    size_t body_max;
    uint16_t datagram_max, ceiling; /* as the path is known, and as the owner has set it */
    uint8_t szx_max;
    struct coap_path path;
};

/* Whether the session lives. */
struct coap_health {
    struct coap_exchange *doubt_ping; /* a ping, in doubt whether the session lives; or NULL */
    uint64_t row_from;                /* transmissions before this do not add to `unanswered` */
    unsigned unanswered;
    enum coap_end end;
    bool suspect, doomed;
    bool tell_suspect, tell_answered;
    bool doubt; /* more went unanswered than is usual, if not more than the loss explains */
};

struct coap_endpoint {
    const struct coap_endpoint_ops *ops;
    void *userdata;
    struct coap_exchange *first, *last; /* in the order of the calls */
    struct coap_observation *observations;
    struct coap_dedup *dedup; /* made when the peer first sends something of its own */
    struct coap_random random;
    struct coap_mids mids;
    struct coap_rtt rtt;
    struct coap_loss loss;
    struct coap_idle idle;
    struct coap_size size;
    struct coap_health health;
    struct coap_counts counts;
    uint64_t now, deadline, hold_until;
    unsigned n_exchanges, depth;
    uint8_t nstart;
    bool connected;
};

void coap_enter(struct coap_endpoint *ep, uint64_t now);
void coap_leave(struct coap_endpoint *ep);
int coap_endpoint_send(struct coap_endpoint *ep, const uint8_t *datagram, size_t n);
/* The largest block that fits what the path takes. */
uint8_t coap_endpoint_szx(const struct coap_endpoint *ep);

/* Appends a request, or a ping, to the queue. The caller may set more in *ret (observe, token) before anything is
 * sent. */
int coap_exchange_new(struct coap_endpoint *ep, const struct uplink_request *request, uplink_done done, void *userdata,
                      struct coap_exchange **ret);
int coap_exchange_new_ping(struct coap_endpoint *ep, uplink_done done, void *userdata, struct coap_exchange **ret);
/* Unlinks, calls done, frees. */
void coap_exchange_finish(struct coap_exchange *x, int r, const struct uplink_response *response);
/* Sends the first transmission of what comes next. Only with COAP_QUEUED, and a message id to be had. */
void coap_exchange_start(struct coap_exchange *x);
/* Its time has come: retransmit, or give up. */
void coap_exchange_expire(struct coap_exchange *x);
/* The peer answered the last message; `acknowledged`: by its message id, so the round trip is known. */
void coap_exchange_heard(struct coap_exchange *x, bool acknowledged);
/* Sent again and again without an answer while the peer answers others: its datagrams may be too large for the path.
 * False: that is not the reason. May end x. */
bool coap_exchange_too_large(struct coap_exchange *x);
/* A response for x, without unknown critical options. */
void coap_exchange_respond(struct coap_exchange *x, const struct coap_message *response);
/* Marks messages sent over a session that is gone, to be sent anew. */
void coap_exchange_rewind(struct coap_exchange *x);
/* Sends the ping of coap_endpoint_ping_in_doubt(), if it is not out yet; false if it may not be. */
bool coap_exchange_ping_in_doubt(struct coap_endpoint *ep);
/* A ping that does not wait for what is outstanding. */
void coap_exchange_ping_now(struct coap_endpoint *ep);
/* Builds what callers get; the body is the message's own payload if NULL. 0, and *ret_location to be freed. */
int coap_response_make(const struct coap_message *m, const struct coap_block2 *body, struct uplink_response *ret,
                       char **ret_location);

struct coap_observation *coap_observations_match(struct coap_endpoint *ep, const struct coap_message *m);
/* A notification. */
void coap_observation_respond(struct coap_observation *o, const struct coap_message *m);
/* The response to a registration, which is a notification like any other, or to its end. Ends x. */
void coap_observation_answered(struct coap_exchange *x, const struct coap_message *m);
void coap_observations_reconnect(struct coap_endpoint *ep);
void coap_observations_tick(struct coap_endpoint *ep);
uint64_t coap_observations_deadline(const struct coap_endpoint *ep);
void coap_observations_free(struct coap_endpoint *ep);
