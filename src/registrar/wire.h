/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The protocol between the agent and gatehouse-registrar: a JSON object each way (doc/registrar-protocol.md). Both
 * programs link this, and neither trusts the other. Pure. */

#include "base/json.h"
#include "registrar/answer.h"

#include <stdbool.h>
#include <stddef.h>

enum wire_action { WIRE_PUT, WIRE_FIND, WIRE_DELETE };
/* "put", "find", "delete"; parsing gives the value or -EINVAL. */
const char *wire_action_to_string(enum wire_action action);
int wire_action_from_string(const char *text);

/* A request without the key, which registrar/offer.c adds. */
struct wire_request {
    enum wire_action action;
    const char *device;      /* the agent's name for it */
    const char *hardware_id; /* under which the cloud knows it; NULL or the same: as the agent */
    const char *identity;    /* as it goes over the wire in a handshake */
    const char *cloud_id;    /* "" if unknown */
    const char *other_id;    /* of the device's other credential, "" if unknown or there is none */
    bool offered;            /* an earlier offer of this credential may have reached the cloud */
    bool create;             /* it is the device's first: a cloud that does not have the device may make it */
    bool replaces;
    bool clock;           /* CLOCK_REALTIME can be trusted: a sandbox may forbid others to find out */
    const char *settings; /* a JSON object, from the configuration */
};
/* The object without its closing brace, so that members can follow. 0 or -ENOMEM; -EINVAL: the settings are none. */
int wire_write_request(const struct wire_request *request, char **ret);

/* An answer. Whatever is not one becomes RETRY, with the reason in words, and may have been carried out. */
void wire_read_answer(enum wire_action action, const char *text, size_t n, struct answer_texts *texts,
                      struct registrar_answer *ret);
int wire_write_answer(const struct registrar_answer *answer, char **ret);
/* A value that a peer sent: JSON, strictly, no key twice. -EINVAL with words. */
int wire_parse(const char *text, size_t n, json_object **ret, struct error *e);
