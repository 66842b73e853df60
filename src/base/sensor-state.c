/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/sensor-state.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

const char *sensor_state_name(enum sensor_state state)
{
    switch (state) {
    case SENSOR_OK:
        return "ok";
    case SENSOR_DEGRADED:
        return "degraded";
    case SENSOR_FAILED:
        return "failed";
    case SENSOR_CLOSED:
        return "closed";
    case SENSOR_UNKNOWN:
        return "unknown";
    case SENSOR_NO_DRIVER:
        return "no-driver";
    }
    return "unknown";
}

int sensor_state_reported(const char *text)
{
    for (int state = SENSOR_OK; state <= SENSOR_CLOSED; state++)
        if (strcmp(text, sensor_state_name((enum sensor_state)state)) == 0)
            return state;
    return -EINVAL;
}
