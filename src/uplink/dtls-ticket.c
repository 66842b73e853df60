/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/dtls.h"

#include <errno.h>

bool dtls_resumed(const struct dtls *d)
{
    return gnutls_session_is_resumed(dtls_session(d));
}

int dtls_resumption(struct dtls *d, gnutls_datum_t *ret)
{
    gnutls_datum_t data = {0};

    if (gnutls_session_get_data2(dtls_session(d), &data) < 0 || data.size == 0)
        return -ENODATA;
    *ret = data;
    return 0;
}

void dtls_resumption_free(gnutls_datum_t *data)
{
    if (data->data)
        gnutls_memset(data->data, 0, data->size);
    gnutls_free(data->data);
    *data = (gnutls_datum_t){0};
}
