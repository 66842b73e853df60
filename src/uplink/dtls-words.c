/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/dtls.h"

#define LIKELY_CAUSES                                                                                                  \
    "is the identity registered there, and is the key the same bytes on both sides? A key shown as text may be meant " \
    "as ASCII, hex or base64"

static const char *alert_name(int alert)
{
    const char *name = gnutls_alert_get_name((gnutls_alert_description_t)alert);

    return name ? name : "unknown";
}

void dtls_say_broken(struct error *e, bool answered, int alert, int r)
{
    /* What GnuTLS makes of a close_notify in a handshake. */
    bool hung_up = r == GNUTLS_E_UNEXPECTED_PACKET || r == GNUTLS_E_PREMATURE_TERMINATION || r == 0;

    if (answered && alert == GNUTLS_A_UNKNOWN_PSK_IDENTITY)
        error_set(e, 0, "the server does not know our identity (alert: %s): " LIKELY_CAUSES, alert_name(alert));
    else if (answered && alert > GNUTLS_A_CLOSE_NOTIFY)
        error_set(e, 0, "the server answered but did not accept key or identity (alert: %s): " LIKELY_CAUSES,
                  alert_name(alert));
    else if (answered)
        error_set(e, 0, "the server answered but ended the handshake after our proof of the key%s%s: " LIKELY_CAUSES,
                  hung_up ? "" : ", ", hung_up ? "" : gnutls_strerror(r));
    else if (alert >= 0)
        error_set(e, 0, "the server broke the handshake off (alert: %s): does it take one of the configured suites?",
                  alert_name(alert));
    else
        error_set(e, 0, "the handshake broke off: %s", gnutls_strerror(r));
}

void dtls_say_silent(struct error *e, bool answered, bool heard)
{
    if (answered)
        error_set(
            e, 0,
            "the server answered but fell silent after our proof of the key, as servers do that do not accept it: " LIKELY_CAUSES);
    else if (heard)
        error_set(e, 0,
                  "the server began the handshake and fell silent: packets lost, an overloaded server, or one that "
                  "takes none of the configured suites");
    else
        error_set(e, 0, "no answer: is the server up, and does a firewall let UDP through?");
}
