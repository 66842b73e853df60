/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/uplinks.h"

#include "base/log.h"
#include "base/ratelimit.h"
#include "config/diff.h"
#include "device/internal.h"
#include "device/profiles.h"
#include "device/registration.h"
#include "device/uplink-settings.h"
#include "payload/profile.h"
#include "registrar/registrar.h"
#include "rotation/identity.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One in a process of its own. */
static int make_remote(struct fleet *f, const struct config_registrar *settings, struct registrar **ret)
{
    _cleanup_free_ char *path = NULL;
    int encoding = vault_encoding_from_string(settings->encoding);

    if (encoding < 0)
        return encoding;
    if (asprintf(&path, "%s/%s.sock", f->dirs.registrar, settings->name) < 0)
        return -ENOMEM;
    return registrar_remote_new(f->event, path, settings->settings, settings->replaces, (enum vault_encoding)encoding,
                                ret);
}

static int make_registrar(struct fleet *f, const struct config_registrar *settings, struct registrar **ret)
{
    switch (settings->type) {
    case CONFIG_REGISTRAR_COAP:
        return registrar_coap_new(f->event, settings->replaces, settings->offer_without_pfs, ret);
    case CONFIG_REGISTRAR_MANUAL:
        return registrar_manual_new(settings->replaces, ret);
    case CONFIG_REGISTRAR_GOLIOTH:
    case CONFIG_REGISTRAR_HONO:
    case CONFIG_REGISTRAR_EXEC:
        return make_remote(f, settings, ret);
    }
    return -EINVAL;
}

static int make(struct fleet *f, const struct config_uplink *settings, struct shared_uplink *u, struct error *e)
{
    const struct uplink_options options = uplink_settings(settings, f->arena);
    int r = make_registrar(f, &settings->registrar, &u->registrar);

    if (r >= 0)
        r = uplink_new(f->event, f->pools.resolvers, f->vault, &options, &u->uplink, e);
    return r;
}

struct shared_uplink *shared_uplink_put(struct shared_uplink *u)
{
    struct shared_uplink **link;

    if (!u || --u->refs > 0)
        return NULL;
    for (link = &u->fleet->uplinks; *link; link = &(*link)->next)
        if (*link == u) {
            *link = u->next;
            break;
        }
    sd_event_source_disable_unref(u->outage.timer);
    registration_done(u);
    registrar_free(u->registrar);
    uplink_free(u->uplink);
    profile_unref(u->profile);
    config_unref(u->config);
    free(u);
    return NULL;
}

static void putp(struct shared_uplink **u)
{
    if (*u)
        shared_uplink_put(*u);
}

bool shared_uplink_current(const struct shared_uplink *u, const struct config *config, const struct profiles *profiles)
{
    const struct config_uplink *settings = config_uplink(config, u->settings->name);

    return settings && config_uplink_changes(settings, u->settings) == 0 &&
           profile_same(profiles_of(profiles, config, settings->name), u->profile);
}

int shared_uplink_get(struct fleet *f, const char *name, struct shared_uplink **ret, struct error *e)
{
    const struct config_uplink *settings = config_uplink(f->config, name);
    _cleanup_(putp) struct shared_uplink *u = NULL;
    int r;

    if (!settings)
        return error_set(e, -EINVAL, "there is no uplink '%s'", name);
    for (struct shared_uplink *old = f->uplinks; old; old = old->next)
        if (strcmp(old->settings->name, name) == 0 && shared_uplink_current(old, f->config, &f->profiles)) {
            old->refs++;
            *ret = old;
            return 0;
        }
    u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    *u = (struct shared_uplink){.next = f->uplinks,
                                .fleet = f,
                                .refs = 1,
                                .config = config_ref(f->config),
                                .settings = settings,
                                .profile = profile_ref(profiles_of(&f->profiles, f->config, name))};
    f->uplinks = u;
    if (settings->drain_rate > 0)
        ratelimit_init(&u->drain, USEC_PER_SEC, settings->drain_rate);
    registration_init(u);
    r = make(f, settings, u, e);
    if (r < 0)
        return error_prefix(e, r, "uplink %s", name);
    *ret = TAKE_PTR(u);
    return 0;
}

int shared_uplinks_check(struct fleet *f, struct error *e)
{
    for (size_t i = 0; i < f->config->n_uplinks; i++) {
        struct shared_uplink *u;
        int r = shared_uplink_get(f, f->config->uplinks[i]->name, &u, e);

        if (r < 0)
            return r;
        shared_uplink_put(u);
    }
    return 0;
}

void fleet_raise_descriptors(struct fleet *f)
{
    struct error e;

    /* A connection over MQTT has three. */
    if (uplink_raise_nofile(4 * f->index.n + 256, &e) < 0)
        log_warning(NULL, "%s", e.text);
}

void fleet_warn_of_settings(const struct fleet *f)
{
    for (size_t i = 0; i < f->config->n_uplinks; i++)
        if (identity_template_tells(f->config->uplinks[i]->identity))
            log_notice(NULL, "%s: the identities of uplink %s name the device, in clear text on the wire",
                       f->config->file, f->config->uplinks[i]->name);
}
