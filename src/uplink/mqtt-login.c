/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A user name and a password in CONNECT. libmosquitto copies both to the heap, and into a packet that waits until the
 * TLS handshake is done: once the broker has answered, or the connection has ended, these copies are freed, and the
 * allocator's memory that held them is wiped. */
#include "base/limits.h"
#include "uplink/mqtt-internal.h"

#include <gnutls/gnutls.h>
#include <mosquitto.h>
#include <stdlib.h>
#include <string.h>

#define SCRUBBED_TOGETHER 32
#define PACKET_SPREAD 160 /* of what is not known of CONNECT's size: properties, and how lengths are written */

/* An allocator hands out again what was freed of that size; glibc's own cache of a size has seven pieces, behind which
 * others wait: so many are taken that what held the copy is among them. */
static void scrub(size_t n)
{
    void *taken[SCRUBBED_TOGETHER];

    for (int i = 0; i < SCRUBBED_TOGETHER; i++) {
        taken[i] = malloc(n);
        if (taken[i])
            gnutls_memset(taken[i], 0, n);
    }
    for (int i = 0; i < SCRUBBED_TOGETHER; i++)
        free(taken[i]);
}

int mqtt_login_set(struct mqtt *m, const struct mqtt_options *options, struct error *e)
{
    int r;

    if (!options->user)
        return 0;
    m->login.user = strlen(options->user) + 1;
    m->login.password = options->password ? strlen(options->password) + 1 : 0;
    m->login.connect = m->login.user + m->login.password + strlen(options->client_id) + options->will_size +
                       (options->will_topic ? strlen(options->will_topic) : 0);
    r = mosquitto_username_pw_set(m->mosquitto, options->user, options->password);
    return r == MOSQ_ERR_SUCCESS ? 0
                                 : error_set(e, r == MOSQ_ERR_NOMEM ? -ENOMEM : -EINVAL,
                                             "its login is such as MQTT does not take: %s", mosquitto_strerror(r));
}

void mqtt_login_forget(struct mqtt *m)
{
    if (m->login.user == 0 || m->login.forgotten)
        return;
    m->login.forgotten = true;
    (void)mosquitto_username_pw_set(m->mosquitto, NULL, NULL);
    mqtt_login_scrub(&m->login);
}

void mqtt_login_scrub(const struct mqtt_login_copies *copies)
{
    if (copies->user == 0)
        return;
    scrub(copies->user);
    if (copies->password > 0)
        scrub(copies->password);
    for (size_t more = 0; more < PACKET_SPREAD; more += 16)
        scrub(copies->connect + more);
}

const char *mqtt_login_hint(const struct mqtt *m)
{
    return m->login.user > 0 ? "; its user name and password went along: are they right? (key set DEVICE --kind=login)"
                             : "; does it want a user name and a password, too? (key set DEVICE --kind=login)";
}
