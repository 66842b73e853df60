/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The input of a connection over MQTT, a record at a time, looked at before libmosquitto sees it. */

#include "base/ratelimit.h"
#include "uplink/mqtt-frames.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

struct mqtt;

/* How much is let through. */
struct mqtt_input {
    uint64_t read_max;         /* OpenSSL may read on while it has read less than that in all */
    struct mqtt_frames frames; /* of what came in */
    struct ratelimit rate;     /* of the packets in it */
    uint32_t paid;             /* frames.packets that `rate` has let pass */
    uint64_t rests_until;      /* nothing is read until then; 0: it does not rest */
    uint32_t answered;         /* frames.published when the broker last took all that there was to send */
    bool misbehaves;           /* the broker sends what is to go no further */
};

/* OpenSSL reads from the socket for this connection. */
void mqtt_read_watch(struct mqtt *m, SSL *ssl);
/* The handshake is done: nothing is read but by mqtt_read_record(). */
void mqtt_read_close(struct mqtt *m);
/* Whether the broker may be read on. One that sends more than MQTT_PACKETS_PER_SEC rests: what it sends waits in its
 * own buffers. */
bool mqtt_read_allowed(struct mqtt *m, uint64_t now);
/* A turn of the loop in which something may have come begins. */
void mqtt_read_begin(struct mqtt *m, SSL *ssl, uint64_t *ret_max);
/* Takes the next record off the socket, as long as not more than `max` have been read in all. 1: it holds what
 * libmosquitto may read, all of it; 0: none has come yet; -EPROTO, -EMSGSIZE: it holds what is to go no further
 * (m->in.misbehaves, with words in m->what); -ENOTCONN: the connection has ended. */
int mqtt_read_record(struct mqtt *m, SSL *ssl, uint64_t max);
