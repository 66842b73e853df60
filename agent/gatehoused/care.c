/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "care.h"

#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"
#include "base/terminal.h"
#include "vault/backup.h"
#include "vault/bind.h"
#include "vault/recover.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

int care_backup(struct vault *vault, const struct options *o)
{
    struct error e = {0};
    int r = vault_backup_sync(vault, o->backup, &e);

    if (r < 0)
        log_error(NULL, "%s", e.text[0] ? e.text : strerrordesc_np(-r));
    else
        log_audit(LOG_NOTICE, MESSAGE_BACKUP_MADE, NULL, getuid(),
                  "%s made; it opens with the present keyfile, or the present recovery key", o->backup);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

void care_ways_back(const struct options *o, const struct config *config, const char *vault)
{
    const char *keyfile = o->keyfile ?: KEYFILE_DIR "/" KEYFILE_CURRENT;

    if (access(vault, F_OK) < 0) {
        log_error(NULL, "there is no vault yet: gatehousectl vault init --keyfile %s makes a keyfile for a new one",
                  keyfile);
        return;
    }
    log_error(NULL,
              "the vault %s opens with its own keyfile only (`bind`: %s). No other keyfile is made. Three ways back:",
              vault, config->vault.bind ?: "not configured");
    log_error(NULL, "1. put a copy of its keyfile to %s, mode 0400, and bring back the value of `bind`", keyfile);
    log_error(NULL,
              "2. with the recovery key: if the keyfile is lost, gatehousectl vault init --keyfile %s; then gatehoused "
              "--recover --keyfile %s",
              keyfile, keyfile);
    log_error(
        NULL,
        "3. from a backup, with the keyfile of its time or its recovery key: gatehoused --restore FILE --keyfile %s, with "
        "--backup-keyfile OLD or --recover",
        keyfile);
}

/* Context of restoring and recovering. */
struct care {
    struct arena *arena;
    struct secret *recovery_key;
    struct bind_value bind;
    char path[PATH_MAX];
};

static void care_done(struct care *care)
{
    secret_free(care->recovery_key);
    arena_free(care->arena);
    explicit_bzero(&care->bind, sizeof(care->bind));
}

static int ask_recovery_key(struct care *care, struct error *e)
{
    bool typed = isatty(STDIN_FILENO);
    int r = typed ? terminal_hide(STDIN_FILENO, "Recovery key (not shown): ", e) : 0;

    if (r < 0)
        return r;
    r = recovery_key_read(care->arena, STDIN_FILENO, &care->recovery_key, e);
    if (typed)
        terminal_show();
    return r;
}

static int prepare(struct care *care, const struct options *o, const struct config *config, struct error *e)
{
    int r = arena_new(&care->arena, e);

    if (r >= 0 && snprintf(care->path, sizeof(care->path), "%s/" VAULT_FILE, o->state_dir) >= (int)sizeof(care->path))
        r = error_set(e, -ENAMETOOLONG, "%s: the path is too long", o->state_dir);
    if (r >= 0)
        r = bind_read(config->vault.bind, &care->bind, e);
    if (r < 0 || !o->recover)
        return r;
    return ask_recovery_key(care, e);
}

static void on_differs(const char *device, const char *uplink, const char *how, void *userdata)
{
    log_warning(device, "uplink %s: %s", uplink, how);
}

static int restore(const struct options *o, const struct config *config, struct error *e)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    _cleanup_(care_done) struct care care = {0};
    char replaced[VAULT_REPLACED_MAX];
    int r = prepare(&care, o, config, e);

    if (r >= 0)
        r = sd_event_new(&event);
    if (r >= 0)
        r = vault_restore(event, care.arena,
                          &(struct vault_restore){.path = care.path,
                                                  .file = o->restore,
                                                  .keyfile = o->keyfile,
                                                  .backup_keyfile = o->backup_keyfile,
                                                  .recovery_key = care.recovery_key,
                                                  .bind = care.bind.size > 0 ? care.bind.bytes : NULL,
                                                  .bind_size = care.bind.size,
                                                  .force = o->force,
                                                  .differs = on_differs},
                          replaced, e);
    if (r < 0)
        return r;
    log_audit(
        LOG_NOTICE, MESSAGE_VAULT_RESTORED, NULL, getuid(),
        "%s restored from %s%s: %d entries. Nothing is rotated or deleted for a device until one of its keys is accepted",
        care.path, o->restore, o->force ? ", forced" : "", r);
    if (*replaced)
        log_info(NULL,
                 "the vault that was there is kept as %s: it may hold keys that the cloud wants. A log beside it "
                 "(-wal) belongs to it",
                 replaced);
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

int care_recover(const struct options *o, const struct config *config)
{
    _cleanup_(care_done) struct care care = {0};
    struct error e = {0};
    int r = prepare(&care, o, config, &e);

    if (r >= 0)
        r = vault_wrap_anew(care.arena,
                            &(struct vault_wrapping){.path = care.path,
                                                     .keyfile = o->keyfile,
                                                     .bind = care.bind.size > 0 ? care.bind.bytes : NULL,
                                                     .bind_size = care.bind.size},
                            NULL, care.recovery_key, &e);
    if (r < 0)
        log_error(NULL, "nothing is recovered: %s", e.text[0] ? e.text : strerrordesc_np(-r));
    else
        log_audit(LOG_NOTICE, MESSAGE_VAULT_RECOVERED, NULL, getuid(),
                  "%s was opened with its recovery key, and opens with the present keyfile%s from now on", care.path,
                  config->vault.bind ? " and bind value" : "");
    return r == -EBUSY ? EXIT_LOCKED : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
