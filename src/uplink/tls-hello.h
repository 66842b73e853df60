/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Questions to a TLS server that turned our hello away with handshake_failure, which under TLS 1.3 it says to an
 * unknown identity as well as to one with which it has nothing in common. Each question is a hello made by hand, whose
 * answer is read no further than its first record. No key is in any of them: a proof is random, so nobody learns or
 * gets anything. Pure, any thread. */

#include "uplink/handshake.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order in which they are asked. */
enum tls_question {
    TLS_ASK_IDENTITY, /* what we offer, with a wrong proof: is the identity known? */
    TLS_ASK_OFFER,    /* what we offer, and an extension that makes no sense, read once a suite was chosen */
    TLS_ASK_HASH,     /* a wrong proof that is bound to SHA-384 */
};
#define TLS_QUESTIONS 3

#define TLS_HELLO_MAX 1024
#define TLS_HELLO_SUITES_MAX 16
#define TLS_HELLO_RANDOM 144 /* bytes: random, session id, key share, proof */
/* The head of a record, and as much of it as is looked at. */
#define TLS_ANSWER_SIZE 7

struct tls_hello {
    const char *identity;    /* at most IDENTITY_MAX */
    const char *server_name; /* NULL: none */
    const uint16_t *suites;  /* for TLS 1.2 */
    size_t n_suites;         /* at most TLS_HELLO_SUITES_MAX */
    const uint8_t *random;   /* TLS_HELLO_RANDOM bytes */
};
/* Returns the size. A name that is too long for the buffer is left out. */
size_t tls_hello_make(enum tls_question question, const struct tls_hello *hello, uint8_t ret[static TLS_HELLO_MAX]);

/* Reads the server's answer: the description of an alert; -EAGAIN: not enough yet; -ENOMSG: a handshake message;
 * -EPROTO: something else. */
int tls_hello_answer(const uint8_t *data, size_t n);

/* The verdict of an answer (or a negative errno: none came, although the server was there). UNCLEAR: the next question
 * is to be asked. */
struct handshake_end tls_hello_verdict(enum tls_question question, int answer);
