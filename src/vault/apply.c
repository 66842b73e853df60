/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries out the steps of a change on a copy of its entry, and makes the rows that say so to the store. */
#include "base/clock.h"
#include "vault/internal.h"

#include <string.h>

static struct credential *slot_of(struct vault_change *c, enum vault_slot slot)
{
    return &c->after.slots[entry_physical(&c->after, slot)];
}

static void forget(struct vault_change *c, unsigned physical)
{
    if (!c->after.slots[physical].view.present)
        return;
    credential_clear(&c->after.slots[physical]);
    c->write.slots[physical].changed = true;
    if (physical == c->after.main_slot)
        c->after.registration = VAULT_REGISTERED;
}

bool change_resets(const struct vault_change *c)
{
    for (const struct step *step = c->first; step; step = step->next)
        if (step->type == STEP_RESET)
            return true;
    return false;
}

int change_held_slot(const struct vault_entry *entry, const uint8_t *digest)
{
    for (int i = 0; i < 2; i++)
        if (entry->slots[i].has_digest && memcmp(entry->slots[i].digest, digest, DIGEST_KEPT) == 0)
            return i;
    return -1;
}

/* A quarantine ends with what caused it. */
static void review_quarantine(struct vault_entry *entry)
{
    if (entry->state_lost || entry->slots[0].view.quarantined || entry->slots[1].view.quarantined)
        return;
    free(entry->quarantine);
    entry->quarantine = NULL;
}

static int check_put(const struct vault_change *c, const struct step *step, unsigned physical, struct error *e)
{
    const struct credential *now = &c->after.slots[physical], *other = &c->after.slots[1 - physical];
    bool held = now->has_digest && memcmp(now->digest, step->digest, DIGEST_KEPT) == 0;
    const char *identity = step->identity->text;

    if (!(step->flags & VAULT_SHARES_IDENTITY) && other->view.present && !other->view.quarantined &&
        strcmp(other->view.identity, identity) == 0)
        return error_set(e, -EADDRINUSE, "the other slot of %s has the identity %s", c->entry->device, identity);
    /* Not reserved: the key was in this very slot when the step was made. It must still be, or have been reset. */
    if (!step->key_reserved && !held && !step->key_shared &&
        !(change_resets(c) && change_held_slot(c->entry, step->digest) == (int)physical))
        return error_set(e, -EEXIST, "device %s has or had this very key", c->entry->device);
    return 0;
}

/* Opens the record that waited and seals it for its place. */
static int reseal(struct vault_change *c, const struct step *step, unsigned physical, struct credential *next)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    const struct record_place place = entry_place(c->vault, c->entry);
    struct record_header header;
    uint8_t record[RECORD_MAX];
    size_t size;
    int r = record_parse(step->data, step->size, &header);

    if (r >= 0)
        r = record_open(c->vault->seals.waiting_key, &place, RECORD_SLOT_WAITING, 0, step->data, step->size, &key);
    if (r < 0)
        return r;
    header.slot = (uint8_t)physical;
    header.generation = next->view.generation;
    r = record_seal(c->vault->seals.keys.record, &place, &header, key, record, &size);
    if (r >= 0)
        r = keys_fingerprint(&c->vault->seals.keys, key, next->view.fingerprint);
    if (r >= 0)
        r = credential_text(&next->identity, &next->view.identity, header.identity);
    if (r < 0)
        return r;
    next->record = malloc(size);
    if (!next->record)
        return -ENOMEM;
    memcpy(next->record, record, size);
    next->record_size = size;
    next->view.kind = header.kind;
    return 0;
}

static int apply_put(struct vault_change *c, const struct step *step, struct error *e)
{
    unsigned physical = entry_physical(&c->after, step->slot);
    struct credential *now = &c->after.slots[physical];
    struct credential next = {.view = {.present = true, .identity = "", .cloud_id = ""}, .has_digest = true};
    int r = check_put(c, step, physical, e);

    if (r < 0)
        return r;
    next.view.generation = ++c->after.generation;
    next.view.since = clock_synchronized() ? clock_realtime() : 0;
    memcpy(next.digest, step->digest, DIGEST_KEPT);
    r = reseal(c, step, physical, &next);
    if (r < 0) {
        credential_clear(&next);
        return error_errno(e, r, "cannot seal the key of %s", c->entry->device);
    }
    credential_clear(now);
    *now = next;
    c->write.slots[physical].changed = true;
    c->after.live = true;
    if (step->slot == VAULT_MAIN)
        c->after.registration = VAULT_REGISTERED;
    return 0;
}

