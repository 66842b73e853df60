/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bounds of packs. */
#include "base/limits.h"
#include "device/delivery.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/pack-bound.h"
#include "payload/profile.h"
#include "uplink/session.h"

#include <stdio.h>

size_t delivery_bytes_allowed(const struct device *d)
{
    size_t ours = d->uplink->settings->max_payload, most = d->uplink->profile->max_payload;

    return ours > 0 ? MIN_OF(ours, most) : most;
}

const char *delivery_failure_text(enum pack_failure failure)
{
    switch (failure) {
    case PACK_TOO_LARGE:
        return "too large";
    case PACK_BAD:
        return "refused";
    case PACK_HUNG_UP:
        return "the server ends the session each time that it is sent";
    case PACK_RESET:
        return "the server rejects it (RST)";
    case PACK_SILENT:
        return "the server does not answer it";
    }
    return "";
}

const char *delivery_limits(const struct device *d, char *buffer, size_t size)
{
    size_t path = device_session(d) ? uplink_session_payload_max(device_session(d)) : 0,
           packs = d->delivery.bound.bytes;
    bool coap = d->uplink->profile->transport == PROFILE_COAP;
    int n = 0;

    buffer[0] = 0;
    if (path > 0 && path < delivery_bytes_allowed(d))
        n = snprintf(buffer, size,
                     coap ? "requests of %zu bytes, since larger datagrams are lost on the way without a word"
                          : "messages of %zu bytes, since the broker takes no larger packets",
                     path);
    if (packs > 0 && (path == 0 || packs < path))
        snprintf(buffer + n, size - (size_t)n, "%spacks of %zu bytes, since larger ones did not get through (%s)",
                 n > 0 ? "; " : "", packs, delivery_failure_text(d->delivery.bound.cause));
    return buffer;
}
