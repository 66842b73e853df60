/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/config.h"

#include "config/internal.h"

#include <stdlib.h>
#include <string.h>

struct config *config_ref(struct config *c)
{
    c->refs++;
    return c;
}

struct config *config_unref(struct config *c)
{
    if (!c || --c->refs > 0)
        return NULL;
    for (size_t i = 0; i < c->n_uplinks; i++)
        config_uplink_unref(c->uplinks[i]);
    free(c->uplinks);
    for (size_t i = 0; i < c->n_devices; i++)
        config_device_unref(c->devices[i]);
    free(c->devices);
    free(c->vault.bind);
    free(c->vault.backup);
    free(c->file);
    free(c);
    return NULL;
}

const struct config_uplink *config_uplink(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_uplinks; i++)
        if (strcmp(c->uplinks[i]->name, name) == 0)
            return c->uplinks[i];
    return NULL;
}

/* Where the id is, or would be. */
static size_t device_index(const struct config *c, const char *id)
{
    size_t low = 0, high = c->n_devices;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(c->devices[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct config_device *config_device(const struct config *c, const char *id)
{
    size_t i = device_index(c, id);

    return i < c->n_devices && strcmp(c->devices[i]->id, id) == 0 ? c->devices[i] : NULL;
}

const struct config_point *config_point(const struct config_device *d, const char *name)
{
    for (size_t i = 0; i < d->n_points; i++)
        if (strcmp(d->points[i].name, name) == 0)
            return &d->points[i];
    return NULL;
}

bool config_device_same_texts(const struct config_device *a, const struct config_device *b)
{
    return strcmp(a->driver, b->driver) == 0 && strcmp(a->section, b->section) == 0 &&
           strcmp(a->points_text, b->points_text) == 0;
}

/* A copy that shares uplinks and devices, with room for `more` devices. */
static int copy(const struct config *c, size_t more, struct config **ret)
{
    _cleanup_(config_unrefp) struct config *copy = calloc(1, sizeof(*copy));

    if (!copy)
        return -ENOMEM;
    copy->refs = 1;
    copy->rotation = c->rotation;
    copy->spool = c->spool;
    copy->file_digest = c->file_digest;
    copy->file = strdup(c->file);
    copy->uplinks = calloc(c->n_uplinks + 1, sizeof(*copy->uplinks));
    copy->devices = calloc(c->n_devices + more + 1, sizeof(*copy->devices));
    copy->vault.bind = c->vault.bind ? strdup(c->vault.bind) : NULL;
    copy->vault.backup = c->vault.backup ? strdup(c->vault.backup) : NULL;
    if (!copy->file || !copy->uplinks || !copy->devices || !copy->vault.bind != !c->vault.bind ||
        !copy->vault.backup != !c->vault.backup)
        return -ENOMEM;
    for (; copy->n_uplinks < c->n_uplinks; copy->n_uplinks++) {
        copy->uplinks[copy->n_uplinks] = c->uplinks[copy->n_uplinks];
        copy->uplinks[copy->n_uplinks]->refs++;
    }
    for (; copy->n_devices < c->n_devices; copy->n_devices++)
        copy->devices[copy->n_devices] = config_device_ref(c->devices[copy->n_devices]);
    *ret = TAKE_PTR(copy);
    return 0;
}

int config_with(const struct config *c, struct config_device *d, struct config **ret)
{
    struct config *with;
    size_t i = device_index(c, d->id);
    int r;

    r = copy(c, 1, &with);
    if (r < 0)
        return r;
    memmove(&with->devices[i + 1], &with->devices[i], (with->n_devices - i) * sizeof(*with->devices));
    with->devices[i] = config_device_ref(d);
    with->n_devices++;
    *ret = with;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(struct config_device *const *)a)->id, (*(struct config_device *const *)b)->id);
}

int config_with_many(const struct config *c, struct config_device *const *devices, size_t n, struct config **ret)
{
    struct config *with;
    int r = copy(c, n, &with);

    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        with->devices[with->n_devices++] = config_device_ref(devices[i]);
    qsort(with->devices, with->n_devices, sizeof(struct config_device *), by_id);
    *ret = with;
    return 0;
}

int config_without(const struct config *c, const char *id, struct config **ret)
{
    struct config *without;
    size_t i = device_index(c, id);
    int r;

    r = copy(c, 0, &without);
    if (r < 0)
        return r;
    if (i < without->n_devices && strcmp(without->devices[i]->id, id) == 0) {
        config_device_unref(without->devices[i]);
        without->n_devices--;
        memmove(&without->devices[i], &without->devices[i + 1], (without->n_devices - i) * sizeof(*without->devices));
    }
    *ret = without;
    return 0;
}
