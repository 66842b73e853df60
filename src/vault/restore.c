/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restore: the backup becomes a complete vault under another name, is compared with the present one, and takes its
 * place in one rename. */
#include "base/database.h"
#include "base/durable.h"
#include "vault/backup.h"
#include "vault/internal.h"
#include "vault/keyfile.h"
#include "vault/recover.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEMPORARY "restore~"
#define REPLACED_MAX 1000

struct restoring {
    sd_event *event;
    struct arena *arena;
    const struct vault_restore *options;
    char temporary[PATH_MAX];
    uint8_t *image;
    size_t image_size;
    struct vault_keys keys; /* of the backup */
    struct vault *restored, *present;
    bool newer;
};

/* ── The backup becomes a vault of its own ── */

/* The keyfile of the agent, or the one that a rekey was about to put in its place. */
static int open_with_keyfile(struct restoring *g, const struct backup *b, struct error *e)
{
    const char *path = g->options->backup_keyfile ?: g->options->keyfile;
    _cleanup_(secret_freep) struct secret *keyfile = NULL, *next = NULL, *key = NULL;
    int r = keyfile_read(g->arena, path, &keyfile, e), match;

    if (r < 0)
        return r;
    match = keys_match(keyfile, &b->sealed);
    if (match == 0 && keyfile_read_next(g->arena, path, &next, NULL) >= 0)
        match = keys_match(next, &b->sealed);
    if (match == 0)
        return error_set(e, -EKEYREJECTED,
                         "this is not the backup's keyfile: a backup opens with the keyfile of its time%s",
                         b->sealed.has_recovery ? ", or with the recovery key of its time" : "");
    if (match > 0 && b->sealed.bound) {
        r = keys_open(next ?: keyfile, g->options->bind, g->options->bind_size, &b->sealed, &g->keys, e);
        return r == -EKEYREJECTED ? error_prefix(e, r, "it was made by itself and is for its own board%s",
                                                 b->sealed.has_recovery ? ", or opens with the recovery key" : "")
                                  : r;
    }
    r = match < 0 ? match : derive_key(next ?: keyfile, b->sealed.vault_id, LABEL_BACKUP, &key);
    return r < 0 ? error_errno(e, r, "cannot derive the backup's key")
                 : keys_open_backup(key, &b->sealed, b->wrap, &g->keys, e);
}

static int open_backup(struct restoring *g, struct error *e)
{
    _cleanup_free_ char *data = NULL;
    struct backup b;
    size_t n;
    int r = file_read(AT_FDCWD, g->options->file, VAULT_BACKUP_MAX, &data, &n, e);

    if (r < 0)
        return r;
    r = backup_parse((uint8_t *)data, n, &b);
    if (r == -EPROTONOSUPPORT)
        return error_set(e, r, "%s has a later format than this version knows", g->options->file);
    if (r < 0)
        return error_set(e, r, "%s is not a backup of a vault", g->options->file);
    r = g->options->recovery_key ? keys_open_recovery(g->options->recovery_key, &b.sealed, &g->keys, e)
                                 : open_with_keyfile(g, &b, e);
    if (r >= 0)
        r = backup_open(&b, &g->keys, &g->image, &g->image_size, e);
    return r < 0 ? error_prefix(e, r, "cannot open %s", g->options->file) : 0;
}

static void remove_temporary(const struct restoring *g)
{
    static const char *const also[] = {"", "-wal", "-journal", ".lock"};
    char name[PATH_MAX];

    for (size_t i = 0; i < ELEMENTSOF(also); i++)
        if (snprintf(name, sizeof(name), "%s%s", g->temporary, also[i]) < (int)sizeof(name))
            unlink(name);
}

static int open_vault(struct restoring *g, const char *path, struct vault **ret, struct error *e)
{
    const struct vault_options options = {.path = path,
                                          .keyfile = g->options->keyfile,
                                          .bind = g->options->bind,
                                          .bind_size = g->options->bind_size,
                                          .allow_volatile = true};

    return vault_open(g->event, g->arena, &options, ret, e);
}

/* Under the keyfile and the bind value of this machine. */
static int make_vault(struct restoring *g, struct error *e)
{
    const struct vault_wrapping wrapping = {.path = g->temporary,
                                            .keyfile = g->options->keyfile,
                                            .bind = g->options->bind,
                                            .bind_size = g->options->bind_size};
    int r;

    remove_temporary(g);
    r = durable_create(AT_FDCWD, g->temporary, g->image, g->image_size, 0600, e);
    if (r >= 0)
        r = vault_wrap_anew(g->arena, &wrapping, &g->keys, NULL, e);
    return r < 0 ? r : open_vault(g, g->temporary, &g->restored, e);
}

/* ── Compared with the present one ── */

static void differs(struct restoring *g, const struct vault_entry *entry, const char *how)
{
    g->newer = true;
    if (g->options->differs)
        g->options->differs(entry->device, entry->uplink, how, g->options->userdata);
}

