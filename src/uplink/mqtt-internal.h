/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by mqtt.c (a connection) and the files of its parts: mqtt-setup.c, mqtt-send.c, mqtt-ask.c, mqtt-tls.c,
 * mqtt-read.c and mqtt-login.c. Nobody else includes this. */

#include "uplink/mqtt-login.h"
#include "uplink/mqtt-read.h"
#include "uplink/mqtt.h"

#include <openssl/ssl.h>

struct mosquitto;

struct mqtt_shared {
    sd_event *event;
    SSL_CTX *tls;
    char *offer;       /* for texts */
    bool post_quantum; /* OpenSSL has ML-KEM */
    uint16_t suites[SUITES_IDS_MAX];
    size_t n_suites;
    int null; /* /dev/null */
    /* Whose connection libmosquitto and OpenSSL are at work on: OpenSSL's callbacks do not know. */
    struct mqtt *current;
};

enum mqtt_phase { MQTT_TCP, MQTT_TLS, MQTT_CONNACK, MQTT_OPEN, MQTT_ENDED };

/* Conditions under which the two sides speak. */
struct mqtt_terms {
    enum mqtt_version version;
    bool has_will;
    bool retained;           /* as in the options */
    uint32_t session_expiry; /* as in the options */
    unsigned keepalive;
    unsigned receive_maximum;
    uint32_t packet_max; /* 0: the broker does not say */
    bool no_qos1;
    bool only_handshake; /* as in the options */
};

/* The TLS handshake, and what it shows. */
struct mqtt_handshake {
    SSL_SESSION *offered; /* the key as TLS 1.3 is offered it, until the handshake ends */
    bool plain_groups;
    bool keyless;
    bool hello_sent;
    bool chosen;       /* ServerHello or HelloRetryRequest came */
    bool proved;       /* TLS 1.2: our identity and proof went */
    bool certificate;  /* the other side did not prove our key, but shows one */
    int alert;         /* received, -1: none */
    int own_alert;     /* sent, -1: none */
    int local_error;   /* of the key callback */
    int no_connection; /* errno, if OpenSSL was the first to see it, or the connection ended with it; 0 */
};

/* CLOCK_BOOTTIME, 0: not yet. */
struct mqtt_times {
    uint64_t tcp_timeout, tls_timeout; /* durations */
    uint64_t deadline;                 /* of a phase before MQTT_OPEN */
    uint64_t opened_at;
    uint64_t look_at;             /* when libmosquitto is to look whether to send PINGREQ */
    uint64_t sent_at;             /* when something was last sent */
    uint64_t pinged_at;           /* 0: there is no PINGREQ unanswered */
    uint64_t bytes_in, bytes_out; /* when last looked */
};

/* The end of the connection. */
struct mqtt_end {
    int connack;                    /* -1: none yet */
    int lost;                       /* errno with which the connection was lost, 0: it ended in order */
    int gone;                       /* what libmosquitto said when the connection ended, -1: nothing */
    char words[MQTT_WORDS_MAX];     /* Reason String of CONNACK or DISCONNECT, quoted */
    char reference[MQTT_WORDS_MAX]; /* Server Reference, quoted */
    char *refers_to;                /* the same as it came, if another server is to be used */
    bool said_bye;
    bool broken; /* a write has failed */
};

struct mqtt {
    struct mqtt_shared *shared;
    const struct mqtt_ops *ops;
    void *userdata;
    struct mosquitto *mosquitto;
    const char *server_name;
    sd_event_source *source;
    struct error *what; /* the words for local_error and misbehaves, only while a step runs */
    struct resolver_address address;
    enum mqtt_phase phase;
    uint32_t events; /* awaited */
    struct mqtt_terms terms;
    struct mqtt_handshake tls;
    struct mqtt_input in;
    struct mqtt_times time;
    struct mqtt_login_copies login;
    struct mqtt_end end;
    unsigned busy;
    bool freed; /* by its owner, while busy */
};

static inline bool mqtt_is_open(const struct mqtt *m)
{
    return m->phase == MQTT_OPEN && !m->freed && !m->end.said_bye;
}

/* Waits for what can happen next. */
void mqtt_await(struct mqtt *m);

/* Makes m->mosquitto. */
int mqtt_set_up(struct mqtt *m, const struct mqtt_options *options, struct error *e);
/* Begins the connection of m->mosquitto to m->address. */
int mqtt_connect_to(struct mqtt *m, struct error *e);

/* NULL: none yet. */
SSL *mqtt_ssl(const struct mqtt *m);
int mqtt_tls_new(struct mqtt_shared *s, const char *const *suites, struct error *e);
/* Wipes OpenSSL's copies of the key, once there will be no handshake any more; a good one does it by itself. */
void mqtt_tls_forget(struct mqtt *m);
/* Of a finished handshake: whether the other side has proved that it has our key. */
bool mqtt_tls_proved(const SSL *ssl);
/* The handshake has ended: what that proves, with the words for it. */
enum mqtt_failure mqtt_tls_ended(const struct mqtt *m, enum uplink_trouble *ret_trouble, struct error *e);
