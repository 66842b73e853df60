/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A datagram from anybody: what is kept of it is no more than it was, would be kept again, and in an open session holds
 * nothing in clear text. */
#include "uplink/dtls.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What is left holds no alert in clear text, and is sifted as it was. */
static void take_alerts(uint8_t *in, size_t n)
{
    uint64_t dropped = 0;
    int alert = -1, again = -1;
    size_t kept = dtls_sift_alerts(in, n, &alert);

    if (kept > n || alert > UINT8_MAX || (kept == n && alert >= 0))
        abort();
    if (kept > 0 && (dtls_sift(in, kept, false, &dropped) != kept || dropped != 0))
        abort();
    if (dtls_sift_alerts(in, kept, &again) != kept || again >= 0)
        abort();
}

static void sift(const uint8_t *data, size_t n, bool encrypted_only)
{
    _cleanup_free_ uint8_t *in = malloc(n + 1);
    uint64_t dropped = 0, dropped_again = 0;
    struct dtls_seen seen;
    size_t kept;

    memcpy(in, data, n);
    kept = dtls_sift(in, n, encrypted_only, &dropped);
    if (kept > n || (kept < n && dropped == 0))
        abort();
    if (kept > 0 && (dtls_sift(in, kept, encrypted_only, &dropped_again) != kept || dropped_again != 0))
        abort();
    for (size_t at = 0; encrypted_only && at < kept; at += 13 + (size_t)(in[at + 11] << 8 | in[at + 12]))
        if (in[at + 3] == 0 && in[at + 4] == 0)
            abort();
    dtls_look(in, kept, &seen);
    if (seen.cookie > 0 && (seen.flight || kept < 28))
        abort();
    take_alerts(in, kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    sift(data, n, false);
    sift(data, n, true);
    return 0;
}
