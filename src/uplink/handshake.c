/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/handshake.h"

#include "base/cleanup.h"

#include <gnutls/gnutls.h>

#define REFUSED HANDSHAKE_REFUSED
#define UNCLEAR HANDSHAKE_UNCLEAR
#define MISMATCH HANDSHAKE_MISMATCH
#define UNWELL HANDSHAKE_UNWELL

#define UNKNOWN_PSK_IDENTITY 115

#define LIKELY_CAUSES                                                                                                  \
    "is the identity registered there, and is the key the same bytes on both sides? A key shown as text may be meant " \
    "as ASCII, hex or base64"

/* Every alert that TLS 1.2, 1.3 and DTLS 1.2 know. Columns as enum handshake_stage. */
static const struct alert {
    int description;
    const char *name;
    enum handshake_verdict verdict[HANDSHAKE_STAGES];
    enum handshake_about about; /* of a mismatch */
} alerts[] = {
    /* Ends by which servers refuse a key or identity, once they have seen a proof of it. */
    {0, "alert: close_notify", {UNWELL, UNWELL, UNWELL, REFUSED}, ABOUT_NOTHING},
    {20, "alert: bad_record_mac", {MISMATCH, REFUSED, MISMATCH, REFUSED}, ABOUT_PROTOCOL},
    {21, "alert: decryption_failed", {MISMATCH, REFUSED, MISMATCH, REFUSED}, ABOUT_PROTOCOL},
    {40, "alert: handshake_failure", {MISMATCH, UNCLEAR, MISMATCH, REFUSED}, ABOUT_ANY},
    {47, "alert: illegal_parameter", {MISMATCH, REFUSED, MISMATCH, REFUSED}, ABOUT_ANY},
    {49, "alert: access_denied", {UNWELL, REFUSED, UNWELL, REFUSED}, ABOUT_NOTHING},
    {51, "alert: decrypt_error", {MISMATCH, REFUSED, MISMATCH, REFUSED}, ABOUT_PROTOCOL},
    {80, "alert: internal_error", {UNWELL, UNWELL, UNWELL, REFUSED}, ABOUT_NOTHING}, /* pion: an unknown identity */
    {UNKNOWN_PSK_IDENTITY, "alert: unknown_psk_identity", {MISMATCH, REFUSED, MISMATCH, REFUSED}, ABOUT_ANY},
    /* Ends that say nothing about the key, whenever they come. */
    {10, "alert: unexpected_message", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_PROTOCOL},
    {22, "alert: record_overflow", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_PROTOCOL},
    {30, "alert: decompression_failure", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_PROTOCOL},
    {41, "alert: no_certificate", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {42, "alert: bad_certificate", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {43, "alert: unsupported_certificate", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {44, "alert: certificate_revoked", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {45, "alert: certificate_expired", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {46, "alert: certificate_unknown", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {48, "alert: unknown_ca", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {50, "alert: decode_error", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_PROTOCOL},
    {60, "alert: export_restriction", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_SUITES},
    {70, "alert: protocol_version", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_VERSION},
    {71, "alert: insufficient_security", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_SUITES},
    {86, "alert: inappropriate_fallback", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_VERSION},
    {90, "alert: user_canceled", {UNWELL, UNWELL, UNWELL, UNWELL}, ABOUT_NOTHING},
    {100, "alert: no_renegotiation", {UNWELL, UNWELL, UNWELL, UNWELL}, ABOUT_NOTHING},
    {109, "alert: missing_extension", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_ANY},
    {110, "alert: unsupported_extension", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_PROTOCOL},
    {111, "alert: certificate_unobtainable", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {112, "alert: unrecognized_name", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_NAME},
    {113, "alert: bad_certificate_status_response", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {114, "alert: bad_certificate_hash_value", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {116, "alert: certificate_required", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_CERTIFICATE},
    {120, "alert: no_application_protocol", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_PROTOCOL},
    {121, "alert: ech_required", {MISMATCH, MISMATCH, MISMATCH, MISMATCH}, ABOUT_PROTOCOL},
    /* The rest: silence after a proof is evidence, and so is whatever is said instead. */
    {-1, "alert: unknown", {MISMATCH, MISMATCH, MISMATCH, REFUSED}, ABOUT_PROTOCOL},
};

/* Errors that GnuTLS finds by itself. */
static const struct gnutls {
    int r;
    const char *name;
    enum handshake_verdict before, after; /* our proof was out */
    enum handshake_about about;
} errors[] = {
    {GNUTLS_E_UNSUPPORTED_VERSION_PACKET, "its version was not offered", MISMATCH, MISMATCH, ABOUT_VERSION},
    {GNUTLS_E_UNKNOWN_CIPHER_SUITE, "its suite was not offered", MISMATCH, MISMATCH, ABOUT_SUITES},
    {GNUTLS_E_UNWANTED_ALGORITHM, "its algorithm was not offered", MISMATCH, MISMATCH, ABOUT_SUITES},
    {GNUTLS_E_NO_CIPHER_SUITES, "no suite", MISMATCH, MISMATCH, ABOUT_SUITES},
    {GNUTLS_E_INSUFFICIENT_SECURITY, "insufficient security", MISMATCH, MISMATCH, ABOUT_SUITES},
    {GNUTLS_E_UNKNOWN_COMPRESSION_ALGORITHM, "it compresses", MISMATCH, MISMATCH, ABOUT_PROTOCOL},
    {GNUTLS_E_ECC_NO_SUPPORTED_CURVES, "no group", MISMATCH, MISMATCH, ABOUT_GROUPS},
    {GNUTLS_E_ECC_UNSUPPORTED_CURVE, "its group was not offered", MISMATCH, MISMATCH, ABOUT_GROUPS},
    {GNUTLS_E_NO_COMMON_KEY_SHARE, "no group", MISMATCH, MISMATCH, ABOUT_GROUPS},
    {GNUTLS_E_SAFE_RENEGOTIATION_FAILED, "no safe renegotiation", MISMATCH, MISMATCH, ABOUT_PROTOCOL},
    {GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER, "an illegal parameter", MISMATCH, REFUSED, ABOUT_PROTOCOL},
    {GNUTLS_E_RECEIVED_ILLEGAL_EXTENSION, "an extension that was not offered", MISMATCH, MISMATCH, ABOUT_PROTOCOL},
    {GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET, "an unexpected message", MISMATCH, REFUSED, ABOUT_PROTOCOL},
    /* GnuTLS makes one of these of a close_notify, too. */
    {GNUTLS_E_UNEXPECTED_PACKET, "it ended the handshake", UNWELL, REFUSED, ABOUT_NOTHING},
    {GNUTLS_E_PREMATURE_TERMINATION, "it ended the handshake", UNWELL, REFUSED, ABOUT_NOTHING},
    /* Its own proof does not fit our key. */
    {GNUTLS_E_ERROR_IN_FINISHED_PACKET, "its proof of the key is wrong", MISMATCH, REFUSED, ABOUT_PROTOCOL},
    {GNUTLS_E_DECRYPTION_FAILED, "what it sends cannot be decrypted", MISMATCH, REFUSED, ABOUT_PROTOCOL},
    {GNUTLS_E_MAC_VERIFY_FAILED, "what it sends cannot be verified", MISMATCH, REFUSED, ABOUT_PROTOCOL},
    {GNUTLS_E_UNEXPECTED_PACKET_LENGTH, "a message whose length GnuTLS does not take", HANDSHAKE_LIMIT, HANDSHAKE_LIMIT,
     ABOUT_NOTHING},
    {GNUTLS_E_HANDSHAKE_TOO_LARGE, "a handshake too large for GnuTLS", HANDSHAKE_LIMIT, HANDSHAKE_LIMIT, ABOUT_NOTHING},
    {GNUTLS_E_TOO_MANY_HANDSHAKE_PACKETS, "too many messages for GnuTLS", HANDSHAKE_LIMIT, HANDSHAKE_LIMIT,
     ABOUT_NOTHING},
    {GNUTLS_E_TOO_MANY_EMPTY_PACKETS, "too many empty records for GnuTLS", HANDSHAKE_LIMIT, HANDSHAKE_LIMIT,
     ABOUT_NOTHING},
    {GNUTLS_E_SHORT_MEMORY_BUFFER, "a parameter too long for GnuTLS", HANDSHAKE_LIMIT, HANDSHAKE_LIMIT, ABOUT_NOTHING},
    {GNUTLS_E_MEMORY_ERROR, "out of memory", HANDSHAKE_OURS, HANDSHAKE_OURS, ABOUT_NOTHING},
    {GNUTLS_E_RANDOM_FAILED, "no random numbers", HANDSHAKE_OURS, HANDSHAKE_OURS, ABOUT_NOTHING},
    {GNUTLS_E_INTERNAL_ERROR, "an error within GnuTLS", HANDSHAKE_OURS, HANDSHAKE_OURS, ABOUT_NOTHING},
    {GNUTLS_E_LIB_IN_ERROR_STATE, "GnuTLS is in its error state", HANDSHAKE_OURS, HANDSHAKE_OURS, ABOUT_NOTHING},
    {GNUTLS_E_INSUFFICIENT_CREDENTIALS, "no usable credential", HANDSHAKE_OURS, HANDSHAKE_OURS, ABOUT_NOTHING},
};

struct handshake_end handshake_alert(int description, enum handshake_stage stage)
{
    const struct alert *a = alerts;

    while (a->description >= 0 && a->description != description)
        a++;
    return (struct handshake_end){.verdict = a->verdict[stage],
                                  .about = a->verdict[stage] == MISMATCH ? a->about : ABOUT_NOTHING,
                                  .what = a->name,
                                  .unknown = a->verdict[stage] == REFUSED && description == UNKNOWN_PSK_IDENTITY};
}

struct handshake_end handshake_own_alert(int description, enum handshake_stage stage)
{
    struct handshake_end end = handshake_alert(description, HANDSHAKE_HELLO);

    if (end.verdict == MISMATCH && end.about == ABOUT_ANY)
        end.about = ABOUT_PROTOCOL;
    if (end.about == ABOUT_VERSION)
        end.what = "its answer is of an older version, or no TLS at all";
    /* Its proof does not fit our key. */
    if (stage == HANDSHAKE_PROVED && (description == 20 || description == 51))
        end = (struct handshake_end){.verdict = REFUSED, .what = "its proof of the key is wrong"};
    else if (description == 80)
        end = (struct handshake_end){.verdict = HANDSHAKE_OURS, .what = "an error within OpenSSL"};
    return end;
}

struct handshake_end handshake_gnutls(int r, enum handshake_stage stage)
{
    for (size_t i = 0; i < ELEMENTSOF(errors); i++)
        if (errors[i].r == r) {
            enum handshake_verdict v = stage == HANDSHAKE_PROVED ? errors[i].after : errors[i].before;

            return (struct handshake_end){
                .verdict = v, .about = v == MISMATCH ? errors[i].about : ABOUT_NOTHING, .what = errors[i].name};
        }
    return (struct handshake_end){.verdict = stage == HANDSHAKE_PROVED ? REFUSED : MISMATCH,
                                  .about = stage == HANDSHAKE_PROVED ? ABOUT_NOTHING : ABOUT_PROTOCOL,
                                  .what = gnutls_strerror(r)};
}

enum uplink_trouble handshake_trouble(const struct handshake_end *end)
{
    switch (end->verdict) {
    case HANDSHAKE_REFUSED:
        return end->unknown ? UPLINK_TROUBLE_IDENTITY : UPLINK_TROUBLE_KEY;
    case HANDSHAKE_UNCLEAR:
    case HANDSHAKE_MISMATCH:
        return UPLINK_TROUBLE_SUITES;
    case HANDSHAKE_UNWELL:
    case HANDSHAKE_LIMIT:
        return UPLINK_TROUBLE_OTHER;
    case HANDSHAKE_OURS:
        return UPLINK_TROUBLE_LOCAL;
    }
    return UPLINK_TROUBLE_OTHER;
}

/* ── Words ── */

static void say_mismatch(struct error *e, const struct handshake_end *end, const char *offer)
{
    switch (end->about) {
    case ABOUT_NOTHING:
    case ABOUT_ANY:
        error_set(
            e, 0,
            "the server has no version, suite or group in common with us (%s); offered: %s. Set \"suites\" of the "
            "uplink to what the server takes, or add one of these there",
            end->what, offer);
        break;
    case ABOUT_VERSION:
        error_set(
            e, 0,
            "the server speaks no version of TLS in common with us (%s); offered: %s. Turn one of these on at the "
            "server",
            end->what, offer);
        break;
    case ABOUT_SUITES:
        error_set(
            e, 0,
            "the server takes none of our suites (%s); offered: %s. Set \"suites\" of the uplink to what the server "
            "takes, or add one of these there",
            end->what, offer);
        break;
    case ABOUT_GROUPS:
        error_set(
            e, 0,
            "the server has no group (curve) in common with us (%s); offered: %s. Add one of the groups there, or, "
            "if TLS 1.2 without forward secrecy will do, set \"suites\" of the uplink to [\"psk\"]",
            end->what, offer);
        break;
    case ABOUT_HASH:
        error_set(e, 0,
                  "the server binds the key to another hash (%s); offered: %s. Have it bind the key to SHA-256, or "
                  "speak TLS 1.2",
                  end->what, offer);
        break;
    case ABOUT_CERTIFICATE:
        error_set(e, 0,
                  "the server wants certificates (%s), and we have a pre-shared key: is this the port for pre-shared "
                  "keys, and are they turned on there? Offered: %s",
                  end->what, offer);
        break;
    case ABOUT_NAME:
        error_set(e, 0, "the server does not serve the name that \"url\" of the uplink has (%s): is it spelt right?",
                  end->what);
        break;
    case ABOUT_PROTOCOL:
        error_set(
            e, 0,
            "the two sides do not understand one another (%s): is TLS with pre-shared keys spoken there? Offered: %s",
            end->what, offer);
        break;
    }
}

void handshake_say(struct error *e, const struct handshake_end *end, const char *offer)
{
    switch (end->verdict) {
    case HANDSHAKE_REFUSED:
        error_set(e, 0, "the server answered but did not accept key or identity (%s): " LIKELY_CAUSES, end->what);
        break;
    case HANDSHAKE_UNCLEAR:
        error_set(e, 0,
                  "the server does not say whether it misses the identity or has nothing in common with us (%s); "
                  "offered: %s",
                  end->what, offer);
        break;
    case HANDSHAKE_MISMATCH:
        say_mismatch(e, end, offer);
        break;
    case HANDSHAKE_UNWELL:
        error_set(e, 0, "the server ended the handshake for a reason of its own (%s): does its log say why?",
                  end->what);
        break;
    case HANDSHAKE_LIMIT:
        error_set(e, 0, "the server sent %s, a limit of that library: have the server send less, or split it",
                  end->what);
        break;
    case HANDSHAKE_OURS:
        error_set(e, 0, "the handshake failed on our side: %s", end->what);
        break;
    }
}

enum uplink_trouble handshake_say_silent(struct error *e, bool proved, bool heard, const char *offer)
{
    if (proved)
        error_set(
            e, 0,
            "the server answered but fell silent after our proof of the key, as servers do that do not accept it: " LIKELY_CAUSES);
    else if (heard)
        error_set(e, 0,
                  "the server began the handshake and fell silent: packets lost, an overloaded server, or one that "
                  "takes none of our suites (offered: %s)",
                  offer);
    else
        error_set(e, 0, "no answer: is the server up, and does a firewall let UDP through?");
    return proved ? UPLINK_TROUBLE_KEY : heard ? UPLINK_TROUBLE_OTHER : UPLINK_TROUBLE_SILENT;
}

void handshake_say_cookie(struct error *e, size_t size)
{
    error_set(
        e, 0,
        "the server asks for a cookie of %zu bytes, and GnuTLS takes at most %d, a limit of that library: have the "
        "server make its DTLS cookies shorter, or turn them off there",
        size, HANDSHAKE_COOKIE_MAX);
}
