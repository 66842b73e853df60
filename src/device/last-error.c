/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Of all that may be wrong with a device, the one thing that its user should look at first, and in which words. */
#include "device/last-error.h"

#include "device/connection.h"
#include "device/damage.h"
#include "device/delivery.h"
#include "device/device.h"
#include "device/downlink.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/message.h"
#include "payload/profile.h"
#include "rotation/carrier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_both(const struct vault_entry *entry)
{
    const struct vault_credential *backup = entry ? vault_credential(entry, VAULT_BACKUP) : NULL;

    return backup && backup->present && !backup->quarantined;
}

/* The key before is held, but known to others: it was not even tried. */
static bool succeeds_compromised(const struct device *d)
{
    const struct rotation *m = d->keys.rotation ? rotation_carrier_machine(d->keys.rotation) : NULL;

    return m && m->d.compromised && m->refused_probes == 0 &&
           (m->d.state == ROTATION_SWAPPED || m->d.state == ROTATION_RETIRING);
}

/* The end of the session's last attempt: it names the server and, if it was refused, the identity. */
static const char *of_session(const struct device *d, const struct vault_entry *entry, char *buffer, size_t size)
{
    if (d->keys.report != ROTATION_REPORT_REFUSED || !has_both(entry))
        return device_session_reason(d);
    if (succeeds_compromised(d)) {
        snprintf(buffer, size,
                 "%s. The key before it is known to others, and is not gone back to by itself: `key promote %s` does",
                 device_session_reason(d), d->config->id);
        return buffer;
    }
    snprintf(buffer, size, "both keys are refused; the main one: %s", device_session_reason(d));
    return buffer;
}

/* MQTT before version 5: the broker says nothing of what it denies. */
static const char *of_silence(const struct device *d, char *buffer, size_t size)
{
    const struct profile *p = d->uplink->profile;
    _cleanup_(profile_message_done) struct profile_message probe = {0};
    struct device_names names;

    if (device_names(d, &names) >= 0)
        (void)profile_probe(p, &names.profile, &probe);
    snprintf(
        buffer, size,
        "the broker acknowledges what is sent to \"%s\" to show that the key is good, but it does not come back: may "
        "this identity send there and read there too? (read_back in profile %s)",
        probe.target ?: p->probe.request.target, p->name);
    return buffer;
}

/* The session stands, on the key before. */
static const char *of_fallback(const struct vault_entry *entry, char *buffer, size_t size)
{
    const char *backup = entry ? vault_credential(entry, VAULT_BACKUP)->identity : "";

    snprintf(
        buffer, size,
        "fell back to the key before, as %s was refused: it is tried on and on, and nothing is rotated until it is "
        "accepted or somebody acts (key promote, key forget, rotate). Does somebody who has the old key stand "
        "between here and the cloud?",
        backup);
    return buffer;
}

/* The session stands, and the server does not take what it is sent. */
static const char *of_answer(const struct device *d, char *buffer, size_t size)
{
    const struct profile *p = d->uplink->profile;
    bool refused = profile_verdict(p, d->connections.answer) == PROFILE_REFUSED;
    _cleanup_free_ char *target = NULL;
    struct device_names names;
    char code[CODE_TEXT_MAX];

    if (d->connections.answer == PROOF_NOT_HEARD)
        return of_silence(d, buffer, size);
    if (device_names(d, &names) >= 0)
        (void)profile_telemetry_target(p, &names.profile, &target);
    message_code_text(p, d->connections.answer, code);
    snprintf(
        buffer, size,
        refused
            ? "the key is right, but the server answers %s%s%s to messages on \"%s\": may this identity send there, "
              "or was it revoked?"
            : "the server answers %s%s%s to messages on \"%s\", samples wait: is profile %s the right one for it, "
              "and is it in order?",
        code, d->connections.answer_words ? " " : "", d->connections.answer_words ?: "", target ?: p->telemetry.target,
        p->name);
    return buffer;
}

const char *device_last_error(const struct device *d, const struct vault_entry *entry)
{
    static char buffer[2 * ERROR_TEXT_MAX]; /* read within this loop turn */

    if (entry && (vault_quarantine(entry) || device_damaged(d)))
        return damage_words(d, entry, buffer, sizeof(buffer));
    if (registration_pending(d))
        return registration_reason(d);
    if (d->keys.report == ROTATION_REPORT_CONFLICT && d->keys.report_reason)
        return d->keys.report_reason;
    if (!device_online(d) && device_session_reason(d) && !d->delivery.standstill.told)
        return of_session(d, entry, buffer, sizeof(buffer));
    if (device_online(d) && d->connections.answer)
        return of_answer(d, buffer, sizeof(buffer));
    if (d->delivery.standstill.told)
        return standstill_words(d, buffer, sizeof(buffer));
    if (d->keys.report != ROTATION_REPORT_FINE && d->keys.report_reason)
        return d->keys.report_reason;
    if (rotate_fallen(d))
        return of_fallback(entry, buffer, sizeof(buffer));
    if (d->keys.vain.why && !d->keys.problem) { /* while the registrar has not taken it, no server can accept it */
        snprintf(buffer, sizeof(buffer), "the new key is not accepted yet: %s", d->keys.vain.why);
        return buffer;
    }
    if (device_online(d) && downlink_refused(d, buffer, sizeof(buffer)))
        return buffer;
    if (!d->tombstone && sensor_state_bad(d->sensor.shown)) {
        const char *reason = device_sensor_reason(d, buffer, sizeof(buffer));

        if (reason[0])
            return reason;
    }
    return d->keys.problem ?: "";
}
