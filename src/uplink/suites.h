/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The cipher suites that an uplink may be given, by name, and what a session has negotiated. DTLS 1.2 and TLS 1.2, PSK
 * only: with a certificate suite offered a server may pick certificates. Pure, any thread.
 *
 *   ecdhe-psk      ECDHE (X25519, P-256) + PSK, ChaCha20-Poly1305: forward secrecy
 *   ecdhe-psk-cbc  the same with AES-128-CBC-SHA256 and encrypt-then-MAC: forward secrecy with pion and Californium
 *   psk            PSK with AES-GCM or AES-CCM
 *   psk-ccm8       PSK with AES-CCM-8, the suite that RFC 7252 requires; only when asked for (64-bit tags)
 *   psk-cbc        PSK with AES-CBC and HMAC-SHA-256 or HMAC-SHA-1, for servers that document nothing else; only when
 *                  asked for (no forward secrecy, MAC before encryption where a server knows no better) */

#include "base/error.h"

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUITE_TEXT_MAX 48
#define GROUP_TEXT_MAX 24
#define SUITES_KNOWN "ecdhe-psk, ecdhe-psk-cbc, psk, psk-ccm8, psk-cbc"

bool suite_known(const char *name);

/* The GnuTLS priorities for a NULL-terminated list in order of preference; NULL means `ecdhe-psk, psk`. -EINVAL with
 * the known names for an empty list, an unknown or a repeated name. The caller frees with gnutls_priority_deinit(). */
int suites_priority(const char *const *names, gnutls_priority_t *ret, struct error *e);

/* The same list as OpenSSL's SSL_CTX_set_cipher_list() takes it, for TLS 1.2. The caller frees. */
int suites_openssl(const char *const *names, char **ret, struct error *e);

/* Likewise, as the numbers that IANA gave them. Returns how many, at most SUITES_IDS_MAX. */
#define SUITES_IDS_MAX 16
size_t suites_ids(const char *const *names, uint16_t ret[static SUITES_IDS_MAX]);

/* The offer to a server, for texts: versions, suites, groups. `names` that suites_priority() takes. The caller
 * frees.
 */
int suites_offer(const char *const *names, bool datagrams, char **ret);

/* The negotiated suite as IANA names it (TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256). */
void suite_text(gnutls_session_t session, char ret[static SUITE_TEXT_MAX]);
/* The group of the key exchange, "" where there was none. */
void suite_group(gnutls_session_t session, char ret[static GROUP_TEXT_MAX]);
bool suite_forward_secrecy(gnutls_session_t session);
