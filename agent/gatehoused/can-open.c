/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "can-open.h"

#include "base/json.h"
#include "base/log.h"
#include "base/names.h"
#include "rotation/batch.h"
#include "rotation/machine.h"
#include "vault/bind.h"
#include "vault/look.h"
#include "vault/seal.h"
#include "vault/vault.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct look {
    const struct options *options;
    char directory[PATH_MAX - 64]; /* with the copy; "" if there is none */
    struct arena *arena;
    struct vault *vault;
    size_t entries, problems;
};

/* How it ended: a word for programs, and the exit status. */
static const struct verdict {
    int error;
    const char *result;
    int status;
} verdicts[] = {
    {0, "opens", EXIT_SUCCESS},
    {-EUCLEAN, "opens-in-part", EXIT_PARTIAL},
    {-EPROTONOSUPPORT, "later-format", EXIT_LATER_FORMAT},
    {-EKEYREJECTED, "wrong-key", EXIT_WRONG_KEY},
    {-ENOKEY, "no-keyfile", EXIT_WRONG_KEY},
    {-EBADMSG, "damaged", EXIT_BAD_DATA},
    {-EMEDIUMTYPE, "not-a-vault", EXIT_BAD_DATA},
    {-ENOENT, "missing", EXIT_NO_INPUT},
    {-EACCES, "unreadable", EXIT_NO_INPUT},
    {-EAGAIN, "busy", EXIT_LOCKED},
};

static const struct verdict *verdict_of(int r)
{
    static const struct verdict failed = {-EIO, "failed", EXIT_FAILURE};

    for (size_t i = 0; i < ELEMENTSOF(verdicts); i++)
        if (verdicts[i].error == r)
            return &verdicts[i];
    return &failed;
}

static void look_done(struct look *l)
{
    static const char *const names[] = {"", "-wal", "-shm", "-journal", ".lock"};
    char path[PATH_MAX];

    vault_free(l->vault);
    arena_free(l->arena);
    if (!l->directory[0])
        return;
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        snprintf(path, sizeof(path), "%s/" VAULT_FILE "%s", l->directory, names[i]);
        unlink(path);
    }
    rmdir(l->directory);
}

static int make_directory(struct look *l, struct error *e)
{
    const char *top = getenv("TMPDIR") ?: "/tmp";

    if (snprintf(l->directory, sizeof(l->directory), "%s/gatehoused-XXXXXX", top) >= (int)sizeof(l->directory) ||
        !mkdtemp(l->directory)) {
        l->directory[0] = 0;
        return error_errno(e, -EIO, "cannot make a directory in %s for a copy of the vault", top);
    }
    return 0;
}

/* The reason names the vault, not its copy. */
static int with_own_name(const struct look *l, int r, struct error *e)
{
    char copy[PATH_MAX], *at;
    struct error named = {0};

    snprintf(copy, sizeof(copy), "%s/" VAULT_FILE, l->directory);
    at = strstr(e->text, copy);
    if (!at)
        return r;
    *at = 0;
    error_set(&named, r, "%s%s%s", e->text, l->options->can_open, at + strlen(copy));
    *e = named;
    return r;
}

static int open_copy(sd_event *event, struct look *l, const struct config *config, struct error *e)
{
    struct bind_value bind = {0};
    char path[PATH_MAX];
    int r = arena_new(&l->arena, e);

    snprintf(path, sizeof(path), "%s/" VAULT_FILE, l->directory);
    if (r >= 0)
        r = bind_read(config->vault.bind, &bind, e);
    if (r >= 0)
        r = vault_open(event, l->arena,
                       &(struct vault_options){.path = path,
                                               .keyfile = l->options->keyfile,
                                               .bind = bind.size > 0 ? bind.bytes : NULL,
                                               .bind_size = bind.size,
                                               .adopt_bind = true,
                                               .allow_volatile = true},
                       &l->vault, e);
    explicit_bzero(&bind, sizeof(bind));
    return r < 0 ? with_own_name(l, r, e) : 0;
}

static void on_problem(const char *device, const char *uplink, const char *reason, void *userdata)
{
    struct look *l = userdata;

    l->problems++;
    log_error(device, "its record for uplink %s: %s", uplink, reason);
}

/* The vault does not look into what rotations keep in it. */
static void look_at_rotations(struct look *l)
{
    for (struct vault_entry *v = vault_next(l->vault, NULL); v; v = vault_next(l->vault, v)) {
        const char *device = vault_entry_device(v);
        struct rotation_durable durable;
        struct batch_record batch;
        size_t n;
        const void *blob = vault_rotation(v, &n);
        int r = n == 0                             ? 0
                : strcmp(device, VAULT_FLEET) == 0 ? batch_decode(blob, n, &batch)
                : vault_entry_internal(v)          ? 0 /* a sensor's counter, a login's uplink */
                                                   : rotation_decode(blob, n, &durable);

        if (r < 0)
            on_problem(device, vault_entry_uplink(v),
                       r == -EPROTONOSUPPORT ? "its rotation is of a later version" : "its rotation is damaged", l);
    }
}

static int look(sd_event *event, struct look *l, const struct config *config, struct error *e)
{
    static const struct vault_verify_handler handler = {.problem = on_problem};
    int r = make_directory(l, e);

    if (r >= 0)
        r = vault_copy(l->options->can_open, l->directory, e);
    if (r >= 0)
        r = open_copy(event, l, config, e);
    if (r >= 0)
        r = vault_verify_sync(l->vault, &handler, l);
    if (r < 0)
        return r;
    look_at_rotations(l);
    l->entries = vault_entries(l->vault);
    if (l->problems > 0)
        return error_set(e, -EUCLEAN, "%s opens, and %zu of its records do not", l->options->can_open, l->problems);
    return 0;
}

static void tell(const struct look *l, const struct verdict *v, const char *reason)
{
    _cleanup_json_ json_object *o = json_object_new_object();

    json_object_object_add(o, "vault", json_object_new_string(l->options->can_open));
    json_object_object_add(o, "result", json_object_new_string(v->result));
    json_object_object_add(o, "reason", json_object_new_string(reason));
    json_object_object_add(o, "version", json_object_new_string(GATEHOUSE_VERSION));
    json_object_object_add(o, "format", json_object_new_int(VAULT_FORMAT));
    json_object_object_add(o, "entries", json_object_new_uint64(l->entries));
    json_object_object_add(o, "problems", json_object_new_uint64(l->problems));
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

int can_open(sd_event *event, const struct options *o, const struct config *config)
{
    _cleanup_(look_done) struct look l = {.options = o};
    struct error e = {0};
    int r = look(event, &l, config, &e);
    const struct verdict *v = verdict_of(r);

    if (r < 0 && !e.text[0])
        error_set(&e, r, "%s: %s", o->can_open, strerrordesc_np(-r));
    if (r < 0)
        log_error(NULL, "%s", e.text);
    else
        log_info(NULL, "%s can be opened by this version: %zu entries", o->can_open, l.entries);
    tell(&l, v, r < 0 ? e.text : "");
    return v->status;
}
