/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether rows of the vault are older than they were when it was last written to: once, when it is opened.
 *
 * Whoever puts the whole file back is not noticed; this is about one device's rows among others. What cannot be told is
 * said, and then taken as it is: somebody who wants more would put back the whole. */
#include "vault/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Its credentials, roles and rotation are those of another time: nothing of them is used, as if its state record did
 * not open. Its counter is set past whatever may have been given out since. */
static int set_aside(struct vault *v, struct vault_entry *entry, uint64_t missing)
{
    char *why;

    if (asprintf(&why,
                 "its rows are older than the vault: %" PRIu64 " change%s of them %s missing; were they put back?",
                 missing, missing == 1 ? "" : "s", missing == 1 ? "is" : "are") < 0)
        return -ENOMEM;
    for (int i = 0; i < 2; i++) {
        struct credential *c = &entry->slots[i];

        if (!c->view.present)
            continue;
        if (!c->view.quarantined)
            identity_unref(v, identity_find(v, c->view.identity));
        c->view.quarantined = true;
        c->view.fingerprint[0] = 0;
    }
    free(entry->quarantine);
    free(entry->rotation);
    entry->quarantine = why;
    entry->rotation = NULL;
    entry->rotation_size = 0;
    entry->registration = VAULT_REGISTERED;
    entry->identity_counter += VAULT_COUNTER_LEAP;
    v->n_live += !entry->live;
    entry->live = entry->state_lost = entry->put_back = true;
    return 0;
}

static int take(struct vault *v, struct vault_entry *entry, uint64_t stored, struct versions *difference,
                bool *older_record)
{
    uint64_t found = entry->version;

    versions_move(difference, entry->id, stored, found);
    /* The rows are newer than what is to vouch for them: that one was put back. */
    if (stored < found) {
        *older_record = true;
        return 0;
    }
    entry->version = stored;
    /* Which device is under way in a rotation of all harms nobody; one that does not open says already why. */
    if (entry->state_lost || strcmp(entry->device, VAULT_FLEET) == 0)
        return 0;
    return set_aside(v, entry, stored - found);
}

/* Takes out of the difference what one entry alone explains, until nothing is left or nothing more can be told. */
static int explain(struct vault *v, struct versions *difference, bool *older_record)
{
    bool some = true;

    while (some && !versions_are_none(difference)) {
        some = false;
        for (struct map_node *node = map_next(&v->entries, NULL); node; node = map_next(&v->entries, node)) {
            struct vault_entry *entry = MAP_ENTRY(node, struct vault_entry, node);
            uint64_t stored = versions_stored(difference, entry->id, entry->version);
            int r;

            if (stored == entry->version)
                continue;
            r = take(v, entry, stored, difference, older_record);
            if (r < 0)
                return r;
            some = true;
        }
    }
    return 0;
}

static void sum_up(struct vault *v, struct versions *ret)
{
    *ret = (struct versions){0};
    for (struct map_node *node = map_next(&v->entries, NULL); node; node = map_next(&v->entries, node)) {
        const struct vault_entry *entry = MAP_ENTRY(node, const struct vault_entry, node);

        versions_move(ret, entry->id, 0, entry->version);
    }
}

static const char *compare(struct vault *v, const struct versions *stored, const struct versions *found, int *ret_r)
{
    struct versions difference = *stored;
    bool older_record = false;

    versions_subtract(&difference, found);
    *ret_r = explain(v, &difference, &older_record);
    if (!versions_are_none(&difference))
        return "rows of the vault are missing, or so many were put back to an older version that it cannot be told which: devices "
               "without credentials, or with old ones, may be among them";
    return older_record
               ? "the vault's record of versions is older than its rows: it was put back. Rows that were put back with it "
                 "cannot be told from others"
               : NULL;
}

int put_back_look(struct vault *v, struct error *e)
{
    uint8_t sealed[VERSIONS_SEALED_SIZE];
    struct versions stored, found;
    size_t n;
    int r = store_read_versions(v->store, sealed, sizeof(sealed), &n, e);

    if (r < 0)
        return r;
    sum_up(v, &found);
    r = n > 0 ? versions_open(v->seals.keys.state, v->seals.keys.vault_id, sealed, n, &stored) : -ENOENT;
    if (r >= 0)
        v->put_back = compare(v, &stored, &found, &r);
    else if (r == -EBADMSG || (r == -ENOENT && !versions_are_none(&found))) {
        v->put_back = r == -ENOENT
                          ? "the vault's record of versions is missing: whether rows were put back cannot be told"
                          : "the vault's record of versions does not open: whether rows were put back cannot be told";
        r = 0;
    } else if (r == -ENOENT) /* of a version that wrote none */
        r = 0;
    if (r < 0)
        return error_errno(e, r, "cannot compare the versions of the vault's rows");
    sum_up(v, &v->versions);
    return 0;
}

const char *vault_put_back(const struct vault *vault)
{
    return vault->put_back;
}
