/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The resources that a child may request, each over its own session:
 *
 *     POST telemetry             SenML JSON (110)                        2.04; 4.00; 4.03 another device's name
 *     POST credentials           {"identity":s,"key":base64} (50)        2.01 new, 2.04 the same or replaced: {"id":s};
 *                                                                        4.09 taken; 4.00 invalid
 *     DELETE credentials/<id>                                            2.02; 4.04
 *
 * The faults stand between the request and these, for whatever path. A session of a forgotten device gets 4.01. */

#include <coap3/coap.h>

int resources_add(coap_context_t *context);
