/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/diff.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_point(const struct config_point *a, const struct config_point *b)
{
    return strcmp(a->name, b->name) == 0 && same_text(a->unit, b->unit) && a->writable == b->writable &&
           a->min == b->min && a->max == b->max && a->kind == b->kind && a->type_min == b->type_min &&
           a->type_max == b->type_max && a->type_step == b->type_step && a->expire_after == b->expire_after;
}

static bool same_points(const struct config_device *a, const struct config_device *b)
{
    for (size_t i = 0; i < a->n_points && i < b->n_points; i++)
        if (!same_point(&a->points[i], &b->points[i]))
            return false;
    return a->n_points == b->n_points && a->expire_after == b->expire_after;
}

unsigned config_device_changes(const struct config_device *a, const struct config_device *b)
{
    unsigned what = 0;

    if (a == b)
        return 0;
    if (!config_device_same_texts(a, b))
        what |= CONFIG_DEVICE_DRIVER;
    if (strcmp(a->uplink, b->uplink) != 0)
        what |= CONFIG_DEVICE_UPLINK;
    if (a->on_demand != b->on_demand || a->idle_timeout != b->idle_timeout)
        what |= CONFIG_DEVICE_OWN;
    if (!same_points(a, b))
        what |= CONFIG_DEVICE_POINTS;
    if (!same_text(a->hardware_id, b->hardware_id))
        what |= CONFIG_DEVICE_NAMES;
    if (a->enabled != b->enabled)
        what |= CONFIG_DEVICE_ENABLED;
    return what;
}

static bool same_hosts(const struct config_uplink *a, const struct config_uplink *b)
{
    if (strcmp(a->host, b->host) != 0 || a->port != b->port || a->n_others != b->n_others)
        return false;
    for (size_t i = 0; i < a->n_others; i++)
        if (strcmp(a->others[i].host, b->others[i].host) != 0 || a->others[i].port != b->others[i].port)
            return false;
    return true;
}

static bool same_suites(const struct config_uplink *a, const struct config_uplink *b)
{
    size_t i = 0;

    while (a->suites[i] && b->suites[i] && strcmp(a->suites[i], b->suites[i]) == 0)
        i++;
    return !a->suites[i] && !b->suites[i];
}

unsigned config_uplink_changes(const struct config_uplink *a, const struct config_uplink *b)
{
    unsigned what = 0;

    if (a == b)
        return 0;
    if (!same_hosts(a, b) || a->follow_references != b->follow_references || !same_suites(a, b) || a->mqtt != b->mqtt ||
        a->mqtt_version != b->mqtt_version || a->session_expiry != b->session_expiry ||
        a->retained_commands != b->retained_commands || !same_text(a->client_id, b->client_id) ||
        !same_text(a->gateway, b->gateway))
        what |= CONFIG_UPLINK_ENDPOINT;
    if (strcmp(a->profile, b->profile) != 0 || a->max_payload != b->max_payload || a->drain_rate != b->drain_rate ||
        a->order != b->order)
        what |= CONFIG_UPLINK_PROFILE;
    if (strcmp(a->identity, b->identity) != 0 || a->registrar.type != b->registrar.type ||
        a->registrar.replaces != b->registrar.replaces ||
        a->registrar.offer_without_pfs != b->registrar.offer_without_pfs ||
        !same_text(a->registrar.name, b->registrar.name) || !same_text(a->registrar.settings, b->registrar.settings) ||
        !same_text(a->registrar.encoding, b->registrar.encoding))
        what |= CONFIG_UPLINK_ROTATION;
    if (a->keepalive != b->keepalive || a->admission.unlimited != b->admission.unlimited ||
        a->admission.concurrent != b->admission.concurrent || a->admission.rate != b->admission.rate ||
        a->admission.jitter != b->admission.jitter)
        what |= CONFIG_UPLINK_ADMISSION;
    return what;
}

static void diff_devices(const struct config *before, const struct config *after, struct config_diff *d)
{
    size_t i = 0, k = 0;

    while (i < before->n_devices || k < after->n_devices) {
        struct config_device *a = i < before->n_devices ? before->devices[i] : NULL;
        struct config_device *b = k < after->n_devices ? after->devices[k] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->id, b->id);
        struct config_device_diff one = {order <= 0 ? a : NULL, order >= 0 ? b : NULL, 0};

        i += order <= 0;
        k += order >= 0;
        if (order == 0)
            one.what = config_device_changes(a, b);
        if (order != 0 || one.what)
            d->devices[d->n_devices++] = one;
    }
}

static struct config_uplink *find_uplink(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_uplinks; i++)
        if (strcmp(c->uplinks[i]->name, name) == 0)
            return c->uplinks[i];
    return NULL;
}

static void diff_uplinks(const struct config *before, const struct config *after, struct config_diff *d)
{
    for (size_t i = 0; i < before->n_uplinks; i++) {
        struct config_uplink *a = before->uplinks[i], *b = find_uplink(after, a->name);
        unsigned what = b ? config_uplink_changes(a, b) : 0;

        if (!b || what)
            d->uplinks[d->n_uplinks++] = (struct config_uplink_diff){a, b, what};
    }
    for (size_t i = 0; i < after->n_uplinks; i++)
        if (!find_uplink(before, after->uplinks[i]->name))
            d->uplinks[d->n_uplinks++] = (struct config_uplink_diff){NULL, after->uplinks[i], 0};
}

static unsigned compare_globals(const struct config *a, const struct config *b)
{
    unsigned what = 0;

    if (a->rotation.max_age != b->rotation.max_age || a->rotation.retire_after != b->rotation.retire_after ||
        a->rotation.concurrent != b->rotation.concurrent || a->rotation.rate != b->rotation.rate ||
        a->rotation.window.set != b->rotation.window.set || a->rotation.window.from != b->rotation.window.from ||
        a->rotation.window.to != b->rotation.window.to)
        what |= CONFIG_GLOBAL_ROTATION;
    if (a->spool.durability != b->spool.durability || a->spool.max_bytes != b->spool.max_bytes ||
        a->spool.max_age != b->spool.max_age)
        what |= CONFIG_GLOBAL_SPOOL;
    return what;
}

int config_diff(const struct config *before, const struct config *after, struct config_diff *ret)
{
    struct config_diff d = {0};

    d.devices = calloc(before->n_devices + after->n_devices + 1, sizeof(*d.devices));
    d.uplinks = calloc(before->n_uplinks + after->n_uplinks + 1, sizeof(*d.uplinks));
    if (!d.devices || !d.uplinks) {
        config_diff_done(&d);
        return -ENOMEM;
    }
    diff_devices(before, after, &d);
    diff_uplinks(before, after, &d);
    d.global = compare_globals(before, after);
    *ret = d;
    return 0;
}

void config_diff_done(struct config_diff *d)
{
    free(d->devices);
    free(d->uplinks);
    *d = (struct config_diff){0};
}
