/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Observation (RFC 7641) of the resources `commands` and `.c`, which for each device have a state of their own. libcoap
 * observes a resource for all sessions alike, so notifications are made here: a command to one device costs nothing of
 * the others. One thread. */

#include "server.h"

/* Registers the client by the token of its GET; returns the value for the response's Observe option. */
uint32_t observe_begin(struct client *c, enum observable what, const coap_bin_const_t *token);
void observe_end(struct client *c, enum observable what);
/* The client rejected a message with this token. */
void observe_rejected(struct client *c, const coap_bin_const_t *token);
/* observe_state() of the device is another one now. */
void observe_changed(struct server *s, const struct device *d, enum observable what);
/* The text that the device is shown there; the caller frees it. NULL: nothing. */
char *observe_state(const struct device *d, enum observable what);
