/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/limits.h"
#include "uplink/handshake.h"
#include "uplink/mqtt-internal.h"
#include "uplink/udp.h"

#include <errno.h>
#include <mosquitto.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* TLS 1.3 binds a key to the hash of a suite; SHA-256 is what is meant where nobody says (RFC 8446 section 4.2.11). */
static const unsigned char sha256_suite[] = {0x13, 0x01}; /* TLS_AES_128_GCM_SHA256 */
/* A share of the key exchange is sent for each that begins with an asterisk, so that a server without ML-KEM needs no
 * other hello; OpenSSL knows the asterisk since it knows ML-KEM. */
#define GROUPS_POST_QUANTUM "*X25519MLKEM768:*X25519:P-256:P-384"
#define GROUPS "X25519:P-256:P-384"
#define SHA256_SUITES "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"

static struct mqtt *current(SSL *ssl)
{
    struct mqtt_shared *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    return s->current;
}

static int ask_key(struct mqtt *m, const char **ret_identity, struct secret **ret_key)
{
    m->tls.local_error = m->ops->key(m->userdata, ret_identity, ret_key, m->what);
    return m->tls.local_error;
}

/* TLS 1.2. OpenSSL wipes `ret_key` and what it makes of it. */
static unsigned psk_tls12(SSL *ssl, const char *hint, char *ret_identity, unsigned identity_max, unsigned char *ret_key,
                          unsigned key_max)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    struct mqtt *m = current(ssl);
    const char *identity = "";

    /* For TLS 1.3 it is asked with the hello, too, and may have none. */
    if ((m->tls.keyless && !m->tls.chosen) || ask_key(m, &identity, &key) < 0)
        return 0;
    if (key->size > key_max || strlen(identity) >= identity_max) {
        m->tls.local_error = error_set(m->what, -EINVAL, "OpenSSL takes no key or identity as long as this");
        return 0;
    }
    memcpy(ret_identity, identity, strlen(identity) + 1);
    memcpy(ret_key, key->bytes, key->size);
    return (unsigned)key->size;
}

/* Wipes the place of a key; `in_use`: except the connection's own secret, which replaced the key's beginning. */
static void wipe_session(SSL_SESSION *session, bool in_use)
{
    static const unsigned char zeros[KEY_MAX];
    unsigned char secret[SHA256_DIGEST_LENGTH]; /* of the connection, never of the key */
    size_t n = in_use ? SSL_SESSION_get_master_key(session, secret, sizeof(secret)) : 0;

    (void)SSL_SESSION_set1_master_key(session, zeros, sizeof(zeros));
    if (in_use)
        (void)SSL_SESSION_set1_master_key(session, secret, n);
    OPENSSL_cleanse(secret, sizeof(secret));
}

/* Wipes the key that OpenSSL would keep as long as the connection. Under TLS 1.3 a secret of the connection has come
 * where the key began, and is in use; the rest of a longer key still stands behind it. */
static void forget(struct mqtt *m, SSL_SESSION *in_use)
{
    if (!m->tls.offered)
        return;
    if (m->tls.offered != in_use)
        wipe_session(m->tls.offered, false);
    if (in_use)
        wipe_session(in_use, true);
    SSL_SESSION_free(m->tls.offered);
    m->tls.offered = NULL;
}

/* TLS 1.3: the key goes as the secret of a session to be resumed. The identity is copied when this has returned; the
 * entry that it stands in outlives the call. */
static int psk_tls13(SSL *ssl, const EVP_MD *hash, const unsigned char **ret_identity, size_t *ret_size,
                     SSL_SESSION **ret_session)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    struct mqtt *m = current(ssl);
    SSL_SESSION *session;
    const char *identity = "";

    *ret_session = NULL;
    if (m->tls.keyless || (hash && EVP_MD_get_type(hash) != NID_sha256))
        return 1;
    if (ask_key(m, &identity, &key) < 0)
        return 0;
    session = SSL_SESSION_new();
    if (!session || SSL_SESSION_set1_master_key(session, key->bytes, key->size) != 1 ||
        SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, sha256_suite)) != 1 ||
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1) {
        SSL_SESSION_free(session);
        m->tls.local_error = error_set(m->what, -ENOMEM, "OpenSSL cannot take the key");
        return 0;
    }
    forget(m, NULL); /* after a HelloRetryRequest */
    SSL_SESSION_up_ref(session);
    m->tls.offered = session;
    *ret_session = session;
    *ret_identity = (const unsigned char *)identity;
    *ret_size = strlen(identity);
    return 1;
}

