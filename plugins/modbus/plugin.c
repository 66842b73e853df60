/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "device.h"
#include "host.h"
#include "look.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct gatehouse_host *modbus_host;

static int load(const struct gatehouse_host *host)
{
    if (host->abi < GATEHOUSE_PLUGIN_ABI || host->size < offsetof(struct gatehouse_host, wake) + sizeof host->wake)
        return -EPROTONOSUPPORT;
    modbus_host = host;
    return 0;
}

static int config_check(const char *section, const struct gatehouse_point *points, size_t n_points,
                        gatehouse_complain complain, void *context)
{
    int r = modbus_config_read(section, points, n_points, complain, context, NULL);

    return r == -EINVAL ? 0 : r;
}

static int device_bus(const char *section, char *bus, size_t size)
{
    struct modbus_url url;
    char text[BUS_MAX];
    int r = modbus_config_url(section, &url);

    if (r < 0)
        return r;
    modbus_url_bus(&url, text, sizeof text);
    if (strlen(text) >= size)
        return -ENAMETOOLONG;
    memcpy(bus, text, strlen(text) + 1);
    return 0;
}

struct first_complaint {
    char *text;
    size_t size;
    bool any;
};

static void keep_first(void *context, const char *pointer, const char *message)
{
    struct first_complaint *c = context;

    if (!c->any)
        (void)snprintf(c->text, c->size, "%s: %s", pointer, message);
    c->any = true;
}

static int device_open(struct gatehouse_device *host_device, const char *id, const char *section,
                       const struct gatehouse_point *points, size_t n_points, void **ret_data, char *error,
                       size_t error_size)
{
    struct first_complaint complaint = {.text = error, .size = error_size};
    struct modbus_config *config = NULL;
    struct modbus_device *d = NULL;
    int r;

    (void)id;
    r = modbus_config_read(section, points, n_points, keep_first, &complaint, &config);
    if (r < 0)
        return r;
    r = device_new(host_device, config, &d, error, error_size);
    if (r < 0) {
        modbus_config_free(config);
        if (r == -ENOMEM)
            (void)snprintf(error, error_size, "out of memory");
        return r;
    }
    *ret_data = d;
    return 0;
}

static void device_close(void *device_data)
{
    device_free(device_data);
}

static int poll_device(void *device_data, uint64_t *ret_next)
{
    return device_poll(device_data, ret_next);
}

static int write_point(void *device_data, const char *point, const struct gatehouse_value *value,
                       struct gatehouse_value *ret_value, char *error, size_t error_size)
{
    return device_write(device_data, point, value, ret_value, error, error_size);
}

static int write_points(void *device_data, struct gatehouse_write *writes, size_t n, char *error, size_t error_size)
{
    return device_write_points(device_data, writes, n, error, error_size);
}

static int read_point(void *device_data, const char *point, struct gatehouse_value *ret_value, char *error,
                      size_t error_size)
{
    return device_read(device_data, point, ret_value, error, error_size);
}

__attribute__((visibility("default"))) const struct gatehouse_plugin *gatehouse_plugin_entry(void);

const struct gatehouse_plugin *gatehouse_plugin_entry(void)
{
    static const struct gatehouse_plugin plugin = {
        .size = sizeof plugin,
        .abi = GATEHOUSE_PLUGIN_ABI,
        .name = "modbus",
        .version = GATEHOUSE_VERSION,
        .description = "Modbus devices over TCP and serial lines",
        .thread_model = GATEHOUSE_THREADS_PER_BUS,
        .load = load,
        .config_check = config_check,
        .device_bus = device_bus,
        .device_open = device_open,
        .device_close = device_close,
        .poll = poll_device,
        .write = write_point,
        .write_points = write_points,
        .read = read_point,
        .scan = look_scan,
        .read_raw = look_read,
    };

    return &plugin;
}
