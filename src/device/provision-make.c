/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys first, then the devices' files, then the devices: what a crash leaves of it is a key that no device has, which
 * the next run replaces. */
#include "base/log.h"
#include "device/drivers.h"
#include "device/fleet.h"
#include "device/job.h"
#include "device/membership.h"
#include "device/notify.h"
#include "device/provision-internal.h"
#include "device/uplinks.h"
#include "rotation/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void provision_make_done(struct provision *p)
{
    for (size_t i = 0; i < p->make.n; i++) {
        config_device_unref(p->make.devices[i]);
        free(p->make.texts[i]);
    }
    free(p->make.devices);
    free(p->make.texts);
    while (p->make.existing) {
        struct provision_existing *e = p->make.existing;

        p->make.existing = e->next;
        free(e);
    }
}

/* ── Keys ── */

static void on_key_committed(int r, const struct error *e, void *userdata)
{
    struct provision *p = userdata;

    p->make.commits--;
    if (r < 0 && p->r >= 0) {
        p->r = r;
        p->error = *e;
    }
    if (p->make.commits > 0)
        return;
    if (!p->fleet)
        provision_left(p);
    else if (p->make.waiting)
        provision_next_turn(p);
}

static int make_identity(struct provision *p, const struct list_row *row, const struct config_uplink *u, uint64_t *n,
                         char identity[IDENTITY_MAX + 1])
{
    char opaque[OPAQUE_ID_SIZE];
    int r;

    if (row->identity)
        return provision_identity(u, row->identity, identity);
    r = vault_opaque_id(p->fleet->vault, row->device, opaque);
    do
        if (r >= 0)
            r = identity_make(u->identity, opaque, row->device, ++*n, identity);
    while (r >= 0 && !u->registrar.replaces && vault_identity_used(p->fleet->vault, identity));
    return r;
}

static int keep(struct provision *p, size_t i)
{
    if (p->make.n == p->make.allocated) {
        size_t more = p->make.allocated ? 2 * p->make.allocated : 64;
        void *made = reallocarray(p->make.devices, more, sizeof(*p->make.devices));
        void *texts;

        if (!made)
            return -ENOMEM;
        p->make.devices = made;
        texts = reallocarray(p->make.texts, more, sizeof(*p->make.texts));
        if (!texts)
            return -ENOMEM;
        p->make.texts = texts;
        p->make.allocated = more;
    }
    p->make.devices[p->make.n] = TAKE_PTR(p->page.devices[i]);
    p->make.texts[p->make.n++] = TAKE_PTR(p->page.texts[i]);
    return 0;
}

static int remember(struct provision *p, const struct list_row *row)
{
    struct provision_existing *e = calloc(1, sizeof(*e));

    if (!e)
        return -ENOMEM;
    snprintf(e->id, sizeof(e->id), "%s", row->device);
    e->next = p->make.existing;
    p->make.existing = e;
    return 0;
}

static int commit_key(struct provision *p, const struct list_row *row, const struct config_uplink *u,
                      const char *identity, uint64_t n, const struct secret *key)
{
    struct vault_change *change = vault_change_new(p->fleet->vault, row->device, u->name);
    bool by_hand = u->registrar.type == CONFIG_REGISTRAR_COAP || u->registrar.type == CONFIG_REGISTRAR_MANUAL;
    int r;

    if (!change)
        return -ENOMEM;
    r = vault_change_put(change, VAULT_MAIN, identity, VAULT_PSK, key, p->options.force ? VAULT_FORCE_WEAK : 0,
                         &p->error);
    if (r >= 0)
        r = vault_change_counter(change, n);
    if (r >= 0)
        r = vault_change_rotation(change, NULL, 0);
    if (r >= 0 && !p->options.registered && !by_hand)
        r = vault_change_registration(change, VAULT_REGISTRATION_WAITING);
    if (r < 0) {
        vault_change_free(change);
        return r;
    }
    r = vault_commit(p->fleet->vault, change, on_key_committed, p);
    if (r < 0)
        return r;
    p->make.commits++;
    p->make.n_registrations += !p->options.registered && !by_hand;
    p->make.n_by_hand += !p->options.registered && by_hand;
    return 0;
}

static int make_key(struct provision *p, size_t i)
{
    const struct list_row *row = &p->page.rows->rows[i];
    const struct config_uplink *u = provision_uplink(p, i);
    const struct vault_entry *entry = vault_find(p->fleet->vault, row->device, u->name);
    _cleanup_(secret_freep) struct secret *key = NULL;
    uint64_t n = entry ? vault_identity_counter(entry) : 0;
    char identity[IDENTITY_MAX + 1];
    int r = make_identity(p, row, u, &n, identity);

    if (r >= 0 && row->key_size > 0)
        r = list_row_key(p->fleet->arena, row, &key);
    else if (r >= 0)
        r = vault_key_generate(p->fleet->vault, u->registrar.encoding && strcmp(u->registrar.encoding, "text") == 0,
                               &key);
    return r < 0 ? r : commit_key(p, row, u, identity, n, key);
}