void mqtt_tls_forget(struct mqtt *m)
{
    forget(m, NULL);
}

/* Under TLS 1.3 a server may leave our key aside and show a certificate. There is no authority whom we would believe.
 */
static int on_certificate(X509_STORE_CTX *store, void *userdata)
{
    struct mqtt_shared *s = userdata;

    if (s->current)
        s->current->tls.certificate = true;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

bool mqtt_tls_proved(const SSL *ssl)
{
    if (SSL_get0_peer_certificate(ssl))
        return false;
    /* Nothing is kept from one connection to the next: what was resumed is the key that was offered. */
    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return SSL_session_reused(ssl);
    return SSL_CIPHER_get_auth_nid(SSL_get_current_cipher(ssl)) == NID_auth_psk;
}

static void on_tls_event(const SSL *ssl, int where, int value)
{
    struct mqtt *m = current((SSL *)ssl);

    if (!m)
        return; /* a close_notify of ours */
    /* The first write may be what finds that there is no connection; it takes the reason off the socket. */
    if ((where & SSL_CB_EXIT) && value < 0 && m->phase == MQTT_TCP && udp_is_network_error(errno))
        m->tls.no_connection = errno;
    if ((where & SSL_CB_EXIT) && BIO_number_written(SSL_get_wbio((SSL *)ssl)) > 0)
        m->tls.hello_sent = true;
    /* libmosquitto would say the address, which is the name that it was given. */
    if (where & SSL_CB_HANDSHAKE_START) {
        (void)SSL_set_tlsext_host_name((SSL *)ssl, m->server_name);
        if (m->tls.plain_groups)
            (void)SSL_set1_groups_list((SSL *)ssl, GROUPS);
        mqtt_read_watch(m, (SSL *)ssl);
    }
    /* Now, not when SSL_read() has returned: a ticket read meanwhile would be a copy of the session. */
    if (where & SSL_CB_HANDSHAKE_DONE) {
        forget(m, SSL_version(ssl) == TLS1_3_VERSION ? SSL_get_session(ssl) : NULL);
        mqtt_read_close(m);
    }
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL)
        m->tls.alert = value & 0xff;
    if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT && value >> 8 == SSL3_AL_FATAL)
        m->tls.own_alert = value & 0xff;
    if (where & SSL_CB_LOOP) {
        m->tls.chosen = m->tls.chosen || SSL_get_state(ssl) == TLS_ST_CR_SRVR_HELLO;
        m->tls.proved = m->tls.proved || SSL_get_state(ssl) == TLS_ST_CW_KEY_EXCH;
    }
}

/* Each hello of ours proves the key, for a server that speaks TLS 1.3; to one of TLS 1.2 it is proved later. */
static enum handshake_stage stage_of(const struct mqtt *m)
{
    SSL *ssl = mqtt_ssl(m);

    if (!m->tls.chosen)
        return HANDSHAKE_BINDER;
    return m->tls.proved || (ssl && SSL_version(ssl) == TLS1_3_VERSION) ? HANDSHAKE_PROVED : HANDSHAKE_CHOSEN;
}

enum mqtt_failure mqtt_tls_ended(const struct mqtt *m, enum uplink_trouble *ret_trouble, struct error *e)
{
    struct handshake_end end;

    if (m->tls.certificate) {
        error_set(e, 0,
                  "the broker shows a certificate instead of proving that it has our key, as brokers do that do not "
                  "know the identity, and as anybody can: is the identity registered there?");
        *ret_trouble = UPLINK_TROUBLE_IDENTITY;
        return MQTT_ANSWERED;
    }
    /* The alert that OpenSSL would send to a connection that has ended. */
    if (m->tls.alert < 0 && (m->tls.own_alert < 0 || m->tls.own_alert == SSL_AD_DECODE_ERROR)) {
        error_set(e, 0, "the connection ended in the TLS handshake: is a broker with TLS-PSK listening there?");
        *ret_trouble = UPLINK_TROUBLE_OTHER;
        return MQTT_FAILED;
    }
    end = m->tls.alert >= 0 ? handshake_alert(m->tls.alert, stage_of(m))
                            : handshake_own_alert(m->tls.own_alert, stage_of(m));
    handshake_say(e, &end, m->shared->offer);
    *ret_trouble = handshake_trouble(&end);
    return end.verdict == HANDSHAKE_REFUSED   ? MQTT_ANSWERED
           : end.verdict == HANDSHAKE_UNCLEAR ? MQTT_UNCLEAR
           : end.verdict == HANDSHAKE_OURS    ? MQTT_LOCAL
                                              : MQTT_FAILED;
}

