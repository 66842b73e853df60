/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/uplink-settings.h"

#include <string.h>

static enum uplink_mqtt_version mqtt_version(enum config_mqtt_version version)
{
    switch (version) {
    case CONFIG_MQTT_AUTO:
        break;
    case CONFIG_MQTT_5:
        return UPLINK_MQTT_5;
    case CONFIG_MQTT_311:
        return UPLINK_MQTT_311;
    }
    return UPLINK_MQTT_AUTO;
}

struct uplink_options uplink_settings(const struct config_uplink *settings, const struct arena *arena)
{
    struct uplink_options options = {
        .transport = settings->mqtt ? UPLINK_MQTT : UPLINK_COAP,
        .mqtt_version = mqtt_version(settings->mqtt_version),
        .session_expiry = settings->session_expiry,
        .retained = settings->retained_commands,
        .name = settings->name,
        .host = settings->host,
        .port = settings->port,
        .suites = (const char *const *)settings->suites,
        .admission = {.concurrent = settings->admission.concurrent,
                      .per_sec = settings->admission.rate,
                      .jitter = settings->admission.jitter,
                      .unlimited = settings->admission.unlimited},
        .keepalive = settings->keepalive,
        .arena = arena,
        .n_others = settings->n_others,
        .follow_references = settings->follow_references,
    };

    for (size_t i = 0; i < settings->n_others; i++) {
        memcpy(options.others[i].name, settings->others[i].host, sizeof(options.others[i].name));
        options.others[i].port = settings->others[i].port;
    }
    return options;
}
