/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by mqtt.c (a connection), mqtt-read.c (its input) and mqtt-tls.c (its TLS). Nobody else includes this. */

#include "base/ratelimit.h"
#include "uplink/mqtt-frames.h"
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

/* Input, and how much of it is let through. */
struct mqtt_input {
    uint64_t read_max;         /* OpenSSL may read on while it has read less than that in all */
    struct mqtt_frames frames; /* of what came in */
    struct ratelimit rate;     /* of the packets in it */
    uint32_t paid;             /* frames.packets that `rate` has let pass */
    uint64_t rests_until;      /* nothing is read until then; 0: it does not rest */
    uint32_t answered;         /* frames.published when the broker last took all that there was to send */
    bool misbehaves;           /* the broker sends what is to go no further */
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

/* Sizes with their NULs of what went to libmosquitto of a login; 0: there is none. */
struct mqtt_login_copies {
    size_t user, password;
    size_t connect; /* the texts in CONNECT */
    bool forgotten;
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

/* mqtt-login.c */
int mqtt_login_set(struct mqtt *m, const struct mqtt_options *options, struct error *e);
/* Once the broker has answered CONNECT, or will not. */
void mqtt_login_forget(struct mqtt *m);
/* Wipes where the copies were that libmosquitto has freed since. */
void mqtt_login_scrub(const struct mqtt_login_copies *copies);
/* To follow the words for a client that is not let in. */
const char *mqtt_login_hint(const struct mqtt *m);

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

/* NULL: none yet. */
SSL *mqtt_ssl(const struct mqtt *m);
int mqtt_tls_new(struct mqtt_shared *s, const char *const *suites, struct error *e);
/* Wipes OpenSSL's copies of the key, once there will be no handshake any more; a good one does it by itself. */
void mqtt_tls_forget(struct mqtt *m);
/* Of a finished handshake: whether the other side has proved that it has our key. */
bool mqtt_tls_proved(const SSL *ssl);
/* The handshake has ended: what that proves, with the words for it. */
enum mqtt_failure mqtt_tls_ended(const struct mqtt *m, enum uplink_trouble *ret_trouble, struct error *e);
