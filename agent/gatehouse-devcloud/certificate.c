/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "certificate.h"

#include "base/cleanup.h"
#include "base/durable.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define PEM_MAX (256 * 1024)
#define VALID_BEFORE_SECONDS 86400 /* clocks differ, and some begin in 1970 */
#define VALID_SECONDS (825 * 86400)

void certificate_done(struct certificate *c)
{
    if (c->key)
        gnutls_memset(c->key, 0, strlen(c->key));
    free(c->chain);
    free(c->key);
    *c = (struct certificate){};
}

int certificate_read(const char *chain_path, const char *key_path, struct certificate *ret, struct error *e)
{
    struct certificate c = {};
    size_t n;
    int r = file_read(AT_FDCWD, chain_path, PEM_MAX, &c.chain, &n, e);

    if (r >= 0)
        r = file_read(AT_FDCWD, key_path, PEM_MAX, &c.key, &n, e);
    if (r < 0)
        certificate_done(&c);
    else
        *ret = c;
    return r;
}

struct pair {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
};

static void pair_done(struct pair *p)
{
    if (p->key)
        gnutls_x509_privkey_deinit(p->key);
    if (p->certificate)
        gnutls_x509_crt_deinit(p->certificate);
}

typedef void (*set_time_call)(void);

/* GnuTLS's time_t may be narrower than ours (Debian 12, armhf): its certificates cannot end after 2038 there. */
static int set_time(gnutls_x509_crt_t certificate, set_time_call call, int64_t when)
{
    int (*set)(gnutls_x509_crt_t, GATEHOUSE_LIBRARY_TIME) = (int (*)(gnutls_x509_crt_t, GATEHOUSE_LIBRARY_TIME))call;
    const int64_t last = sizeof(GATEHOUSE_LIBRARY_TIME) == 4 ? INT32_MAX : INT64_MAX;

    return set(certificate, (GATEHOUSE_LIBRARY_TIME)(when < last ? when : last));
}

/* Begins either certificate. Returns GnuTLS's status. */
static int pair_begin(struct pair *p, const char *name, bool authority)
{
    unsigned char serial[16], id[64];
    size_t n = sizeof(id);
    time_t now = time(NULL);
    int r = gnutls_x509_privkey_init(&p->key);

    if (r >= 0)
        r = gnutls_x509_privkey_generate(p->key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (r >= 0)
        r = gnutls_x509_crt_init(&p->certificate);
    if (r >= 0)
        r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
    if (r < 0)
        return r;
    serial[0] = (serial[0] & 0x3f) | 0x40; /* positive, without a leading zero */
    r = gnutls_x509_crt_set_version(p->certificate, 3);
    if (r >= 0)
        r = gnutls_x509_crt_set_serial(p->certificate, serial, sizeof(serial));
    if (r >= 0)
        r = gnutls_x509_crt_set_dn_by_oid(p->certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
    if (r >= 0)
        r = set_time(p->certificate, (set_time_call)gnutls_x509_crt_set_activation_time,
                     now > VALID_BEFORE_SECONDS ? now - VALID_BEFORE_SECONDS : 0);
    if (r >= 0)
        r = set_time(p->certificate, (set_time_call)gnutls_x509_crt_set_expiration_time, now + VALID_SECONDS);
    if (r >= 0)
        r = gnutls_x509_crt_set_key(p->certificate, p->key);
    if (r >= 0)
        r = gnutls_x509_crt_set_basic_constraints(p->certificate, authority, authority ? 0 : -1);
    if (r >= 0)
        r = gnutls_x509_crt_get_key_id(p->certificate, GNUTLS_KEYID_USE_SHA1, id, &n);
    if (r >= 0)
        r = gnutls_x509_crt_set_subject_key_id(p->certificate, id, n);
    return r;
}

static int make_authority(struct pair *ca)
{
    int r = pair_begin(ca, "gatehouse-devcloud authority", true);

    if (r >= 0)
        r = gnutls_x509_crt_set_key_usage(ca->certificate, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    return r < 0 ? r : gnutls_x509_crt_sign2(ca->certificate, ca->certificate, ca->key, GNUTLS_DIG_SHA256, 0);
}

static int make_server(struct pair *server, const struct pair *ca)
{
    unsigned char v4[4], v6[16], id[64];
    size_t n = sizeof(id);
    int r = pair_begin(server, "localhost", false);

    if (inet_pton(AF_INET, "127.0.0.1", v4) != 1 || inet_pton(AF_INET6, "::1", v6) != 1)
        return GNUTLS_E_INTERNAL_ERROR;
    if (r >= 0)
        r = gnutls_x509_crt_set_subject_alt_name(server->certificate, GNUTLS_SAN_DNSNAME, "localhost",
                                                 (unsigned)strlen("localhost"), GNUTLS_FSAN_SET);
    if (r >= 0)
        r = gnutls_x509_crt_set_subject_alt_name(server->certificate, GNUTLS_SAN_IPADDRESS, v4, sizeof(v4),
                                                 GNUTLS_FSAN_APPEND);
    if (r >= 0)
        r = gnutls_x509_crt_set_subject_alt_name(server->certificate, GNUTLS_SAN_IPADDRESS, v6, sizeof(v6),
                                                 GNUTLS_FSAN_APPEND);
    if (r >= 0)
        r = gnutls_x509_crt_set_key_usage(server->certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (r >= 0)
        r = gnutls_x509_crt_set_key_purpose_oid(server->certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (r >= 0)
        r = gnutls_x509_crt_get_key_id(ca->certificate, GNUTLS_KEYID_USE_SHA1, id, &n);
    if (r >= 0)
        r = gnutls_x509_crt_set_authority_key_id(server->certificate, id, n);
    return r < 0 ? r : gnutls_x509_crt_sign2(server->certificate, ca->certificate, ca->key, GNUTLS_DIG_SHA256, 0);
}

static char *take_pem(gnutls_datum_t *pem)
{
    char *text = strndup((const char *)pem->data, pem->size);

    gnutls_memset(pem->data, 0, pem->size);
    gnutls_free(pem->data);
    return text;
}

static int export(const struct pair *ca, const struct pair *server, const char *ca_path, struct certificate *ret,
                  struct error *e)
{
    gnutls_datum_t authority, chain, key;
    _cleanup_free_ char *text = NULL;

    if (gnutls_x509_crt_export2(ca->certificate, GNUTLS_X509_FMT_PEM, &authority) < 0)
        return -ENOMEM;
    text = take_pem(&authority);
    if (gnutls_x509_crt_export2(server->certificate, GNUTLS_X509_FMT_PEM, &chain) < 0)
        return -ENOMEM;
    ret->chain = take_pem(&chain);
    if (gnutls_x509_privkey_export2(server->key, GNUTLS_X509_FMT_PEM, &key) < 0)
        return -ENOMEM;
    ret->key = take_pem(&key);
    return text && ret->chain && ret->key ? durable_write(AT_FDCWD, ca_path, text, strlen(text), 0644, e) : -ENOMEM;
}

int certificate_make(const char *ca_path, struct certificate *ret, struct error *e)
{
    _cleanup_(pair_done) struct pair ca = {}, server = {};
    struct certificate c = {};
    int r = make_authority(&ca);

    if (r >= 0)
        r = make_server(&server, &ca);
    if (r < 0)
        return error_set(e, -EIO, "cannot make a certificate: %s", gnutls_strerror(r));
    r = export(&ca, &server, ca_path, &c, e);
    if (r < 0)
        certificate_done(&c);
    else
        *ret = c;
    return r;
}
