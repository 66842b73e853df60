/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connections of a device: the ordinary one on its main key (session.c), a probe's beside it or in its place
 * (probe.c), and the one before a swap of keys until its request has ended. Each is an object with a role and a phase
 * (connection-table.h), whose events come from its uplink session. What follows from them elsewhere goes out by struct
 * connection_ops.
 *
 * Part of struct device. Loop thread; what goes wrong is logged, or arrives as a verdict. */

#include "device/connection-table.h"
#include "payload/profile.h"
#include "uplink/backoff.h"
#include "uplink/session.h"

#include <systemd/sd-event.h>

struct device;
struct proof;
struct vault_change;

struct connection {
    struct device *device;
    struct connection_state state;
    struct uplink_session *session;
    struct proof *proof;
};

struct connections {
    struct connection *main;    /* NULL: there never was one */
    struct connection *probe;   /* NULL: none */
    struct connection *leaving; /* NULL: none */
    const struct connection_ops *ops;
    sd_event_source *renew; /* after a refused message */
    struct backoff refused;
    uint8_t answer;              /* the last to samples or a probe on main that was no "accepted"; 0: it was */
    char *answer_words;          /* the server's own about it, quoted; NULL: none */
    uint64_t last_authenticated; /* CLOCK_REALTIME; the vault's may be older */
    uint64_t authenticated_next; /* CLOCK_BOOTTIME: before, the vault is not asked again to note it */
    struct {
        sd_event_source *pausing; /* the ordinary session is about to make room for it */
        enum vault_slot slot;
        int local; /* what our side failed with */
        char *why; /* what the last one ended with, if it was not accepted; NULL: nothing was said */
        /* r: 0 accepted, -EACCES refused by a server that answered, -EHOSTUNREACH not answered, other: our own fault */
        void (*done)(struct device *d, int r);
    } probing;
};

/* Upwards, of the main connection. */
struct connection_ops {
    /* Whether the device is to be connected. */
    bool (*wanted)(const struct device *d);
    /* It is not, and its session was stopped. */
    void (*unwanted)(struct device *d);
    /* The session has another state, or another reason for it. */
    void (*state)(struct device *d, enum uplink_state state, const char *reason);
    /* There is a session: announces, listens, sends. */
    void (*greet)(struct device *d);
    /* Requests may be made. */
    void (*kick)(struct device *d);
    /* The session has been stopped, and with it every subscription. */
    void (*ended)(struct device *d);
    /* Another session takes over: all that is under way on this one ends, except samples. */
    void (*moved)(struct device *d);
    /* A message was accepted. */
    void (*accepted)(struct device *d);
    /* The finding of a fresh handshake on the main key: one of CONNECTION_TELLS. */
    void (*verdict)(struct device *d, enum connection_action verdict);
    void (*changed)(struct device *d);
};

/* ── session.c ── */

void session_start(struct device *d);
void session_stop(struct device *d, enum uplink_bye bye);
/* Main is another key, that of no session yet. */
void session_new_key(struct device *d);
/* After a swap: the probe's connection, on what is now main, becomes the device's. */
void session_adopt_probe(struct device *d);
/* The request of the connection before a swap has ended (session_leaving()). */
void session_linger_end(struct device *d);
/* The announcements begin anew, or are out. */
void session_announce(struct device *d);
void session_announced(struct device *d);
/* The server accepted, or refused as it refuses a key, something on the ordinary session. */
void session_accepted(struct device *d);
void session_refused(struct device *d);
/* The code of an answer, when it says "accepted" 0: is shown. */
void session_answered(struct device *d, uint8_t code, const char *words);
/* The vault learns when its main key was last accepted, as exactly as it is known: before the device goes. */
void session_keep_authenticated(struct device *d);
/* Ends all of them, without a word upwards. */
void connections_done(struct device *d);

/* An event of one of them. The connection may be gone when it returns. */
void connection_event(struct connection *c, enum connection_event event);
/* With its session; -ENOMEM. */
int connection_new(struct device *d, enum connection_role role, struct connection **ret);
/* Stops its session with a word, and frees it. */
struct connection *connection_free(struct connection *c);

/* ── probe.c ── */

int probe_start(struct device *d, enum vault_slot slot, void (*done)(struct device *d, int r));
/* Forgets it. Only for who needs no result any more: the rotation waits for one. */
void probe_drop(struct device *d);
/* Ends it, with a result if one is owed. */
void probe_abort(struct device *d);
bool probe_under_way(const struct device *d);
/* The ordinary session has to wait: a probe that cannot run beside it is under way. */
bool probe_excludes_session(const struct device *d);
/* Nothing of the queue is under way any more. */
void probe_delivery_ended(struct device *d);
/* The probe's connection has ended, or was accepted: `verdict` is one of CONNECTION_TELLS, or 0. */
void probe_ended(struct device *d, unsigned verdict);
void probe_set_why(struct device *d, const char *why);

/* ── proof.c ── */

/* Instead of a code of MQTT: acknowledged, and it has not come back. */
#define PROOF_NOT_HEARD 0xff
typedef void (*proof_done)(void *userdata, int r, enum profile_verdict verdict, uint8_t code, const char *words);
/* 0: `done` will be called, once, after which *ret is to be freed; 1: this profile wants none; -errno. r as for
 * uplink_done; 0: the verdict, and the code that it is of. */
int proof_begin(struct device *d, struct uplink_session *s, proof_done done, void *userdata, struct proof **ret);
struct proof *proof_free(struct proof *p);
/* proof_free() when its session has been stopped, and with it every subscription. */
struct proof *proof_stopped(struct proof *p);
/* Why it was not accepted, in words: r, verdict and code as for `done`, on the probe's own session. */
const char *proof_words(const struct device *d, int r, enum profile_verdict verdict, uint8_t code, char *buffer,
                        size_t size);