static bool holds(const struct vault_entry *entry, const char *fingerprint)
{
    for (int i = 0; i < 2; i++)
        if (entry->slots[i].view.present && strcmp(entry->slots[i].view.fingerprint, fingerprint) == 0)
            return true;
    return false;
}

/* Reports credentials of the present vault that the backup lacks. Fingerprints are comparable: every rekey keeps the
 * fingerprint key. */
static void compare_entry(struct restoring *g, const struct vault_entry *present)
{
    const struct vault_entry *restored = vault_find(g->restored, present->device, present->uplink);
    const struct vault_credential *main = vault_credential(present, VAULT_MAIN);

    if (!restored) {
        differs(g, present, "not in the backup");
        return;
    }
    for (int i = 0; i < 2; i++) {
        const struct vault_credential *c = &present->slots[i].view;

        if (c->present && !c->quarantined && !holds(restored, c->fingerprint)) {
            differs(g, present, "has a newer key, which the backup has not");
            return;
        }
    }
    if (main->present && !main->quarantined &&
        strcmp(main->fingerprint, vault_credential(restored, VAULT_MAIN)->fingerprint) != 0)
        differs(g, present, "has the backup's other key as its main key");
}

static void compare(struct restoring *g)
{
    for (const struct vault_entry *p = vault_next(g->present, NULL); p; p = vault_next(g->present, p))
        if (strcmp(p->device, VAULT_FLEET) != 0)
            compare_entry(g, p);
    for (const struct vault_entry *r = vault_next(g->restored, NULL); r; r = vault_next(g->restored, r))
        if (strcmp(r->device, VAULT_FLEET) != 0 && !vault_find(g->present, r->device, r->uplink))
            differs(g, r, "has been removed since the backup");
}

/* 1: compared. 0: there is nothing to compare it with, or it cannot be read and is replaced by force. */
static int look_at_present(struct restoring *g, struct error *e)
{
    struct error why = {0};
    int r;

    if (access(g->options->path, F_OK) < 0)
        return errno == ENOENT ? 0 : error_errno(e, -errno, "cannot look at %s", g->options->path);
    r = open_vault(g, g->options->path, &g->present, &why);
    if (r == -EBUSY)
        return error_set(e, r, "%s", why.text);
    if (r < 0)
        return g->options->force ? 0
                                 : error_set(e, -ESTALE,
                                             "the present vault cannot be compared with the backup (%s); --force "
                                             "replaces it, and keeps it beside",
                                             why.text);
    if (memcmp(g->present->seals.keys.vault_id, g->restored->seals.keys.vault_id, VAULT_ID_SIZE) != 0) {
        if (!g->options->force && vault_entries(g->present) > 0)
            return error_set(e, -ESTALE,
                             "the backup is of another vault than the present one, which has keys of %zu devices; "
                             "--force replaces it, and keeps it beside",
                             vault_entries(g->present));
        return 0;
    }
    compare(g);
    if (g->newer && !g->options->force)
        return error_set(e, -ESTALE,
                         "the backup is older than the present vault: keys that the cloud may need are not in it; "
                         "--force puts it back nevertheless, and keeps the present one beside");
    return 1;
}

/* ── Marked as restored ── */

/* Keeps a sensor's counter of the present vault while its key is unchanged: otherwise messages recorded since the
 * backup would be accepted again. */
static void keep_counted(struct vault_change *c, const struct vault_entry *restored, const struct vault_entry *present)
{
    const struct vault_credential *a = vault_credential(restored, VAULT_MAIN),
                                  *b = vault_credential(present, VAULT_MAIN);

    if (a->present && b->present && !present->state_lost && strcmp(a->fingerprint, b->fingerprint) == 0)
        vault_change_rotation(c, present->rotation, present->rotation_size);
}

static int mark_entry(struct restoring *g, struct vault_entry *entry)
{
    uint64_t counter = entry->identity_counter;
    struct vault_entry *present = NULL;
    struct vault_change *c;

    if (g->present && entry_get(g->present, entry->device, entry->uplink, &present) >= 0)
        counter = MAX_OF(counter, present->identity_counter);
    c = vault_change_new(g->restored, entry->device, entry->uplink);
    if (!c)
        return -ENOMEM;
    vault_change_counter(c, counter + VAULT_COUNTER_LEAP);
    if (entry->live && strcmp(entry->uplink, VAULT_OF_SENSOR) == 0 && present)
        keep_counted(c, entry, present);
    else if (entry->live && !vault_entry_internal(entry)) /* no cloud will ever accept what it never sees */
        vault_change_restored(c, true);
    else if (!entry->live)
        vault_change_remove(c); /* it has nothing but its counter */
    /* It may have been offered since. */
    if (entry->live && entry->registration == VAULT_REGISTRATION_WAITING)
        vault_change_registration(c, VAULT_REGISTRATION_OFFERED);
    return vault_commit(g->restored, c, NULL, NULL);
}

