/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a device's sensor does, beside the state of its session: the two are independent of each other. Pure. */

#include <stdbool.h>

enum sensor_state {
    SENSOR_OK,
    SENSOR_DEGRADED,  /* answers sometimes, or in part */
    SENSOR_FAILED,    /* does not answer, or its driver refused its configuration */
    SENSOR_CLOSED,    /* not read: disabled, or closed by its driver */
    SENSOR_UNKNOWN,   /* its driver has not reported anything yet */
    SENSOR_NO_DRIVER, /* its driver is not connected */
};
#define SENSOR_STATES (SENSOR_NO_DRIVER + 1)

/* "ok", "no-driver", ... */
const char *sensor_state_name(enum sensor_state state);
/* One of those that a driver may report; -EINVAL for any other text. */
int sensor_state_reported(const char *text);
/* Whether samples are to be expected. */
static inline bool sensor_state_available(enum sensor_state state)
{
    return state == SENSOR_OK || state == SENSOR_DEGRADED;
}
/* Whether somebody should look after it. */
static inline bool sensor_state_bad(enum sensor_state state)
{
    return state == SENSOR_DEGRADED || state == SENSOR_FAILED || state == SENSOR_NO_DRIVER;
}
