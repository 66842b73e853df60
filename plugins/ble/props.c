/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hub.h"

#include <errno.h>
#include <string.h>

/* The bytes of a variant; NULL if it holds something else. */
static const uint8_t *read_bytes(sd_bus_message *m, size_t *ret_n)
{
    const void *bytes = NULL;

    if (sd_bus_message_enter_container(m, 'v', "ay") < 0)
        return NULL;
    if (sd_bus_message_read_array(m, 'y', &bytes, ret_n) < 0)
        bytes = NULL;
    (void)sd_bus_message_exit_container(m);
    return bytes;
}

static int read_manufacturer(sd_bus_message *m, struct properties *p)
{
    uint16_t company;
    int r = sd_bus_message_enter_container(m, 'a', "{qv}");

    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "qv")) > 0) {
        struct advert_manufacturer *e = &p->manufacturer[p->advert.n_manufacturer];
        size_t n = 0;
        const uint8_t *bytes;

        r = sd_bus_message_read(m, "q", &company);
        if (r < 0)
            break;
        bytes = read_bytes(m, &n);
        if (bytes && n <= ADVERT_PAYLOAD_MAX && p->advert.n_manufacturer < ELEMENTS_MAX) {
            *e = (struct advert_manufacturer){company, bytes, n};
            p->advert.n_manufacturer++;
        }
        r = sd_bus_message_exit_container(m);
    }
    p->has_data = p->has_data || p->advert.n_manufacturer > 0;
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_service_data(sd_bus_message *m, struct properties *p)
{
    int r = sd_bus_message_enter_container(m, 'a', "{sv}");

    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        struct advert_service *e = &p->service[p->advert.n_service];
        const char *uuid;
        size_t n = 0;
        const uint8_t *bytes;

        r = sd_bus_message_read(m, "s", &uuid);
        if (r < 0)
            break;
        bytes = read_bytes(m, &n);
        if (bytes && n <= ADVERT_PAYLOAD_MAX && p->advert.n_service < ELEMENTS_MAX) {
            *e = (struct advert_service){uuid, bytes, n};
            p->advert.n_service++;
        }
        r = sd_bus_message_exit_container(m);
    }
    p->has_data = p->has_data || p->advert.n_service > 0;
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_uuids(sd_bus_message *m, struct properties *p)
{
    const char *uuid;
    int r = sd_bus_message_enter_container(m, 'a', "s");

    p->has_uuids = true;
    while (r >= 0 && (r = sd_bus_message_read(m, "s", &uuid)) > 0)
        if (p->advert.n_uuids < UUIDS_MAX)
            p->uuids[p->advert.n_uuids++] = uuid;
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Those of monitors that BlueZ supports. */
static int read_monitor_types(sd_bus_message *m, struct properties *p)
{
    const char *type;
    int r = sd_bus_message_enter_container(m, 'a', "s");

    p->has_monitor_types = true;
    while (r >= 0 && (r = sd_bus_message_read(m, "s", &type)) > 0)
        p->or_patterns = p->or_patterns || strcmp(type, "or_patterns") == 0;
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_value(sd_bus_message *m, struct properties *p)
{
    const void *bytes;
    int r = sd_bus_message_read_array(m, 'y', &bytes, &p->n_value);

    p->value = r < 0 ? NULL : bytes ?: (const void *)"";
    return r;
}

static int8_t power(int16_t value)
{
    return value < INT8_MIN || value >= ADVERT_POWER_NONE ? ADVERT_POWER_NONE : (int8_t)value;
}

static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    {"Name", offsetof(struct properties, advert.name)},
    {"Address", offsetof(struct properties, address)},
    {"AddressType", offsetof(struct properties, address_type)},
    {"UUID", offsetof(struct properties, uuid)},
    {"Service", offsetof(struct properties, service_path)},
    {"PowerState", offsetof(struct properties, power_state)},
};

static const struct {
    const char *name;
    size_t offset;
} flags[] = {
    {"Connected", offsetof(struct properties, connected)},
    {"ServicesResolved", offsetof(struct properties, resolved)},
    {"Paired", offsetof(struct properties, paired)},
    {"Powered", offsetof(struct properties, powered)},
    {"Discovering", offsetof(struct properties, discovering)},
};

/* 1: it was one of these. */
static int read_plain(sd_bus_message *m, const char *name, const char *type, struct properties *p)
{
    int16_t number;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(texts[i].name, name) == 0 && (type[0] == 's' || type[0] == 'o'))
            return sd_bus_message_read_basic(m, type[0], (char *)p + texts[i].offset) < 0 ? -EBADMSG : 1;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(flags[i].name, name) == 0 && type[0] == 'b')
            return sd_bus_message_read_basic(m, 'b', (char *)p + flags[i].offset) < 0 ? -EBADMSG : 1;
    if (type[0] != 'n' || (strcmp(name, "RSSI") != 0 && strcmp(name, "TxPower") != 0))
        return 0;
    if (sd_bus_message_read_basic(m, 'n', &number) < 0)
        return -EBADMSG;
    if (name[0] == 'R')
        p->advert.rssi = power(number);
    else
        p->advert.tx_power = power(number);
    return 1;
}

/* One variant, whose type decides whether it is what its name says. */
static int read_property(sd_bus_message *m, const char *name, struct properties *p)
{
    const char *type;
    int r = sd_bus_message_peek_type(m, NULL, &type);

    if (r >= 0)
        r = sd_bus_message_enter_container(m, 'v', type);
    if (r < 0)
        return r;
    if (strcmp(name, "ManufacturerData") == 0 && strcmp(type, "a{qv}") == 0)
        r = read_manufacturer(m, p);
    else if (strcmp(name, "ServiceData") == 0 && strcmp(type, "a{sv}") == 0)
        r = read_service_data(m, p);
    else if (strcmp(name, "UUIDs") == 0 && strcmp(type, "as") == 0)
        r = read_uuids(m, p);
    else if (strcmp(name, "SupportedMonitorTypes") == 0 && strcmp(type, "as") == 0)
        r = read_monitor_types(m, p);
    else if (strcmp(name, "Value") == 0 && strcmp(type, "ay") == 0)
        r = read_value(m, p);
    else {
        r = read_plain(m, name, type, p);
        if (r == 0)
            r = sd_bus_message_skip(m, type);
    }
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

int properties_read(sd_bus_message *m, struct properties *ret)
{
    int r = sd_bus_message_enter_container(m, 'a', "{sv}");
    const char *name;

    *ret = (struct properties){.connected = -1, .resolved = -1, .paired = -1, .powered = -1, .discovering = -1};
    ret->advert.rssi = ret->advert.tx_power = ADVERT_POWER_NONE;
    ret->advert.manufacturer = ret->manufacturer;
    ret->advert.service = ret->service;
    ret->advert.uuids = ret->uuids;
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
            r = read_property(m, name, ret);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

bool path_address(const char *path, char ret[ADDRESS_TEXT], size_t *ret_adapter)
{
    const char *at = strstr(path, "/dev_");

    if (!at || strnlen(at + 5, 17) < 17 || (at[22] != 0 && at[22] != '/'))
        return false;
    for (int i = 0; i < 17; i++)
        ret[i] = i % 3 == 2 ? ':' : at[5 + i];
    ret[17] = 0;
    *ret_adapter = (size_t)(at - path);
    return true;
}
