/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events of the development cloud on standard output: one line each, for people or (--json) as one JSON object.
 * Never a key. A reader that is gone stops nothing. One thread;
 * events_flush() before what they tell of is answered, and at the end of each loop turn. */

#include "senml.h"
#include "store.h"

#include <stdbool.h>

void events_init(bool json);
void events_flush(void);

/* `https_port` 0: no management calls. */
void event_listening(const char *address, unsigned port, unsigned https_port);
void event_session(const struct device *d, const char *identity, const char *suite, bool forward_secrecy,
                   const char *peer);
void event_session_closed(const struct device *d, const char *identity, const char *peer);
/* A handshake that came to nothing: an identity nobody has, or a key that does not fit it. */
void event_handshake_failed(const struct device *d, const char *identity, const char *reason, const char *peer);
void event_samples(const struct device *d, const char *identity, const struct senml_pack *p);
void event_probe(const struct device *d, const char *identity);
/* `event` "credential" with result added, same or replaced; or "deleted". */
void event_credential(const char *event, const char *result, const struct credential *c);
/* An answer of 4.xx or 5.xx; `code` as "4.09". */
void event_refused(const struct device *d, const char *identity, const char *method, const char *path, const char *code,
                   const char *reason);
/* Something done on demand: `what` is the control command's name. */
void event_fault(const char *what, const struct device *d, const char *method, const char *path);
/* A management call; `status` 0: it was not answered. `late`: carried out only now. */
void event_request(const struct device *d, const char *method, const char *path, json_object *query, unsigned status,
                   const char *reason, bool late);
/* The outcome of a command, as the device reports it. */
/* Its answer to its settings. */
void event_settings(const struct device *d, const char *identity, json_object *status);
void event_outcome(const struct device *d, const char *identity, json_object *outcome);
