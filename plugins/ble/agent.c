/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pairing: BlueZ asks whoever called Pair(). Only for sensors whose file says so, and with the passkey that it says. */
#include "hub.h"

#include <string.h>
#include <syslog.h>

#define AGENT_PATH "/org/gatehouse/ble/agent"
#define AGENT_INTERFACE "org.bluez.Agent1"

static const struct sensor *sensor_of_call(sd_bus_message *m, struct hub *h)
{
    const char *path;

    return sd_bus_message_read(m, "o", &path) < 0 ? NULL : hub_sensor_of(h, path);
}

static int reject(sd_bus_error *error)
{
    return sd_bus_error_set(error, "org.bluez.Error.Rejected", "not a sensor that is to be paired so");
}

static bool pairs(const struct sensor *s, enum ble_pairing how)
{
    return s && s->link == LINK_PAIRING && s->config->pairing == how;
}

static int on_passkey(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const struct sensor *s = sensor_of_call(m, userdata);

    return pairs(s, PAIRING_PASSKEY) ? sd_bus_reply_method_return(m, "u", s->config->passkey) : reject(error);
}

/* Just-works on the sensor's side; also a comparison, which somebody would have to make. */
static int on_confirmation(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return pairs(sensor_of_call(m, userdata), PAIRING_JUST_WORKS) ? sd_bus_reply_method_return(m, NULL) : reject(error);
}

static int on_refused(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)m;
    (void)userdata;
    return reject(error);
}

static int on_nothing(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)userdata;
    (void)error;
    return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Release", NULL, NULL, on_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Cancel", NULL, NULL, on_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RequestPinCode", "o", "s", on_refused, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("DisplayPinCode", "os", NULL, on_refused, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RequestPasskey", "o", "u", on_passkey, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("DisplayPasskey", "ouq", NULL, on_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RequestConfirmation", "ou", NULL, on_confirmation, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RequestAuthorization", "o", NULL, on_confirmation, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("AuthorizeService", "os", NULL, on_refused, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int on_registered(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct hub *h = userdata;
    char text[REASON_MAX];

    (void)error;
    h->agent_call = sd_bus_slot_unref(h->agent_call);
    if (sd_bus_message_is_method_error(m, NULL))
        h->host->log(NULL, LOG_WARNING, bluez_error(m, text, sizeof text));
    return 0;
}

/* The capability that the sensors need of the agent together; NULL: none of them is to be paired. */
static const char *needed_capability(const struct hub *h)
{
    const char *capability = NULL;

    for (const struct sensor *s = h->sensors; s; s = s->next) {
        if (s->config->pairing == PAIRING_PASSKEY)
            return "KeyboardDisplay";
        if (s->config->pairing == PAIRING_JUST_WORKS)
            capability = "NoInputNoOutput";
    }
    return capability;
}

static bool is_pairing(const struct hub *h)
{
    for (const struct sensor *s = h->sensors; s; s = s->next)
        if (s->link == LINK_PAIRING)
            return true;
    return false;
}

/* BlueZ refuses a second registration. The two calls arrive in this order. */
static void unregister(struct hub *h)
{
    h->agent_call = sd_bus_slot_unref(h->agent_call);
    (void)sd_bus_call_method_async(h->bus, NULL, "org.bluez", "/org/bluez", "org.bluez.AgentManager1",
                                   "UnregisterAgent", NULL, NULL, "o", AGENT_PATH);
    h->agent_capability = NULL;
}

void agent_register(struct hub *h)
{
    const char *capability = needed_capability(h);
    int r;

    if (!h->bluez || capability == h->agent_capability ||
        (capability && h->agent_capability && strcmp(capability, h->agent_capability) == 0))
        return;
    /* A pairing under way ends with the capability that it began with. */
    if (h->agent_capability && is_pairing(h))
        return;
    if (h->agent_capability)
        unregister(h);
    if (!capability)
        return;
    r = h->agent_slot ? 0 : sd_bus_add_object_vtable(h->bus, &h->agent_slot, AGENT_PATH, AGENT_INTERFACE, vtable, h);
    if (r >= 0)
        r = bluez_call(h, &h->agent_call, "/org/bluez", "org.bluez.AgentManager1", "RegisterAgent", CALL_TIMEOUT,
                       on_registered, h, "os", AGENT_PATH, capability);
    h->agent_capability = r >= 0 ? capability : NULL;
}
