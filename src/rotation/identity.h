/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Identities from a template: text with {opaque}, {device} and {n}, for instance "{opaque}-{n}" or "acme/{device}-{n}".
 * Identities cross the wire in clear text; {opaque} names a device without telling which. Templates are checked where
 * they are configured. Pure. */

#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether the template shows the device's name on the wire. */
bool identity_template_tells(const char *template);

/* -EINVAL: not a usable template. -E2BIG: over IDENTITY_MAX. *ret_identity is untouched then. */
int identity_make(const char *template, const char *opaque, const char *device, uint64_t n,
                  char ret_identity[IDENTITY_MAX + 1]);
