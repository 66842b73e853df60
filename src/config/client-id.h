/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Templates of MQTT client ids: text with {device}, {opaque}, {hardware_id} and {gateway} in it. Pure. */

#include <stddef.h>

/* NULL, or what is wrong with the template, in words that follow it: "is too long". */
const char *client_id_fault(const char *text);
/* 0 and *ret, to be freed, or -ENOMEM. */
int client_id_make(const char *text, const char *device, const char *opaque, const char *hardware_id,
                   const char *gateway, char **ret);
