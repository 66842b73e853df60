/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two clients of one id throw each other off their broker, for ever: whoever connects last ends the other's session. */
#include "base/strbuf.h"
#include "config/client-id.h"
#include "config/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_broker(struct strbuf *b, const char *host, unsigned port)
{
    for (const char *p = host; *p; p++)
        strbuf_printf(b, "%c", tolower((unsigned char)*p));
    strbuf_printf(b, ":%u", port);
}

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
    put_broker(&b, u->host, u->port);
    for (size_t i = 0; i < u->n_others; i++) {
        strbuf_puts(&b, ",");
        put_broker(&b, u->others[i].host, u->others[i].port);
    }
    strbuf_puts(&b, " ");
    d->client_id_at = b.length;
    strbuf_puts(&b, id);
    return strbuf_take(&b, &d->client);
}

static const char *client_id(const struct config_device *d)
{
    return d->client + d->client_id_at;
}

static size_t broker_length(const char *broker)
{
    return strcspn(broker, ", ");
}

static const char *next_broker(const char *broker)
{
    broker += broker_length(broker);
    return *broker == ',' ? broker + 1 : NULL;
}

/* The first broker of a's that is also one of b's, within a->client. */
static const char *shared_broker(const struct config_device *a, const struct config_device *b)
{
    for (const char *x = a->client; x; x = next_broker(x))
        for (const char *y = b->client; y; y = next_broker(y))
            if (broker_length(x) == broker_length(y) && memcmp(x, y, broker_length(x)) == 0)
                return x;
    return NULL;
}

bool config_clients_clash(const struct config_device *a, const struct config_device *b)
{
    return a->enabled && b->enabled && a->client && b->client && strcmp(client_id(a), client_id(b)) == 0 &&
           shared_broker(a, b);
}

void config_clients_complain(const struct device_file *f, const struct config_device *other, const char *then,
                             struct mistakes *mistakes)
{
    const struct config_device *d = f->device;
    const char *broker = shared_broker(d, other);

    mistakes_add(
        mistakes, f->path, f->client_at.line, f->client_at.column, d->id,
        "the client id \"%s\" of \"%s\" at the broker %.*s is also that of \"%s\" in %s, so each would end the "
        "other's session for ever; expected one that no other device has%s",
        client_id(d), d->id, (int)broker_length(broker), broker, other->id, other->file, then);
}

/* By client id, then by brokers. */
static int by_client(const void *a, const void *b)
{
    struct device_file *const *x = a, *const *y = b;
    const struct config_device *d = (*x)->device, *e = (*y)->device;
    int r = strcmp(client_id(d), client_id(e)) ?: strcmp(d->client, e->client);

    /* Within the array, so the order in which they were read. */
    return r ?: (*x < *y ? -1 : *x > *y);
}

/* How many from the first on have its client id; `brokers`: and its brokers. */
static size_t alike(struct device_file *const *sorted, size_t n, bool brokers)
{
    const struct config_device *first = sorted[0]->device;
    size_t same = 1;

    while (same < n && strcmp(client_id(first), client_id(sorted[same]->device)) == 0 &&
           (!brokers || strcmp(first->client, sorted[same]->device->client) == 0))
        same++;
    return same;
}

/* Somebody else, among all of one client id, whom the run of `same` that begins at `run` would throw off. Each run has
 * an uplink's brokers, so that there are few. NULL: nobody. */
static const struct config_device *find_other(struct device_file *const *all, size_t n, size_t run, size_t same)
{
    if (same > 1)
        return all[run]->device;
    for (size_t i = 0; i < n; i += alike(all + i, n - i, true))
        if (i != run && config_clients_clash(all[run]->device, all[i]->device))
            return all[i]->device;
    return NULL;
}

/* All of one client id. Who clashes is marked, and taken away when everybody has been looked at. */
static void refuse_of_one_id(struct device_file *const *all, size_t n, bool *clashes, struct mistakes *mistakes)
{
    size_t same;

    for (size_t i = 0; i < n; i += same) {
        const struct config_device *other;

        same = alike(all + i, n - i, true);
        other = find_other(all, n, i, same);
        for (size_t k = i; other && k < i + same; k++) {
            clashes[k] = true;
            config_clients_complain(all[k], other == all[k]->device ? all[k + 1]->device : other, "; neither is loaded",
                                    mistakes);
        }
    }
    for (size_t i = 0; i < n; i++)
        if (clashes[i])
            all[i]->device = config_device_unref(all[i]->device);
}

int config_clients_refuse(struct device_file *const *files, size_t n, struct mistakes *mistakes)
{
    _cleanup_free_ struct device_file **sorted = calloc(n + 1, sizeof(*sorted));
    _cleanup_free_ bool *clashes = calloc(n + 1, sizeof(*clashes));
    size_t n_sorted = 0;

    if (!sorted || !clashes)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (files[i]->device->client && files[i]->device->enabled)
            sorted[n_sorted++] = files[i];
    qsort(sorted, n_sorted, sizeof(struct device_file *), by_client);
    for (size_t i = 0, same; i < n_sorted; i += same) {
        same = alike(sorted + i, n_sorted - i, false);
        refuse_of_one_id(sorted + i, same, clashes + i, mistakes);
    }
    return 0;
}
