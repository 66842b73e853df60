/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "can-open.h"

#include "copy.h"

#include "base/json.h"
#include "base/log.h"
#include "base/names.h"
#include "rotation/batch.h"
#include "rotation/machine.h"
#include "vault/seal.h"
#include "vault/vault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct look {
    const struct options *options;
    struct copy copy;
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

static void on_problem(const char *device, const char *uplink, const char *reason, void *userdata)
{
    struct look *l = userdata;

    l->problems++;
    log_error(device, "its record for uplink %s: %s", uplink, reason);
}

/* The vault does not look into what rotations keep in it. */
static void look_at_rotations(struct look *l)
{
    for (struct vault_entry *v = vault_next(l->copy.vault, NULL); v; v = vault_next(l->copy.vault, v)) {
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
    int r = copy_open(event, l->options->can_open, l->options, config, &l->copy, e);

    copy_unlink(&l->copy);
    if (r >= 0)
        r = vault_verify_sync(l->copy.vault, &handler, l);
    if (r < 0)
        return r;
    look_at_rotations(l);
    l->entries = vault_entries(l->copy.vault);
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
    struct look l = {.options = o};
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
    copy_done(&l.copy);
    return v->status;
}
