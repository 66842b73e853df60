/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One driver's connection as the agent sees it, without the connection: packets in, what they mean out. Knows who may
 * say what and when: hello first and once, samples within credits, one answer a request. Whatever breaks a rule ends
 * the dialog; nothing of such a packet has any effect.
 *
 * Pure: no I/O, no clock. The embedder owns dialog and requests, and must not use a dialog that has ended. */

#include "base/error.h"
#include "link/packet.h"

#include <sys/queue.h>

/* Something that the driver was asked. Embedded in what waits for the answer. */
struct dialog_request {
    TAILQ_ENTRY(dialog_request) link;
    enum packet_kind kind;
    uint64_t serial, deadline;
    bool given_up; /* its deadline has passed; its answer is still to come, and is then of no use */
};
TAILQ_HEAD(dialog_request_list, dialog_request);

enum dialog_state {
    DIALOG_NEW, /* hello is to come */
    DIALOG_READY,
    DIALOG_ENDED,
};

struct dialog {
    enum dialog_state state;
    const char *name;  /* what its uid says; NULL: it says its name itself */
    uint64_t abi;      /* of its hello */
    size_t granted;    /* samples that it may still send */
    size_t unanswered; /* samples that it has sent and not been answered for */
    uint64_t last_serial;
    struct dialog_request_list requests; /* in the order of their serials */
    size_t n_requests;
};

/* An answer's value; the arrays are the caller's, LINK_ANSWERS_MAX each. */
struct dialog_answer {
    struct dialog_request *request; /* no longer the dialog's */
    int r;
    const char *text; /* r < 0 */
    struct sample_value *values;
    struct packet_complaint *complaints;
    json_object *found; /* the caller's reference */
    size_t n;
};

void dialog_init(struct dialog *s, const char *name);

/* Reads a packet, which is destroyed. 0: `packet` has what it said, and for PACKET_ANSWER `answer` too. Otherwise the
 * dialog has ended: -EBADMSG (malformed), -EPROTO (out of turn, over a limit), -EACCES (not its name), -ENOMEM, with
 * words. */
int dialog_receive(struct dialog *s, void *data, size_t n, struct packet *packet, struct dialog_answer *answer,
                   struct error *e);

/* The credits to tell when `allowed` more samples may be sent at this time's rate. */
size_t dialog_grant(struct dialog *s, size_t allowed);
/* A report of n samples is answered for. */
void dialog_answered(struct dialog *s, size_t n);

/* The next serial becomes the request's. -EBUSY: LINK_CALLS_MAX have no answer, also of those given up. */
int dialog_ask(struct dialog *s, struct dialog_request *request, enum packet_kind kind, uint64_t deadline);
/* Takes a request back that was not sent. */
void dialog_unask(struct dialog *s, struct dialog_request *request);
/* The next request whose deadline has passed, now given up, or NULL. */
struct dialog_request *dialog_overdue(struct dialog *s, uint64_t now);
/* When the next deadline passes; UINT64_MAX for none. */
uint64_t dialog_next_deadline(const struct dialog *s);
/* Ends it; takes a request that has no answer out, until NULL. */
struct dialog_request *dialog_end(struct dialog *s);
