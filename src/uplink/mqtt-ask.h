/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks a broker that turned a hello away what it meant, by the questions of tls-hello.h, each over a TCP connection of
 * its own, without blocking. Owned by the session whose attempt it belongs to. Loop thread only. */

#include "base/cleanup.h"
#include "base/error.h"
#include "uplink/mqtt.h"

struct mqtt_ask;

/* `done` is called once, never from within this call, and may free it: with how the handshake before is to be taken.
 * Everything is copied. */
int mqtt_ask_new(const struct mqtt_shared *shared, const struct resolver_address *address, const char *server_name,
                 const char *identity,
                 void (*done)(void *userdata, enum mqtt_failure failure, enum uplink_trouble trouble,
                              const char *reason),
                 void *userdata, struct mqtt_ask **ret, struct error *e);
struct mqtt_ask *mqtt_ask_free(struct mqtt_ask *a);
DEFINE_FREEP(struct mqtt_ask, mqtt_ask_free)
