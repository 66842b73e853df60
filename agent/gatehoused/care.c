/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "care.h"

#include "base/log.h"
#include "base/names.h"
#include "vault/backup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int care_backup(struct vault *vault, const struct options *o)
{
    struct error e = {0};
    int r = vault_backup_sync(vault, o->backup, &e);

    if (r < 0)
        log_error(NULL, "%s", e.text[0] ? e.text : strerrordesc_np(-r));
    else
        log_info(NULL, "%s made; it opens with the present keyfile, or the present recovery key", o->backup);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void on_differs(const char *device, const char *uplink, const char *how, void *userdata)
{
    log_warning(device, "uplink %s: %s", uplink, how);
}

static int restore(const struct options *o, const struct config *config, struct error *e)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    _cleanup_(arena_freep) struct arena *arena = NULL;
    char path[4096], replaced[VAULT_REPLACED_MAX];
    const struct vault_restore options = {.path = path,
                                          .file = o->restore,
                                          .keyfile = o->keyfile,
                                          .backup_keyfile = o->backup_keyfile,
                                          .force = o->force,
                                          .differs = on_differs};
    int r = sd_event_new(&event);

    if (r >= 0)
        r = arena_new(&arena, e);
    if (r < 0)
        return r;
    if (snprintf(path, sizeof(path), "%s/" VAULT_FILE, o->state_dir) >= (int)sizeof(path))
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", o->state_dir);
    r = vault_restore(event, arena, &options, replaced, e);
    if (r < 0)
        return r;
    log_info(NULL,
             "%s restored: %d entries. Nothing is rotated or deleted for a device until one of its keys is accepted",
             path, r);
    if (*replaced)
        log_info(NULL, "the vault that was there is kept as %s: it may hold keys that the cloud wants", replaced);
    return 0;
}

int care_restore(const struct options *o, const struct config *config)
{
    struct error e = {0};
    int r = restore(o, config, &e);

    if (r < 0)
        log_error(NULL, "nothing is restored: %s", e.text[0] ? e.text : strerrordesc_np(-r));
    return r == -EBUSY ? EXIT_LOCKED : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
