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

#define SCRUBBED_TOGETHER 4
#define PACKET_SPREAD 160 /* of what is not known of CONNECT's size: properties, and how lengths are written */

/* An allocator hands out again first what was freed last, so memory of that size is what held the copy. */
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
    scrub(m->login.user);
    if (m->login.password > 0)
        scrub(m->login.password);
    for (size_t more = 0; more < PACKET_SPREAD; more += 16)
        scrub(m->login.connect + more);
}

const char *mqtt_login_hint(const struct mqtt *m)
{
    return m->login.user > 0 ? "; its user name and password went along: are they right? (key set DEVICE --kind=login)"
                             : "; does it want a user name and a password, too? (key set DEVICE --kind=login)";
}
