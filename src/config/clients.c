/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two clients of one id throw each other off their broker, for ever: whoever connects last ends the other's session. */
#include "base/strbuf.h"
#include "config/client-id.h"
#include "config/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int config_client(const struct config *c, struct config_device *d)
{
    const struct config_uplink *u = config_uplink(c, d->uplink);
    _cleanup_free_ char *opaque = NULL, *id = NULL;
    struct strbuf b = {0};

    if (!u || !u->mqtt || !u->host || !u->client_id)
        return 0;
    /* The vault alone knows it. It is one device's only; and no client id has a space. */
    if (asprintf(&opaque, "opaque %s", d->id) < 0) {
        opaque = NULL;
        return -ENOMEM;
    }
    if (client_id_make(u->client_id, d->id, opaque, d->hardware_id ?: d->id, u->gateway, &id) < 0)
        return -ENOMEM;
    for (const char *p = u->host; *p; p++)
        strbuf_printf(&b, "%c", tolower((unsigned char)*p));
    strbuf_printf(&b, ":%u ", u->port);
    d->client_id_at = b.length;
    strbuf_puts(&b, id);
    return strbuf_take(&b, &d->client);
}

bool config_clients_clash(const struct config_device *a, const struct config_device *b)
{
    return a->enabled && b->enabled && a->client && b->client && strcmp(a->client, b->client) == 0;
}

void config_clients_complain(const struct device_file *f, const struct config_device *other, const char *then,
                             struct mistakes *mistakes)
{
    const struct config_device *d = f->device;

    mistakes_add(
        mistakes, f->path, f->client_at.line, f->client_at.column, d->id,
        "the client id \"%s\" of \"%s\" at the broker %.*s is also that of \"%s\" in %s, so each would end the "
        "other's session for ever; expected one that no other device has%s",
        d->client + d->client_id_at, d->id, (int)d->client_id_at - 1, d->client, other->id, other->file, then);
}

static int by_client(const void *a, const void *b)
{
    const struct device_file *x = *(struct device_file *const *)a, *y = *(struct device_file *const *)b;
    int r = strcmp(x->device->client, y->device->client);

    /* Within the array, so the order in which they were read. */
    return r ?: (x < y ? -1 : x > y);
}

int config_clients_refuse(struct device_file *const *files, size_t n, struct mistakes *mistakes)
{
    _cleanup_free_ struct device_file **sorted = calloc(n + 1, sizeof(*sorted));
    size_t n_sorted = 0;

    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (files[i]->device->client && files[i]->device->enabled)
            sorted[n_sorted++] = files[i];
    qsort(sorted, n_sorted, sizeof(struct device_file *), by_client);
    for (size_t i = 0, same; i < n_sorted; i += same) {
        for (same = 1; i + same < n_sorted && config_clients_clash(sorted[i]->device, sorted[i + same]->device);)
            same++;
        for (size_t k = 0; same > 1 && k < same; k++)
            config_clients_complain(sorted[i + k], sorted[i + (k == 0 ? 1 : 0)]->device, "; neither is loaded",
                                    mistakes);
        for (size_t k = 0; same > 1 && k < same; k++)
            sorted[i + k]->device = config_device_unref(sorted[i + k]->device);
    }
    return 0;
}
