/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the DTLS sessions of an uplink: GnuTLS's credentials, whose callback hands out the key of each. */
#include "uplink/dtls-internal.h"

#include "uplink/suites.h"

#include <stdlib.h>
#include <string.h>

static int psk_callback(gnutls_session_t session, char **ret_identity, gnutls_datum_t *ret_key)
{
    struct dtls *d = gnutls_session_get_ptr(session);
    _cleanup_(secret_freep) struct secret *key = NULL;
    const char *identity = NULL;
    char *name;

    d->local_error = d->ops->key(d->userdata, &identity, &key, d->what);
    if (d->local_error < 0)
        return -1;
    /* GnuTLS frees both, and wipes the key first. */
    name = gnutls_strdup(identity);
    ret_key->data = gnutls_malloc(key->size);
    if (!name || !ret_key->data) {
        gnutls_free(name);
        gnutls_free(ret_key->data);
        d->local_error = error_set(d->what, -ENOMEM, "out of memory");
        return -1;
    }
    memcpy(ret_key->data, key->bytes, key->size);
    ret_key->size = (unsigned)key->size;
    *ret_identity = name;
    return 0;
}

int dtls_shared_new(struct sockets *sockets, const char *const *suites, struct dtls_shared **ret, struct error *e)
{
    _cleanup_(dtls_shared_freep) struct dtls_shared *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    s->sockets = sockets;
    r = suites_priority(suites, &s->priority, e);
    if (r >= 0)
        r = suites_offer(suites, true, &s->offer);
    if (r < 0)
        return r;
    if (gnutls_psk_allocate_client_credentials(&s->credentials) < 0)
        return -ENOMEM;
    gnutls_psk_set_client_credentials_function(s->credentials, psk_callback);
    *ret = TAKE_PTR(s);
    return 0;
}

struct dtls_shared *dtls_shared_free(struct dtls_shared *s)
{
    if (!s)
        return NULL;
    if (s->credentials)
        gnutls_psk_free_client_credentials(s->credentials);
    if (s->priority)
        gnutls_priority_deinit(s->priority);
    free(s->offer);
    free(s);
    return NULL;
}
