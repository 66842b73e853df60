/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a device's sensor, for whoever looks. */
#include "device/device.h"
#include "device/internal.h"
#include "device/sensor.h"

#include <stdio.h>

enum sensor_state device_sensor_state(const struct device *d)
{
    return d->sensor.shown;
}

/* Why the driver is not connected. */
static const char *of_driver(const struct device *d, char *buffer, size_t size)
{
    const struct link_driver *driver = link_host_find_driver(d->fleet->link, d->config->driver);
    const char *why = driver ? link_driver_last_error(driver) : "";

    snprintf(buffer, size, "driver %s is not connected%s%s: is gatehouse-driver@%s running?", d->config->driver,
             why[0] ? ", " : "", why, d->config->driver);
    return buffer;
}

const char *device_sensor_reason(const struct device *d, char *buffer, size_t size)
{
    switch (d->sensor.shown) {
    case SENSOR_UNKNOWN:
        return "";
    case SENSOR_OK: /* a remark */
    case SENSOR_DEGRADED:
    case SENSOR_FAILED:
        return d->sensor.reason ?: "";
    case SENSOR_CLOSED:
        return d->config->enabled ? d->sensor.reason ?: "" : "the device is disabled in its file";
    case SENSOR_NO_DRIVER:
        return of_driver(d, buffer, size);
    }
    return "";
}

bool sensor_mistake(const struct device *d, struct mistake *ret)
{
    if (d->sensor.shown != SENSOR_FAILED || d->sensor.pointer == 0 || !d->sensor.said)
        return false;
    *ret = (struct mistake){.file = d->config->file,
                            .line = d->sensor.line,
                            .column = d->sensor.column,
                            .device = d->config->id,
                            .text = d->sensor.line > 0 ? d->sensor.said + d->sensor.pointer + 2 : d->sensor.said};
    return true;
}
