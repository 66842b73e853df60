/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations on the whole vault with a key that comes in a descriptor: Rekey, SetRecoveryKey. One at a time. */
#include "device/fleet.h"
#include "device/internal.h"
#include "device/tasks.h"

#include <errno.h>
#include <stdlib.h>

typedef int vault_begin_fn(struct vault *vault, struct secret *key, vault_done_fn *done, void *userdata,
                           struct error *e);

/* Freed by its own end: the vault ends it after the fleet is gone. */
struct vault_care {
    struct fleet *fleet; /* NULL: gone */
    struct vault_key_read *reading;
    vault_begin_fn *begin;
    device_done done; /* NULL: answered */
    void *userdata;
};

static void answer(struct vault_care *care, int r, const struct error *e)
{
    device_done done = care->done;

    care->done = NULL;
    if (done)
        done(r, e, care->userdata);
}

static void on_done(int r, const struct error *e, void *userdata)
{
    struct vault_care *care = userdata;

    if (care->fleet) {
        care->fleet->tasks.care = NULL;
        /* The one that is there opens with what is no longer. */
        if (r >= 0)
            backup_dir_due(care->fleet);
    }
    answer(care, r, e);
    free(care);
}

static void on_key(int r, struct secret *key, const struct error *e, void *userdata)
{
    struct vault_care *care = userdata;
    struct error reason = {0};

    care->reading = NULL;
    if (r >= 0) {
        r = care->begin(care->fleet->vault, key, on_done, care, &reason);
        e = &reason;
    }
    if (r != 0) /* 1: there is nothing to do */
        on_done(MIN_OF(r, 0), e, care);
}

static int begin(struct fleet *f, int fd, vault_begin_fn *what, device_done done, void *userdata, struct error *e)
{
    struct vault_care *care;
    int r;

    if (f->tasks.care)
        return error_set(e, -EBUSY, "another change of the vault's own keys is under way");
    care = calloc(1, sizeof(*care));
    if (!care)
        return error_set(e, -ENOMEM, "out of memory");
    *care = (struct vault_care){.fleet = f, .begin = what, .done = done, .userdata = userdata};
    r = vault_key_read(f->arena, f->event, fd, VAULT_RAW, on_key, care, &care->reading, e);
    if (r < 0) {
        free(care);
        return r;
    }
    f->tasks.care = care;
    return 0;
}

int fleet_rekey(struct fleet *f, int fd, device_done done, void *userdata, struct error *e)
{
    const char *why;

    if (!vault_durable(f->vault, &why))
        return error_set(e, -ESTALE, "the vault is not rekeyed while a commit may not last: %s", why);
    return begin(f, fd, vault_rekey, done, userdata, e);
}

int fleet_set_recovery_key(struct fleet *f, int fd, device_done done, void *userdata, struct error *e)
{
    const char *why;

    if (!vault_durable(f->vault, &why))
        return error_set(e, -ESTALE, "no recovery key is made while a commit may not last: %s", why);
    return begin(f, fd, vault_set_recovery_key, done, userdata, e);
}

void vault_care_leave(struct fleet *f)
{
    struct vault_care *care = f->tasks.care;

    if (!care)
        return;
    f->tasks.care = NULL;
    care->fleet = NULL;
    answer(care, -ECANCELED, &(struct error){"the agent ends"});
    if (care->reading) {
        vault_key_read_free(care->reading);
        free(care);
    }
}
