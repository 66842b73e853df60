/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is a row right, before anything is done? */
#include "base/text.h"
#include "device/damage.h"
#include "device/facts.h"
#include "device/job.h"
#include "device/provision-internal.h"
#include "rotation/carrier.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED_IDENTITY "gatehouse-unused"

/* ── Distinct within the list ── */

static int any(const struct map_node *node, const void *key)
{
    return 1;
}

/* Hashes are taken for what they are of: two of a list's that are the same by chance are one in a hundred thousand
 * million lists. False: it came before, and the mistake is told. As many as there may be devices are remembered. */
static bool distinct(struct provision *p, const struct list_row *row, const char *what, uint64_t hash)
{
    struct map_node *node = map_find(&p->check.seen, hash, any, NULL);
    struct seen *seen;
    char text[64];

    if (node) {
        snprintf(text, sizeof(text), "%s: row %zu has the same", what, MAP_ENTRY(node, struct seen, node)->row);
        provision_mistake(p, row, text);
        return false;
    }
    if (p->check.seen.count >= 4 * DEVICES_MAX)
        return true;
    seen = malloc(sizeof(*seen));
    if (!seen)
        return true;
    seen->row = row->number;
    if (map_insert(&p->check.seen, &seen->node, hash) < 0)
        free(seen);
    return true;
}

static uint64_t hash_of(const char *what, const char *text)
{
    return map_hash_combine(map_hash_text(what), map_hash_text(text));
}

void provision_check_done(struct provision *p)
{
    for (struct map_node *node = map_next(&p->check.seen, NULL), *next; node; node = next) {
        next = map_next(&p->check.seen, node);
        free(MAP_ENTRY(node, struct seen, node));
    }
    map_done(&p->check.seen);
    p->check.seen = (struct map){0};
    for (size_t i = 0; i < p->check.n_drivers; i++)
        free(p->check.drivers[i].driver);
    free(p->check.drivers);
    p->check.drivers = NULL;
    p->check.n_drivers = 0;
}

/* ── Room ── */

static size_t *count_of(struct provision *p, const char *driver)
{
    struct driver_count *drivers;

    for (size_t i = 0; i < p->check.n_drivers; i++)
        if (strcmp(p->check.drivers[i].driver, driver) == 0)
            return &p->check.drivers[i].n;
    drivers = reallocarray(p->check.drivers, p->check.n_drivers + 1, sizeof(*drivers));
    if (!drivers)
        return NULL;
    p->check.drivers = drivers;
    drivers[p->check.n_drivers] = (struct driver_count){.driver = strdup(driver)};
    if (!drivers[p->check.n_drivers].driver)
        return NULL;
    for (size_t i = 0; i < p->fleet->config->n_devices; i++)
        drivers[p->check.n_drivers].n += strcmp(p->fleet->config->devices[i]->driver, driver) == 0;
    return &drivers[p->check.n_drivers++].n;
}

static bool room(struct provision *p, const struct list_row *row, const struct config_device *d)
{
    char text[128];
    size_t *n;

    if (p->fleet->config->n_devices + ++p->check.n_new > DEVICES_MAX) {
        snprintf(text, sizeof(text), "there would be more than %d devices", DEVICES_MAX);
        provision_mistake(p, row, text);
        return false;
    }
    if (p->check.n_drivers >= LINK_DRIVERS_MAX)
        return true;
    n = count_of(p, d->driver);
    if (!n || ++*n <= LINK_DEVICES_MAX)
        return true;
    snprintf(text, sizeof(text), "driver %.32s would have more than %d devices", d->driver, LINK_DEVICES_MAX);
    provision_mistake(p, row, text);
    return false;
}

/* ── What is there already ── */

const char *provision_unfit(const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    const struct rotation *machine = d->keys.rotation ? rotation_carrier_machine(d->keys.rotation) : NULL;

    if (device_damaged(d))
        return "device: its key is damaged in the vault (`key set` with --force first, or remove it)";
    if (entry && (vault_credential(entry, VAULT_MAIN)->present || vault_credential(entry, VAULT_BACKUP)->present))
        return "device: it has a key already (`key forget` first, or --skip-existing)";
    if (!machine || machine->d.state != ROTATION_IDLE || machine->d.removing || d->keys.pending || d->keys.act)
        return "device: a change of its keys is under way";
    return NULL;
}

bool provision_skips(const struct provision *p, const struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;

    return p->options.skip && main && main->present && !main->quarantined && !device_damaged(d);
}

