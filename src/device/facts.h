/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Facts of a device and its fleet that many ask, worked out from what their parts hold. On their own, so that who asks
 * needs nothing of what is above it. Loop thread; nothing is changed, except by rotate_event(). */

#include "device/connection-table.h"
#include "rotation/machine.h"
#include "uplink/session.h"
#include "vault/vault.h"

#include <stdbool.h>

struct device;
struct fleet;
struct shared_uplink;
struct stamp;

/* entry.c: the device in the vault; NULL: there is nothing of it. */
struct vault_entry *device_entry(const struct device *d);
bool drivers_connected(const struct device *d);
void fleet_stamp_now(struct fleet *f, struct stamp *ret);
/* The power is about to go: no rotation begins. */
bool quiesce_holds(const struct fleet *f);

/* ── Its main connection ── */

/* NULL: there never was a session. */
struct uplink_session *device_session(const struct device *d);
/* Whether the device has a session, and in which phase its main connection is. */
bool device_online(const struct device *d);
enum connection_phase device_phase(const struct device *d);
/* CONNECTING for what is told next. */
enum uplink_state device_session_state(const struct device *d);
/* NULL: there is nothing to say. */
const char *device_session_reason(const struct device *d);
/* Whether a connection before a swap still has a request under way. */
bool session_leaving(const struct device *d);
/* The server does not say of each message whether it was allowed, and none has come back yet over this connection: what
 * it acknowledges may go nowhere. */
bool session_awaits_proof(const struct device *d);
bool session_proving(const struct device *d);

/* ── Its rotation ── */

/* An event for it, if it has one. */
void rotate_event(struct device *d, enum rotation_event_type type);
/* Whether the registrar could be asked now. */
bool rotate_heard(const struct device *d);
/* Whether a new key is made, offered or tried. */
bool rotate_under_way(const struct device *d);
/* Its main key is the one before, until the other is accepted again or somebody acts. */
bool rotate_fallen(const struct device *d);
/* It came from a backup, and the cloud has accepted none of its keys since. */
bool restored_waits(const struct device *d);

/* ── Its first registration ── */

enum vault_registration registration_state(const struct device *d);
/* Whether the uplink's cloud can be told of a key that no session has yet. */
bool registration_possible(const struct shared_uplink *u);
/* The cloud does not know its main key yet: no session, no rotation. */
bool registration_pending(const struct device *d);
bool registration_conflict(const struct device *d);
/* And cannot know it: nothing of it was sent. */
bool registration_unknown(const struct device *d);
const char *registration_reason(const struct device *d);