int provision_make_row(struct provision *p, size_t i)
{
    const struct list_row *row = &p->page.rows->rows[i];
    const struct device *d = p->page.devices[i] || row->mistake ? NULL : provision_existing(p, row);
    const char *unfit = d ? provision_unfit(d) : NULL;
    int r;

    if (p->r < 0)
        return p->r;
    if (row->mistake || (!d && !p->page.devices[i]))
        return error_set(&p->error, -ESTALE, "the list has changed while it was read");
    if (d && provision_skips(p, d))
        return 0;
    if (unfit)
        return error_set(&p->error, -ESTALE, "row %zu: %s", row->number, unfit);
    r = make_key(p, i);
    if (r >= 0)
        r = d ? remember(p, row) : keep(p, i);
    if (r < 0)
        return *p->error.text ? r : error_errno(&p->error, r, "row %zu", row->number);
    p->job->done++;
    return 0;
}

/* ── Files ── */

static int run_store(void *userdata)
{
    struct provision *p = userdata;

    return config_devices_store(&p->fleet->dirs.paths, p->make.devices, p->make.texts, p->make.n, &p->error);
}

static int configure(struct provision *p)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    int r = config_with_many(p->fleet->config, p->make.devices, p->make.n, &config);

    if (r < 0)
        return r;
    config_unref(p->fleet->config);
    p->fleet->config = TAKE_PTR(config);
    return 0;
}

static void store_done(int r, void *userdata)
{
    struct provision *p = userdata;

    p->page.busy = false;
    if (!p->fleet) {
        provision_left(p);
        return;
    }
    if (r >= 0)
        r = configure(p);
    if (r < 0) {
        provision_end(p, r, p->error.text[0] ? p->error.text : strerrordesc_np(-r));
        return;
    }
    p->make.stored = true;
    provision_next_turn(p);
}

static void store_files(struct provision *p)
{
    int r = p->r;

    p->page.busy = true;
    if (r >= 0)
        r = workers_submit(p->fleet->pools.bulk, run_store, store_done, p);
    if (r < 0)
        store_done(r, p);
}

/* ── Devices ── */

/* One that was there begins anew, with its key and its samples. */
static void renew(struct provision *p, const char *id)
{
    _cleanup_(config_device_unrefp) struct config_device *config = NULL;
    struct device *d = fleet_find(p->fleet, id);
    struct error e = {0};

    if (!d)
        return;
    config = config_device_ref(d->config);
    fleet_drop(p->fleet, d, false);
    if (fleet_start_device(p->fleet, config, &e) < 0)
        log_error(id, "not loaded: %s", e.text);
}

static void say(struct provision *p)
{
    char text[160];

    log_notice(NULL, "provisioned: %u devices have keys, %zu wait to be registered", p->job->done,
               p->make.n_registrations);
    if (p->make.n_by_hand == 0)
        return;
    snprintf(text, sizeof(text), "%zu keys are to be carried to their cloud by hand: gatehousectl export FORMAT FILE",
             p->make.n_by_hand);
    job_note(p->job, "", "export", text);
}

static void start_some(struct provision *p)
{
    for (size_t n = 0; n < PROVISION_PER_TURN && p->make.started < p->make.n; n++) {
        struct config_device *config = p->make.devices[p->make.started++];
        struct error e = {0};

        if (fleet_start_device(p->fleet, config, &e) < 0)
            log_error(config->id, "not loaded: %s", e.text);
    }
    for (size_t n = 0; n < PROVISION_PER_TURN && p->make.existing; n++) {
        struct provision_existing *e = p->make.existing;

        p->make.existing = e->next;
        renew(p, e->id);
        free(e);
    }
}

void provision_finish(struct provision *p)
{
    struct error e = {0};

    if (!p->make.stored) {
        /* Every key is durable before a device can be seen. */
        p->job->cancel = NULL;
        p->make.waiting = p->make.commits > 0;
        if (p->make.waiting)
            return;
        store_files(p);
        return;
    }
    if (p->make.started == 0)
        fleet_raise_descriptors(p->fleet);
    start_some(p);
    if (p->make.started < p->make.n || p->make.existing) {
        provision_next_turn(p);
        return;
    }
    if (p->make.n > 0 && drivers_update_all(p->fleet, NULL, &e) < 0)
        log_error(NULL, "%s", e.text);
    say(p);
    fleet_changed(p->fleet);
    provision_end(p, 0, NULL);
}
