/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The profiles of a configuration's uplinks. They are read together with its files, and are all that the fleet knows of
 * those until it is read again. */
#include "device/profiles.h"

#include "device/fleet.h"
#include "device/internal.h"
#include "payload/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void profiles_done(struct profiles *p)
{
    for (size_t i = 0; i < p->n; i++)
        profile_unref(p->list[i]);
    free(p->list);
    *p = (struct profiles){0};
}

static void complain(const struct config *config, struct mistakes *mistakes, const struct config_uplink *settings,
                     const struct error *e)
{
    _cleanup_free_ char *pointer = NULL;

    if (asprintf(&pointer, "/uplinks/%s/profile", settings->name) < 0) {
        pointer = NULL;
        mistakes->failed = -ENOMEM;
        return;
    }
    config_complain(config, mistakes, pointer, e->text);
}

/* -EBADMSG: the mistake is noted, one of gatehouse.json if there is no such profile. */
static int read_one(const struct config *config, const char *config_dir, const struct config_uplink *settings,
                    struct profile **ret, struct mistakes *mistakes)
{
    _cleanup_free_ char *own = NULL;
    const char *directories[] = {NULL, getenv("GATEHOUSE_PROFILE_DIR") ?: GATEHOUSE_PROFILE_DIR, NULL};
    struct error e = {""};
    int r;

    if (asprintf(&own, "%s/profiles", config_dir) < 0) {
        own = NULL;
        return -ENOMEM;
    }
    directories[0] = own;
    r = profile_load(directories, settings->profile, ret, mistakes);
    if (r != -ENOENT)
        return r;
    error_set(&e, r, "there is no profile %s.json in %s or %s", settings->profile, directories[0], directories[1]);
    complain(config, mistakes, settings, &e);
    return -EBADMSG;
}

/* The profile if an earlier uplink has read it; `all` are as many as uplinks. NULL: none has, or in vain. */
static struct profile *read_before(const struct config *config, size_t i, struct profile *const *all, bool *ret_in_vain)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(config->uplinks[k]->profile, config->uplinks[i]->profile) == 0) {
            *ret_in_vain = !all[k];
            return all[k];
        }
    *ret_in_vain = false;
    return NULL;
}

static bool fits(const struct config *config, const struct config_uplink *settings, const struct profile *profile,
                 struct mistakes *mistakes)
{
    struct error e = {""};

    if ((profile->transport == PROFILE_MQTT) == settings->mqtt)
        return true;
    error_set(&e, 0, "the profile %s is for %s, but the address of this uplink is %s", settings->profile,
              settings->mqtt ? "coaps://" : "mqtts://", settings->url);
    complain(config, mistakes, settings, &e);
    return false;
}

int profiles_read(const struct config *config, const char *config_dir, struct profiles *ret, struct mistakes *mistakes)
{
    _cleanup_(profiles_done) struct profiles p = {.list = calloc(config->n_uplinks + 1, sizeof(*p.list))};
    int all = 0;

    if (!p.list)
        return -ENOMEM;
    for (; p.n < config->n_uplinks; p.n++) {
        const struct config_uplink *settings = config->uplinks[p.n];
        bool in_vain;
        struct profile *before = read_before(config, p.n, p.list, &in_vain);
        int r = 0;

        if (before)
            p.list[p.n] = profile_ref(before);
        else
            r = in_vain ? -EBADMSG : read_one(config, config_dir, settings, &p.list[p.n], mistakes);
        if (r >= 0 && !fits(config, settings, p.list[p.n], mistakes))
            r = -EBADMSG;
        if (r == -ENOMEM)
            return r;
        if (r < 0)
            all = r;
    }
    if (mistakes->failed < 0)
        return mistakes->failed;
    if (all < 0)
        return all;
    *ret = p;
    p = (struct profiles){0};
    return 0;
}

/* One id of the device, at that place of its file. */
static bool takes(const struct profile *p, const struct config_device *d, const char *id, const char *pointer,
                  struct mistakes *mistakes)
{
    const char *bad = profile_bad_character(p, id);
    struct error e = {""};

    if (!bad)
        return true;
    error_set(&e, 0,
              "\"%s\" has a '%c', which the cloud of uplink %s does not take in names (profile %s); expected letters, "
              "digits and others of . _ -",
              id, *bad, d->uplink, p->name);
    config_device_complain(d, mistakes, pointer, e.text);
    return false;
}

bool profiles_take(const struct profiles *profiles, const struct config *config, const struct config_device *d,
                   struct mistakes *mistakes)
{
    const struct profile *p = profiles_of(profiles, config, d->uplink);
    bool good;

    if (!p)
        return true;
    good = takes(p, d, d->id, "/device", mistakes);
    for (size_t i = 0; i < d->n_points; i++) {
        _cleanup_free_ char *pointer = NULL;

        if (asprintf(&pointer, "/points/%s", d->points[i].name) < 0) {
            pointer = NULL;
            mistakes->failed = -ENOMEM;
            return false;
        }
        good &= takes(p, d, d->points[i].name, pointer, mistakes);
    }
    return good;
}

int profiles_check_devices(const struct profiles *p, const struct config *config, struct mistakes *mistakes)
{
    int r = 0;

    for (size_t i = 0; i < config->n_devices; i++)
        if (!profiles_take(p, config, config->devices[i], mistakes))
            r = mistakes->failed < 0 ? mistakes->failed : -EBADMSG;
    return r;
}

int fleet_check_profiles(const struct config *config, const char *config_dir, bool devices, struct mistakes *mistakes)
{
    struct profiles p = {0};
    int r = profiles_read(config, config_dir, &p, mistakes);

    if (r >= 0 && devices)
        r = profiles_check_devices(&p, config, mistakes);
    profiles_done(&p);
    return r;
}

struct profile *profiles_of(const struct profiles *p, const struct config *config, const char *uplink)
{
    for (size_t i = 0; i < p->n && i < config->n_uplinks; i++)
        if (strcmp(config->uplinks[i]->name, uplink) == 0)
            return p->list[i];
    return NULL;
}