SSL *mqtt_ssl(const struct mqtt *m)
{
    return mosquitto_ssl_get(m->mosquitto);
}

void mqtt_suite_text(const struct mqtt *m, char ret[static SUITE_TEXT_MAX])
{
    SSL *ssl = mqtt_ssl(m);
    const SSL_CIPHER *cipher = ssl ? SSL_get_current_cipher(ssl) : NULL;

    snprintf(ret, SUITE_TEXT_MAX, "%s", cipher ? SSL_CIPHER_standard_name(cipher) : "");
}

void mqtt_group_text(const struct mqtt *m, char ret[static GROUP_TEXT_MAX])
{
    SSL *ssl = mqtt_forward_secrecy(m) ? mqtt_ssl(m) : NULL;
    const char *name = ssl ? SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl)) : NULL;
    EVP_PKEY *key = NULL;

    snprintf(ret, GROUP_TEXT_MAX, "%s", name ? name : "");
    /* Under TLS 1.2 OpenSSL 3.0 knows it only by the server's key. */
    if (ssl && !name && SSL_get_peer_tmp_key(ssl, &key) == 1) {
        if (EVP_PKEY_get_group_name(key, ret, GROUP_TEXT_MAX, NULL) != 1)
            snprintf(ret, GROUP_TEXT_MAX, "%s", EVP_PKEY_get0_type_name(key) ?: "");
        EVP_PKEY_free(key);
    }
}

bool mqtt_hello_lost(const struct mqtt *m)
{
    return m->shared->post_quantum && !m->tls.plain_groups && m->tls.hello_sent && m->time.bytes_in == 0;
}

bool mqtt_forward_secrecy(const struct mqtt *m)
{
    SSL *ssl = mqtt_ssl(m);
    const SSL_CIPHER *cipher = ssl ? SSL_get_current_cipher(ssl) : NULL;

    /* Under TLS 1.3 a key alone is never offered (psk_ke). */
    return cipher && (SSL_version(ssl) == TLS1_3_VERSION || SSL_CIPHER_get_kx_nid(cipher) == NID_kx_ecdhe_psk);
}

int mqtt_tls_new(struct mqtt_shared *s, const char *const *suites, struct error *e)
{
    _cleanup_free_ char *list = NULL;
    int r = suites_openssl(suites, &list, e);

    if (r >= 0)
        r = suites_offer(suites, false, &s->offer);
    if (r < 0)
        return r;
    s->n_suites = suites_ids(suites, s->suites);
    s->tls = SSL_CTX_new(TLS_client_method());
    if (!s->tls)
        return -ENOMEM;
    SSL_CTX_set_app_data(s->tls, s);
    SSL_CTX_set_options(s->tls, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(s->tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(s->tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(s->tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(s->tls, on_certificate, s);
    SSL_CTX_set_psk_client_callback(s->tls, psk_tls12);
    SSL_CTX_set_psk_use_session_callback(s->tls, psk_tls13);
    SSL_CTX_set_info_callback(s->tls, on_tls_event);
    s->post_quantum = SSL_CTX_set1_groups_list(s->tls, GROUPS_POST_QUANTUM) == 1;
    ERR_clear_error();
    if (SSL_CTX_set_min_proto_version(s->tls, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(s->tls, list) != 1 ||
        SSL_CTX_set_ciphersuites(s->tls, SHA256_SUITES) != 1 ||
        (!s->post_quantum && SSL_CTX_set1_groups_list(s->tls, GROUPS) != 1)) {
        ERR_clear_error();
        return error_set(e, -ENOTSUP,
                         "OpenSSL cannot offer these suites (%s): is a system-wide crypto policy in the way?", list);
    }
    return 0;
}