static int apply_rotation(struct vault_entry *entry, const struct step *step)
{
    uint8_t *copy = NULL;

    if (step->size > 0) {
        copy = malloc(step->size);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, step->data, step->size);
    }
    free(entry->rotation);
    entry->rotation = copy;
    entry->rotation_size = (uint16_t)step->size;
    return 0;
}

static void clear(struct vault_change *c)
{
    struct vault_entry *after = &c->after;

    forget(c, 0);
    forget(c, 1);
    free(after->rotation);
    free(after->unknown);
    after->rotation = after->unknown = NULL;
    after->rotation_size = after->unknown_size = 0;
    after->main_slot = 0;
    after->registration = VAULT_REGISTERED;
    after->state_lost = after->restored = false;
}

static void apply_remove(struct vault_change *c)
{
    clear(c);
    c->after.live = false;
}

/* A key that is put again stays in the slot under which the index of keys has it. */
static void apply_reset(struct vault_change *c)
{
    clear(c);
    for (const struct step *step = c->first; step; step = step->next)
        if (step->type == STEP_PUT && !step->key_reserved && change_held_slot(c->entry, step->digest) >= 0)
            c->after.main_slot = (uint8_t)change_held_slot(c->entry, step->digest);
}

/* Applies a step that needs a credential in its slot. */
static int apply_detail(struct vault_change *c, const struct step *step, struct error *e)
{
    struct credential *credential = slot_of(c, step->slot);

    if (!credential->view.present)
        return error_set(e, -ENOENT, "the %s slot of %s is empty", vault_slot_to_string(step->slot), c->entry->device);
    switch (step->type) {
    case STEP_CLOUD_ID:
        return credential_text(&credential->cloud_id, &credential->view.cloud_id, (const char *)step->data);
    case STEP_AUTHENTICATED:
        credential->view.last_authenticated = step->value;
        return 0;
    case STEP_REGISTRATION:
        c->after.registration = (enum vault_registration)step->value;
        return 0;
    case STEP_PUT:
    case STEP_SWAP:
    case STEP_FORGET:
    case STEP_ROTATION:
    case STEP_COUNTER:
    case STEP_RESTORED:
    case STEP_RESET:
    case STEP_REMOVE:
        break;
    }
    return -EINVAL;
}

static int apply_step(struct vault_change *c, const struct step *step, struct error *e)
{
    struct vault_entry *after = &c->after;

    if (after->state_lost && step->type != STEP_REMOVE && step->type != STEP_RESET)
        return error_set(e, -EBADMSG,
                         "the state record of %s does not open: `key set %s IDENTITY --force` begins again",
                         c->entry->device, c->entry->device);
    if (step->type != STEP_REMOVE)
        after->live = true;
    switch (step->type) {
    case STEP_PUT:
        return apply_put(c, step, e);
    case STEP_SWAP:
        if (!slot_of(c, VAULT_BACKUP)->view.present)
            return error_set(e, -ENOENT, "%s has no backup credential to promote", c->entry->device);
        after->main_slot = 1 - after->main_slot;
        after->registration = VAULT_REGISTERED;
        return 0;
    case STEP_FORGET:
        forget(c, entry_physical(after, step->slot));
        return 0;
    case STEP_ROTATION:
        return apply_rotation(after, step);
    case STEP_COUNTER:
        after->identity_counter = MAX_OF(after->identity_counter, step->value);
        return 0;
    case STEP_RESTORED:
        after->restored = step->value != 0;
        return 0;
    case STEP_RESET:
        apply_reset(c);
        return 0;
    case STEP_REMOVE:
        apply_remove(c);
        return 0;
    case STEP_CLOUD_ID:
    case STEP_REGISTRATION:
    case STEP_AUTHENTICATED:
        return apply_detail(c, step, e);
    }
    return -EINVAL;
}

static bool same_key(const struct credential *a, const struct credential *b)
{
    return a->has_digest && b->has_digest && memcmp(a->digest, b->digest, DIGEST_KEPT) == 0;
}

