/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The DTLS-PSK CoAP endpoint: one UDP socket, libcoap with GnuTLS; which identity has which key is the store's to say.
 *
 * libcoap walks all its sessions once for every datagram, so with 10,000 children a request costs it about a
 * millisecond: enough for a development cloud. Its own log is kept below the level that would print payloads (keys are
 * offered in them). One thread; the store must outlive the server. */

#include "faults.h"
#include "store.h"

#include <coap3/coap.h>
#include <gnutls/gnutls.h>
#include <sys/queue.h>

#define CLIENT_EXCHANGES 32
#define COMMANDS_MAX_AGE 3600 /* seconds until a device that heard nothing asks again */

/* The answer to a message id, so that a repeated request is not carried out twice (RFC 7252 section 4.5). */
struct exchange {
    uint64_t began; /* CLOCK_BOOTTIME; 0: unused */
    uint16_t mid;
    bool lost; /* never answered, however often it is repeated */
    uint8_t code;
    uint32_t max_age;
    int format;       /* of the body; -1: none given */
    int observe;      /* the option's value; -1: none */
    uint64_t time_ms; /* what it was told for the time; 0: it did not ask */
    char *body;
};

/* One DTLS session. */
/* The resources of which each device has a state of its own. */
enum observable { OBSERVABLE_COMMANDS, OBSERVABLE_SETTINGS };
#define OBSERVABLES (OBSERVABLE_SETTINGS + 1)

struct client {
    struct server *server;
    struct device *device; /* NULL until the identity is known */
    char identity[IDENTITY_MAX + 1];
    char peer[80];
    coap_session_t *session;
    gnutls_session_t tls;
    bool established;
    struct exchange exchanges[CLIENT_EXCHANGES];
    size_t next_exchange;
    unsigned held;     /* requests that it is slow about; they end with the session */
    uint32_t observed; /* number of the last notification */
    struct observation {
        uint8_t token[8];
        size_t token_size; /* 0: it does not observe that */
    } observations[OBSERVABLES];
    uint64_t key_due; /* when a client with the right key is long done; 0: nobody waits for it */
    TAILQ_ENTRY(client) all, unproven;
};

struct server;

/* Port 0: any. `address` is numeric. */
int server_new(struct store *s, const char *address, unsigned port, struct server **ret, struct error *e);
struct server *server_free(struct server *s);
DEFINE_FREEP(struct server, server_free)

unsigned server_port(const struct server *s);
/* To be polled for reading; another one after server_restart(). */
int server_fd(const struct server *s);
void server_process(struct server *s);
/* Milliseconds until server_process() is due in any case; -1: none. */
int server_timeout(const struct server *s);

/* As if killed and started again: every session is gone without a word; what the store knows stays. */
int server_restart(struct server *s, struct error *e);
/* Datagrams are dropped unread and nothing is sent until `until` (CLOCK_BOOTTIME); 0 ends it. */
int server_silence(struct server *s, uint64_t until);

/* Sets the time told to devices, in milliseconds since 1970; 0: the real time. It runs on from there. */
void server_set_clock(struct server *s, uint64_t ms);
uint64_t server_clock(const struct server *s);

/* For a request handler: whether what is sent for the request at hand is lost on the way. */
void server_lose_answer(struct server *s, bool lose);

struct store *server_store(struct server *s);
struct faults *server_faults(struct server *s);
size_t server_sessions(const struct server *s);
/* A request of the client is put aside, or taken up again. */
void server_hold(struct client *c);
void server_unhold(struct client *c);
size_t server_held(const struct server *s);
/* All sessions, linked by `all`. */
struct client *server_clients(struct server *s);
