/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How samples, values, errors and options look on the private bus; both ends use it. Pure but for the message. */

#include "base/sample.h"

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/* Version of the private bus, first thing said in Hello. */
#define LINK_ABI 1

/* A device as its driver gets it. */
struct link_device {
    const char *id;
    const char *section; /* JSON object: the plugin's section of the device's file */
    const char *points;  /* JSON object: point name to its keys */
};

#define WIRE_SAMPLES "a(stvsu)"
#define WIRE_SAMPLE "stvsu"

int wire_append_value(sd_bus_message *m, const struct sample_value *v);
/* A variant of one of the types of enum sample_type, valid; its string lives as long as m. -EINVAL for any other. */
int wire_read_value(sd_bus_message *m, struct sample_value *ret);
/* The same, but takes u and i as well, which people and options write first. */
int wire_read_any(sd_bus_message *m, struct sample_value *ret);

int wire_append_samples(sd_bus_message *m, const struct sample *samples, size_t n);
/* Reads the array into at most `max` samples, whose strings live as long as m. The number of them; -EINVAL (a name, a
 * value, a unit, a flag), -E2BIG (more than max). */
int wire_read_samples(sd_bus_message *m, struct sample *samples, size_t max);

/* a{sv} of basic types from a JSON object; null members are left out, what is nested travels as JSON text. */
int wire_append_dict(sd_bus_message *m, json_object *object);
/* And back; also u and i are taken. */
int wire_read_dict(sd_bus_message *m, json_object **ret);

/* Answers with the error that stands for r; `text` is for people. */
int wire_reply_error(sd_bus_message *call, int r, const char *text);
/* What the other end meant: -ENODEV (device), -ENOENT (point), -EACCES (not writable), -EINVAL, -EBUSY, -ECANCELED,
 * -ENOTCONN, -ETIMEDOUT, or another errno of its plugin's. */
int wire_error_errno(const sd_bus_error *e);
