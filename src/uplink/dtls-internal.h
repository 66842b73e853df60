/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of DTLS sessions, shared by dtls.c (a session) and dtls-shared.c (what those of one uplink share). */

#include "uplink/dtls.h"

struct dtls_shared {
    struct sockets *sockets;
    gnutls_priority_t priority;
    gnutls_psk_client_credentials_t credentials;
    char *offer; /* for texts */
    /* One datagram on its way from the socket to the session that it is for, and what that made of it. */
    struct dtls *pending_for;
    size_t pending;
    uint8_t datagram[DTLS_DATAGRAM_MAX];
    uint8_t plain[DTLS_DATAGRAM_MAX];
};

/* Of the handshake. CLOCK_BOOTTIME, except the durations first_answer and judgement. */
struct dtls_times {
    uint64_t started_at, finished_at; /* our first flight, our Finished */
    uint64_t heard_at, flight_at;     /* the last datagram of the handshake, of the server's flight; 0: none */
    uint64_t alert_at;                /* the first alert that anybody may have sent after our Finished, 0: none */
    uint64_t first_answer, judgement, retransmit_at;
};

struct dtls {
    struct dtls_shared *shared;
    const struct dtls_ops *ops;
    void *userdata;
    gnutls_session_t session;
    struct socket_watch watch;
    int fd;
    struct dtls_times times;
    struct dtls_counters counters;
    size_t mtu;    /* of a datagram, without IP and UDP headers */
    size_t cookie; /* bytes of the one that the server asked for */
    unsigned busy;
    int alert;          /* its description */
    int icmp;           /* the last error that the network reported, 0: none */
    int local_error;    /* of the key callback */
    struct error *what; /* its words, only while a handshake step runs */
    bool v6;
    bool begun, open;
    bool watched; /* its socket is */
    bool ended;   /* ended: failed or closed was called */
    bool starved; /* GnuTLS asked for more than there is */
    bool freed;   /* by its owner, while busy */
};
