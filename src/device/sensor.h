/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The state of a device's sensor: what its driver reported last, as long as that driver is connected. Loop thread. */

#include "base/sample.h"
#include "base/sensor-state.h"
#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>

struct device;
struct sensor_place;

struct sensor {
    enum sensor_state reported, shown;
    size_t pointer;             /* how long the place is with which these words begin; 0: they are of no place */
    unsigned line, column;      /* of it; 0: not known */
    char *said;                 /* the driver's own words */
    char *reason;               /* as shown: with file, line and column */
    struct sensor_place *place; /* being looked for */
    bool counted;               /* in the fleet's numbers */
};

/* The device comes into the fleet's numbers, or leaves them. */
void sensor_count(struct device *d, bool counted);
void sensor_reported(struct device *d, const char *state, const char *reason);
/* A good sample of a device that its driver has not said anything of shows that it is well. */
void sensor_sampled(struct device *d, const struct sample *samples, size_t n);
void sensor_driver_changed(struct device *d);
/* It has another configuration; with other texts its driver opens it anew. */
void sensor_configured(struct device *d, bool other_texts);
void sensor_done(struct device *d);
/* sensor-words.c: whether its file is at fault, by what its plugin says; a view, valid as long as the device's texts.
 */
bool sensor_mistake(const struct device *d, struct mistake *ret);
