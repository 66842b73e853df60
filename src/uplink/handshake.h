/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a TLS or DTLS handshake with a pre-shared key ended, judged from an alert or from a library's own error, and in
 * words. Only what a server does that has looked at key and identity is evidence about these; nothing in common, the
 * server's own trouble and a library's limit are none. Alerts are not authenticated, so even evidence proves nothing
 * alone. Pure, any thread. */

#include "base/error.h"
#include "uplink/trouble.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far it had come. */
enum handshake_stage {
    HANDSHAKE_HELLO,  /* the server has chosen nothing yet, and our hello proves no key */
    HANDSHAKE_BINDER, /* likewise, but our hello proves the key already: TLS 1.3 */
    HANDSHAKE_CHOSEN, /* the server has chosen version, suite and group; our proof of the key is not out */
    HANDSHAKE_PROVED, /* it has chosen, and our proof of the key is out */
};
#define HANDSHAKE_STAGES 4

enum handshake_verdict {
    HANDSHAKE_REFUSED,  /* key or identity suspected */
    HANDSHAKE_UNCLEAR,  /* an identity that is not known there, or nothing in common */
    HANDSHAKE_MISMATCH, /* nothing in common, see enum handshake_about */
    HANDSHAKE_UNWELL,   /* the server's own trouble */
    HANDSHAKE_LIMIT,    /* a bound of the library on our side */
    HANDSHAKE_OURS,     /* our side could not go on: memory, random numbers */
};

/* The part on which the two sides have nothing in common. */
enum handshake_about {
    ABOUT_NOTHING,
    ABOUT_ANY, /* version, suite or group: the server does not say which */
    ABOUT_VERSION,
    ABOUT_SUITES,
    ABOUT_GROUPS,
    ABOUT_HASH,
    ABOUT_CERTIFICATE,
    ABOUT_NAME,
    ABOUT_PROTOCOL, /* one side does not understand the other */
};

struct handshake_end {
    enum handshake_verdict verdict;
    enum handshake_about about;
    const char *what; /* the alert's or the error's name; static */
    bool unknown;     /* refused: it says that it does not know the identity */
};

/* The server sent an alert with that description (RFC 8446 section 6). */
struct handshake_end handshake_alert(int description, enum handshake_stage stage);
/* We sent one: the server did what we do not take. */
struct handshake_end handshake_own_alert(int description, enum handshake_stage stage);
/* GnuTLS gave up without an alert of the server's; `r` as gnutls_handshake() returned it. */
struct handshake_end handshake_gnutls(int r, enum handshake_stage stage);

/* The trouble that this end stands for. */
enum uplink_trouble handshake_trouble(const struct handshake_end *end);
/* The words. `offer` is what was offered, as suites_offer() has it. */
void handshake_say(struct error *e, const struct handshake_end *end, const char *offer);
/* The server fell silent. */
enum uplink_trouble handshake_say_silent(struct error *e, bool proved, bool heard, const char *offer);
/* GnuTLS takes cookies of HANDSHAKE_COOKIE_MAX bytes, and the server's is longer. */
#define HANDSHAKE_COOKIE_MAX 32
void handshake_say_cookie(struct error *e, size_t size);
