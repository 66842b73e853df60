/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/suites.h"

#include "base/cleanup.h"
#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>

/* GnuTLS offers the product of key exchanges, ciphers and MACs, so a list may offer a little more than its parts (PSK
 * with CBC-SHA256 beside ecdhe-psk-cbc), never anything but PSK. */
static const struct suite {
    const char *name;
    const char *kx;
    const char *ciphers;
    const char *mac;
    const char *openssl;
    uint16_t ids[4]; /* those for OpenSSL */
} suites[] = {
    {"ecdhe-psk", ":+ECDHE-PSK", ":+CHACHA20-POLY1305", ":+AEAD", "ECDHE-PSK-CHACHA20-POLY1305", {0xccac}},
    {"ecdhe-psk-cbc", ":+ECDHE-PSK", ":+AES-128-CBC", ":+SHA256", "ECDHE-PSK-AES128-CBC-SHA256", {0xc037}},
    {"psk",
     ":+PSK",
     ":+AES-128-GCM:+AES-256-GCM:+AES-128-CCM:+AES-256-CCM",
     ":+AEAD",
     "PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-CCM:PSK-AES256-CCM",
     {0x00a8, 0x00a9, 0xc0a4, 0xc0a5}},
    {"psk-ccm8", ":+PSK", ":+AES-128-CCM-8", ":+AEAD", "PSK-AES128-CCM8", {0xc0a8}},
    {"psk-cbc",
     ":+PSK",
     ":+AES-128-CBC:+AES-256-CBC",
     ":+SHA256:+SHA1",
     "PSK-AES128-CBC-SHA256:PSK-AES128-CBC-SHA:PSK-AES256-CBC-SHA",
     {0x00ae, 0x008c, 0x008d}},
};

static const char *const by_default[] = {"ecdhe-psk", "psk", NULL};

static const struct suite *suite_find(const char *name)
{
    for (size_t i = 0; i < ELEMENTSOF(suites); i++)
        if (strcmp(suites[i].name, name) == 0)
            return &suites[i];
    return NULL;
}

bool suite_known(const char *name)
{
    return suite_find(name) != NULL;
}

/* Each part once, in the order of the list. */
static void add_parts(struct strbuf *text, const char *const *names, const char *(*part)(const struct suite *))
{
    for (size_t i = 0; names[i]; i++) {
        const char *p = part(suite_find(names[i]));

        if (!text->text || !strstr(text->text, p))
            strbuf_puts(text, p);
    }
}

static const char *part_kx(const struct suite *s)
{
    return s->kx;
}

static const char *part_ciphers(const struct suite *s)
{
    return s->ciphers;
}

static const char *part_mac(const struct suite *s)
{
    return s->mac;
}

static int check(const char *const *names, struct error *e)
{
    if (!names[0])
        return error_set(e, -EINVAL, "the list of suites is empty (known: " SUITES_KNOWN ")");
    for (size_t i = 0; names[i]; i++) {
        if (!suite_known(names[i]))
            return error_set(e, -EINVAL, "unknown suite \"%s\" (known: " SUITES_KNOWN ")", names[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(names[i], names[k]) == 0)
                return error_set(e, -EINVAL, "suite \"%s\" stands twice in the list", names[i]);
    }
    return 0;
}

int suites_priority(const char *const *names, gnutls_priority_t *ret, struct error *e)
{
    struct strbuf text = {0};
    _cleanup_free_ char *priority = NULL;
    const char *where = "";
    int r;

    if (!names)
        names = by_default;
    r = check(names, e);
    if (r < 0)
        return r;
    /* P-384 last: some servers have nothing else. No suite here signs anything, but without a signature algorithm
     * GnuTLS takes DTLS 1.2 off the list. */
    strbuf_puts(&text, "NONE:+VERS-DTLS1.2:+COMP-NULL:+SIGN-ECDSA-SHA256:+GROUP-X25519:+GROUP-SECP256R1"
                       ":+GROUP-SECP384R1");
    add_parts(&text, names, part_kx);
    add_parts(&text, names, part_ciphers);
    add_parts(&text, names, part_mac);
    r = strbuf_take(&text, &priority);
    if (r < 0)
        return r;
    r = gnutls_priority_init(ret, priority, &where);
    if (r < 0)
        return error_set(e, r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -ENOTSUP,
                         "GnuTLS cannot offer these suites: %s (at \"%s\"; is a system-wide crypto policy in the way?)",
                         gnutls_strerror(r), where);
    return 0;
}

int suites_openssl(const char *const *names, char **ret, struct error *e)
{
    struct strbuf text = {0};
    bool short_tags = false;
    int r;

    if (!names)
        names = by_default;
    r = check(names, e);
    if (r < 0)
        return r;
    for (size_t i = 0; names[i]; i++) {
        strbuf_printf(&text, "%s%s", i > 0 ? ":" : "", suite_find(names[i])->openssl);
        short_tags = short_tags || strcmp(names[i], "psk-ccm8") == 0;
    }
    /* OpenSSL counts tags of 64 bits as no security at all. */
    if (short_tags)
        strbuf_puts(&text, ":@SECLEVEL=0");
    return strbuf_take(&text, ret);
}

size_t suites_ids(const char *const *names, uint16_t ret[static SUITES_IDS_MAX])
{
    size_t n = 0;

    if (!names)
        names = by_default;
    for (size_t i = 0; names[i]; i++) {
        const struct suite *s = suite_find(names[i]);

        for (size_t k = 0; s && k < ELEMENTSOF(s->ids) && s->ids[k] && n < SUITES_IDS_MAX; k++)
            ret[n++] = s->ids[k];
    }
    return n;
}

int suites_offer(const char *const *names, bool datagrams, char **ret)
{
    struct strbuf text = {0};

    if (!names)
        names = by_default;
    strbuf_puts(&text, datagrams ? "DTLS 1.2; suites " : "TLS 1.2 with suites ");
    for (size_t i = 0; names[i]; i++)
        strbuf_printf(&text, "%s%s", i > 0 ? ", " : "", names[i]);
    strbuf_printf(&text, "%s; groups X25519, P-256, P-384",
                  datagrams ? "" : "; TLS 1.3 with AES-128-GCM or ChaCha20, keys bound to SHA-256");
    return strbuf_take(&text, ret);
}

void suite_text(gnutls_session_t session, char ret[static SUITE_TEXT_MAX])
{
    const char *name = gnutls_ciphersuite_get(session);

    snprintf(ret, SUITE_TEXT_MAX, "%s", name ? name : "");
}

void suite_group(gnutls_session_t session, char ret[static GROUP_TEXT_MAX])
{
    const char *name = suite_forward_secrecy(session) ? gnutls_group_get_name(gnutls_group_get(session)) : NULL;

    snprintf(ret, GROUP_TEXT_MAX, "%s", name ? name : "");
}

bool suite_forward_secrecy(gnutls_session_t session)
{
    return gnutls_kx_get(session) == GNUTLS_KX_ECDHE_PSK;
}