/* Whether the vault has or had the key of a row, in whichever slot. */
static bool key_known(const struct provision *p, const struct list_row *row, const struct config_uplink *u)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    bool known = false;

    if (list_row_key(p->fleet->arena, row, &key) < 0)
        return false;
    for (int slot = VAULT_MAIN; slot <= VAULT_BACKUP && !known; slot++) {
        _cleanup_(vault_change_freep) struct vault_change *c = vault_change_new(p->fleet->vault, row->device, u->name);

        known = c && vault_change_put(c, (enum vault_slot)slot, UNUSED_IDENTITY, VAULT_PSK, key, VAULT_FORCE_WEAK,
                                      NULL) == -EEXIST;
    }
    return known;
}

/* The list may be the only place of a key that is not taken: its owner is told. */
static void skip(struct provision *p, const struct list_row *row, const struct config_uplink *u)
{
    char text[96];

    if (row->key_size == 0 || key_known(p, row, u) || p->check.n_unused++ >= MISTAKES_MAX)
        return;
    snprintf(text, sizeof(text), "row %zu: the device has another key, and this one is not taken", row->number);
    job_note(p->job, row->device, "unused", text);
}

static const char *taken(struct provision *p, const struct list_row *row, const struct config_device *d)
{
    const struct vault_entry *entry = vault_find(p->fleet->vault, d->id, d->uplink);

    for (const struct device *t = p->fleet->index.tombstones; t; t = t->grave.next)
        if (strcmp(t->config->id, d->id) == 0 && !t->grave.exhume)
            return "device: it was removed, but the cloud has not yet deleted its credentials";
    if (entry && vault_credential(entry, VAULT_MAIN)->present &&
        vault_registration(entry) != VAULT_REGISTRATION_WAITING)
        return "device: the vault has kept a key of it; `device add` brings it back with that";
    return NULL;
}

/* ── Keys ── */

static bool text_wanted(struct provision *p, const struct config_uplink *u)
{
    return u->registrar.encoding && strcmp(u->registrar.encoding, "text") == 0 && !p->options.registered;
}

/* The key and the identity that the row brings; what it does not bring stands for itself. */
static int check_credential(struct provision *p, const struct list_row *row, const struct config_uplink *u,
                            struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    char identity[IDENTITY_MAX + 1] = UNUSED_IDENTITY;
    uint64_t digest;
    int r = 0;

    if (!row->identity && row->key_size == 0)
        return 0;
    if (row->identity && provision_identity(u, row->identity, identity) < 0)
        return error_set(e, -EINVAL, "identity: it has over %d bytes", IDENTITY_MAX);
    if (row->identity && !distinct(p, row, "identity", hash_of("identity", identity)))
        return 0;
    if (row->key_size > 0)
        r = list_row_key(p->fleet->arena, row, &key);
    else
        r = vault_key_generate(p->fleet->vault, false, &key);
    if (r >= 0)
        r = vault_put_check(p->fleet->vault, row->device, u->name, identity, key,
                            p->options.force ? VAULT_FORCE_WEAK : 0, e);
    if (r >= 0 && row->key_size > 0)
        r = vault_key_digest(p->fleet->vault, key, &digest);
    if (r < 0)
        return r;
    if (row->key_size > 0 && text_wanted(p, u) && !text_printable(row->key, row->key_size))
        return error_set(e, -EINVAL, "key: the cloud of uplink %s takes keys as text, and this is none", u->name);
    if (row->key_size > 0)
        distinct(p, row, "key", map_hash_combine(map_hash_text("key"), digest));
    return 0;
}

void provision_check_row(struct provision *p, size_t i)
{
    const struct list_row *row = &p->page.rows->rows[i];
    const struct config_device *config = p->page.devices[i];
    const struct device *d = config || row->mistake ? NULL : provision_existing(p, row);
    const char *wrong = row->mistake;
    struct error e = {0};

    p->check.n_rows++;
    if (!wrong && !config && !d)
        wrong = "device: it is configured, and could not be loaded";
    if (!wrong && d)
        wrong = provision_unfit(d);
    if (!row->mistake && d && provision_skips(p, d)) {
        skip(p, row, provision_uplink(p, i));
        return;
    }
    if (!wrong && config)
        wrong = taken(p, row, config);
    if (wrong) {
        provision_mistake(p, row, wrong);
        return;
    }
    if (!distinct(p, row, "device", hash_of("device", row->device)) || (config && !room(p, row, config)))
        return;
    if (config && config->client && config->enabled &&
        !distinct(p, row, "hardware_id, which makes its client id", hash_of("client", config->client)))
        return;
    if (check_credential(p, row, provision_uplink(p, i), &e) < 0)
        provision_mistake(p, row, e.text[0] ? e.text : "it cannot be checked: no memory");
}