/* An entry in quarantine takes no change, and its counter has already leapt. */
static int mark(struct restoring *g, struct error *e)
{
    struct vault *v = g->restored;
    int r = 0;

    for (struct map_node *node = map_next(&v->entries, NULL); r >= 0 && node; node = map_next(&v->entries, node)) {
        struct vault_entry *entry = MAP_ENTRY(node, struct vault_entry, node);

        if (!entry->state_lost)
            r = mark_entry(g, entry);
    }
    if (r >= 0)
        r = vault_flush(v);
    return r < 0 ? error_errno(e, r, "cannot mark the devices as restored") : 0;
}

/* ── In its place ── */

/* Of a vault that is damaged: SQLite would play them into another file of that name. */
static int move_logs(const char *from, const char *to, struct error *e)
{
    static const char *const logs[] = {"-wal", "-journal"};
    char a[PATH_MAX], b[PATH_MAX];

    for (size_t i = 0; i < ELEMENTSOF(logs); i++) {
        if (snprintf(a, sizeof(a), "%s%s", from, logs[i]) >= (int)sizeof(a) ||
            snprintf(b, sizeof(b), "%s%s", to, logs[i]) >= (int)sizeof(b))
            return error_set(e, -ENAMETOOLONG, "%s: the path is too long", from);
        if (rename(a, b) < 0 && errno != ENOENT)
            return error_errno(e, -errno, "cannot keep %s as %s", a, b);
    }
    return 0;
}

/* The present vault under another name as well; it loses this one by the rename that follows. */
static int keep_present(const struct restoring *g, char replaced[VAULT_REPLACED_MAX], struct error *e)
{
    const char *path = g->options->path;
    char to[PATH_MAX];

    *replaced = 0;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    store_settle(path);
    for (unsigned i = 1; i <= REPLACED_MAX; i++) {
        if (snprintf(to, sizeof(to), "%s.replaced-%u", path, i) >= (int)sizeof(to))
            return error_set(e, -ENAMETOOLONG, "%s: the path is too long", path);
        if (link(path, to) == 0)
            break;
        if (errno != EEXIST || i == REPLACED_MAX)
            return error_errno(e, -errno, "cannot keep the present vault as %s", to);
    }
    snprintf(replaced, VAULT_REPLACED_MAX, "%s", to);
    return move_logs(path, replaced, e);
}

/* Closing has moved its log into the file, unless the disk would not take it. */
static int check_closed(const struct restoring *g, struct error *e)
{
    char log[PATH_MAX];
    struct stat st;

    if (snprintf(log, sizeof(log), "%s-wal", g->temporary) >= (int)sizeof(log))
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", g->temporary);
    return stat(log, &st) == 0 && st.st_size > 0 ? error_set(e, -EIO, "cannot complete %s: its log remains", log) : 0;
}

static int take_place(struct restoring *g, char replaced[VAULT_REPLACED_MAX], struct error *e)
{
    _cleanup_(store_freep) struct store *lock = NULL;
    int r;

    g->restored = vault_free(g->restored);
    g->present = vault_free(g->present);
    r = check_closed(g, e);
    if (r >= 0)
        r = store_new(g->options->path, &lock, e);
    if (r >= 0)
        r = database_own(g->temporary, e);
    if (r >= 0)
        r = keep_present(g, replaced, e);
    if (r >= 0)
        r = durable_rename(AT_FDCWD, g->temporary, g->options->path, e);
    /* It stays where it is, unless the new one has its name already and only that is not certain to last. */
    if (r < 0 && *replaced && access(g->temporary, F_OK) == 0)
        move_logs(replaced, g->options->path, NULL);
    return r;
}

static void restoring_done(struct restoring *g)
{
    vault_free(g->restored);
    vault_free(g->present);
    keys_done(&g->keys);
    free(g->image);
    if (*g->temporary)
        remove_temporary(g);
}

int vault_restore(sd_event *event, struct arena *arena, const struct vault_restore *options,
                  char replaced[VAULT_REPLACED_MAX], struct error *e)
{
    _cleanup_(restoring_done) struct restoring g = {.event = event, .arena = arena, .options = options};
    int r, n;

    if (snprintf(g.temporary, sizeof(g.temporary), "%s." TEMPORARY, options->path) >= (int)sizeof(g.temporary)) {
        *g.temporary = 0;
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", options->path);
    }
    r = open_backup(&g, e);
    if (r >= 0)
        r = make_vault(&g, e);
    if (r >= 0)
        r = look_at_present(&g, e);
    if (r >= 0)
        r = mark(&g, e);
    if (r < 0)
        return r;
    n = (int)vault_entries(g.restored);
    r = take_place(&g, replaced, e);
    return r < 0 ? r : n;
}
