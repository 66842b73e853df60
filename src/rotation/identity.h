/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Identities from a template: text with {opaque}, {device} and {n}, for instance "{opaque}-{n}" or "acme/{device}-{n}".
 * Identities cross the wire in clear text; {opaque} names a device without telling which. Pure. */

#include "base/error.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

#define IDENTITY_TEMPLATE_DEFAULT "{opaque}-{n}"

/* Whether a template can be used: known fields only, printable ASCII, and at most IDENTITY_MAX bytes whatever the
 * device (of the id lengths allowed) and the number. `replaces`: the registrar keeps one fixed identity, so {n} must
 * not be there; otherwise it must. And {opaque} or {device} must be, or all devices would share an identity. */
int identity_template_check(const char *template, bool replaces, struct error *e);
/* Whether the template shows the device's name on the wire. */
bool identity_template_tells(const char *template);

/* -EINVAL: not a usable template. -E2BIG: over IDENTITY_MAX. *ret_identity is untouched then. */
int identity_make(const char *template, const char *opaque, const char *device, uint64_t n,
                  char ret_identity[IDENTITY_MAX + 1]);
