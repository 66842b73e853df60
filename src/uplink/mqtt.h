/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One MQTT connection of a client over TLS-PSK: libmosquitto with OpenSSL on the loop's epoll, never blocking.
 *
 * The owner makes it, begins it, and calls mqtt_tick() when mqtt_deadline() has come; it keeps the one timer. A
 * connection serves once: for another key or another try there is another one. What all connections of an uplink have
 * in common (OpenSSL's context with the suites) is a struct mqtt_shared.
 *
 * libmosquitto never gets the key: the TLS context is ours, and its callbacks ask for the key when OpenSSL needs it.
 * OpenSSL wipes the copies it makes in the handshake, except one that TLS 1.3 would keep as long as the session
 * lasts, which is wiped here when the handshake ends.
 *
 * Loop thread only. mqtt_free() may be called from any op; SIGPIPE has to be ignored by the program. */

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "uplink/mqtt-reasons.h"
#include "uplink/resolver.h"
#include "uplink/suites.h"
#include "uplink/trouble.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct mqtt;
struct mqtt_shared;

/* `suites` as suites_openssl() takes them bind TLS 1.2; under TLS 1.3 only PSK with (EC)DHE is offered. */
int mqtt_shared_new(sd_event *event, const char *const *suites, struct mqtt_shared **ret, struct error *e);
struct mqtt_shared *mqtt_shared_free(struct mqtt_shared *s);
DEFINE_FREEP(struct mqtt_shared, mqtt_shared_free)

/* How a connection could not be made. */
enum mqtt_failure {
    MQTT_UNREACHABLE, /* no TCP connection, or no answer over it */
    MQTT_ANSWERED,    /* an alert that a wrong key or identity gets, or a CONNACK that does not let us in */
    MQTT_UNCLEAR,     /* an alert that says either, or that there is nothing in common: mqtt-ask.h finds out */
    MQTT_FAILED,      /* something came back, but it ended for another reason */
    MQTT_VERSION,     /* asked in version 5, the broker says that it does not speak it */
    MQTT_HUNG_UP,     /* asked in version 5, it hangs up: as old ones do, or because the line was cut */
    MQTT_LOCAL,       /* our side: no descriptor, no key */
};

struct mqtt_ops {
    /* The identity (valid for the call) and key; the cell is freed by the connection. Asked for up to four times in a
     * handshake. A negative errno with words fails it as MQTT_LOCAL. */
    int (*key)(void *userdata, const char **ret_identity, struct secret **ret_key, struct error *e);
    void (*opened)(void *userdata);
    void (*failed)(void *userdata, enum mqtt_failure failure, enum uplink_trouble trouble, const char *reason);
    /* PUBACK; before version 5 the reason is 0. `words`: the broker's about it, quoted; "": none. */
    void (*published)(void *userdata, int mid, uint8_t reason, const char *words);
    void (*subscribed)(void *userdata, int mid, uint8_t reason, const char *words);
    void (*message)(void *userdata, const char *topic, const void *payload, size_t n);
    /* An open connection has ended; `code` of DISCONNECT, 0 if there was none. */
    void (*closed)(void *userdata, enum mqtt_blame blame, uint8_t code, const char *reason);
    /* mqtt_deadline() has changed. */
    void (*rearm)(void *userdata);
};

struct mqtt_options {
    struct mqtt_shared *shared;
    const struct mqtt_ops *ops;
    void *userdata;
    const struct resolver_address *address;
    const char *server_name; /* sent as SNI, NULL: none; kept by reference */
    enum mqtt_version version;
    bool plain_groups;  /* ML-KEM is not offered */
    unsigned keepalive; /* seconds, from MQTT_KEEPALIVE_MIN; 0: none */
    const char *client_id;
    const char *user, *password; /* NULL: none */
    const char *will_topic;      /* NULL: no will */
    const void *will;
    size_t will_size;
    bool will_retain;
    uint32_t session_expiry; /* seconds; 0: the session ends with the connection */
    bool retained;           /* messages that the broker has kept count */
    uint64_t tcp_timeout, tls_timeout;
    bool only_handshake; /* nothing is sent once the handshake is done: opened, and then there is no end */
    bool keyless;        /* only_handshake, and the key is asked for as late as possible */
};

/* Nothing is sent yet. -EINVAL: client id or will are such as MQTT does not take. */
int mqtt_new(const struct mqtt_options *options, struct mqtt **ret, struct error *e);
/* Without mqtt_bye() before it the broker publishes the will. */
struct mqtt *mqtt_free(struct mqtt *m);
DEFINE_FREEP(struct mqtt, mqtt_free)

/* May call ops, as may mqtt_tick(). */
void mqtt_begin(struct mqtt *m, uint64_t now);
uint64_t mqtt_deadline(const struct mqtt *m);
void mqtt_tick(struct mqtt *m, uint64_t now);

/* QoS 1. Calls no op. -EMSGSIZE: the broker takes no message of that size; -EINVAL: not a topic to publish to;
 * -ENOTCONN: it is not open, or just broke (closed will be called). */
int mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t n, bool retain, int *ret_mid);
int mqtt_subscribe(struct mqtt *m, const char *filter, int *ret_mid);
void mqtt_unsubscribe(struct mqtt *m, const char *filter);
/* Sends DISCONNECT and closes; calls no op, now or later. */
void mqtt_bye(struct mqtt *m, bool with_will);

/* Messages that the broker takes before it acknowledges the first. */
unsigned mqtt_receive_maximum(const struct mqtt *m);
/* Of a connection that has failed: it offered ML-KEM, and nothing was answered to its hello. */
bool mqtt_hello_lost(const struct mqtt *m);
/* The server that the broker named when it did not let us in, or hung up: foreign bytes, to be read by
 * hosts_reference(). NULL: none. */
const char *mqtt_reference(const struct mqtt *m);
/* Bytes of a packet that the broker takes, as CONNACK says; 0: it does not. */
uint32_t mqtt_packet_max(const struct mqtt *m);
enum mqtt_version mqtt_version(const struct mqtt *m);
/* Of a connection whose TLS handshake is done. */
void mqtt_suite_text(const struct mqtt *m, char ret[static SUITE_TEXT_MAX]);
void mqtt_group_text(const struct mqtt *m, char ret[static GROUP_TEXT_MAX]);
bool mqtt_forward_secrecy(const struct mqtt *m);
int mqtt_local_address(const struct mqtt *m, struct resolver_address *ret);
