/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a probe's message was not accepted, in words that say what to look at. */
#include "device/connection.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/message.h"
#include "payload/profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void refused(const struct device *d, const char *identity, const char *target, uint8_t code, char *buffer,
                    size_t size)
{
    char text[CODE_TEXT_MAX];

    if (code == PROOF_NOT_HEARD) {
        snprintf(
            buffer, size,
            "the broker lets %s in and acknowledges what it sends to \"%s\", but does not deliver it back: may this "
            "identity send there and read there too? A list of rights by user name refuses each new identity; "
            "\"pattern readwrite\" with %%c (the client id) does not",
            identity, target);
        return;
    }
    message_code_text(d->uplink->profile, code, text);
    snprintf(
        buffer, size, "the server lets %s in, but answers %s to its message on \"%s\": may this identity send there?%s",
        identity, text, target,
        d->uplink->profile->transport == PROFILE_MQTT
            ? " A list of rights by user name refuses each new identity; \"pattern readwrite\" with %c (the client "
              "id) does not"
            : "");
}

const char *proof_words(const struct device *d, int r, enum profile_verdict verdict, uint8_t code, char *buffer,
                        size_t size)
{
    const struct vault_entry *entry = device_entry(d);
    const char *identity = entry ? vault_credential(entry, d->connections.probing.slot)->identity : "the identity";
    _cleanup_(profile_message_done) struct profile_message probe = {0};
    struct device_names names;
    const char *target;
    char text[CODE_TEXT_MAX];

    if (device_names(d, &names) >= 0)
        (void)profile_probe(d->uplink->profile, &names.profile, &probe);
    target = probe.target ?: d->uplink->profile->probe.request.target;
    if (r < 0) {
        snprintf(buffer, size, "the server lets %s in, but its message on \"%s\" is not answered: %s", identity, target,
                 strerrordesc_np(-r));
    } else if (verdict == PROFILE_REFUSED) {
        refused(d, identity, target, code, buffer, size);
    } else {
        message_code_text(d->uplink->profile, code, text);
        snprintf(buffer, size,
                 "the server lets %s in, but answers %s to its message on \"%s\", which says nothing of the "
                 "key: is profile %s the right one, and is the server in order?",
                 identity, text, target, d->uplink->profile->name);
    }
    return buffer;
}
