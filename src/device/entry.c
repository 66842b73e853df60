/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The device in the vault: asked by all that deal with its keys, and on its own so that they need nothing of what is
 * above them. */
#include "device/facts.h"
#include "device/internal.h"

struct vault_entry *device_entry(const struct device *d)
{
    return vault_find(d->fleet->vault, d->config->id, d->config->uplink);
}