static int make_key_rows(struct vault_change *c)
{
    size_t n = 0;

    for (const struct step *step = c->first; step; step = step->next)
        n += step->key_reserved;
    if (n == 0)
        return 0;
    c->write.keys = calloc(n, sizeof(*c->write.keys));
    if (!c->write.keys)
        return -ENOMEM;
    for (const struct step *step = c->first; step; step = step->next) {
        int slot = -1;

        if (!step->key_reserved)
            continue;
        for (int i = 0; !step->key_shared && i < 2; i++)
            if (c->after.slots[i].has_digest && memcmp(c->after.slots[i].digest, step->digest, DIGEST_KEPT) == 0)
                slot = i;
        c->write.keys[c->write.n_keys].digest = step->digest;
        c->write.keys[c->write.n_keys++].slot = slot;
    }
    return 0;
}

static int make_state(struct vault_change *c)
{
    const struct record_place place = entry_place(c->vault, c->entry);
    uint8_t sealed[STATE_SEALED_MAX];
    struct state state;
    size_t size;
    int r;

    entry_to_state(&c->after, &state);
    r = state_seal(c->vault->seals.keys.state, &place, &state, sealed, &size);
    if (r < 0)
        return r;
    c->state = malloc(size);
    if (!c->state)
        return -ENOMEM;
    memcpy(c->state, sealed, size);
    c->write.state = c->state;
    c->write.state_size = size;
    return 0;
}

static int make_rows(struct vault_change *c, const struct vault_entry *before)
{
    int r = make_key_rows(c);

    if (r >= 0)
        r = make_state(c);
    for (int i = 0; i < 2; i++) {
        const struct credential *after = &c->after.slots[i];

        if (!c->write.slots[i].changed)
            continue;
        c->write.slots[i].record = after->record;
        c->write.slots[i].size = after->record_size;
        c->write.slots[i].retire_key = !same_key(&before->slots[i], after);
        c->forgets = c->forgets || before->slots[i].view.present;
    }
    return r;
}

int change_prepare(struct vault_change *c)
{
    const struct vault_entry *before;
    struct error reason = {0};
    int r = c->failed;

    if (r < 0)
        return r;
    before = c->entry->projected ? c->entry->projected : c->entry;
    c->write = (struct store_write){.device = c->entry->device, .uplink = c->entry->uplink};
    r = entry_copy(before, &c->after);
    for (const struct step *step = c->first; r >= 0 && step; step = step->next)
        r = apply_step(c, step, &reason);
    if (r >= 0) {
        c->version = before->version;
        c->after.version = before->version + 1;
        review_quarantine(&c->after);
        r = make_rows(c, before);
    }
    if (r < 0) {
        if (!*reason.text)
            error_errno(&reason, r, "cannot change the credentials of %s", c->entry->device);
        c->failed = r;
        c->error = reason;
        change_unprepare(c);
        return r;
    }
    c->entry->projected = &c->after;
    return 0;
}

void change_unprepare(struct vault_change *c)
{
    entry_clear(&c->after);
    free(c->state);
    free(c->write.keys);
    c->state = NULL;
    c->write.keys = NULL;
}

static bool holds_identity(const struct credential *c)
{
    return c->view.present && !c->view.quarantined;
}

void change_apply(struct vault_change *c)
{
    struct vault_entry *entry = c->entry, *after = &c->after;
    struct vault *v = c->vault;
    struct identity_row *row;

    for (struct step *step = c->first; step; step = step->next) {
        struct key_row *key = step->key_reserved ? key_row_find(v, step->digest) : NULL;

        if (key)
            key->committed = true;
    }
    /* New references first: the rows exist, held by the steps or by the entry as it was, so nothing is allocated. */
    for (int i = 0; i < 2; i++)
        if (holds_identity(&after->slots[i]))
            identity_ref(v, after->slots[i].view.identity, entry->device, &row);
    for (int i = 0; i < 2; i++)
        if (holds_identity(&entry->slots[i]))
            identity_unref(v, identity_find(v, entry->slots[i].view.identity));
    v->n_live = v->n_live - entry->live + after->live;
    entry_clear(entry);
    after->node = entry->node;
    *entry = *after;
    entry->projected = NULL;
    *after = (struct vault_entry){0};
}
