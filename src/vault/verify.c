/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verification: vault.db read anew in slices, every record opened. */
#include "vault/internal.h"

#include <stdio.h>
#include <string.h>

struct problem {
    struct problem *next;
    const char *device, *uplink; /* behind the text */
    char text[];
};

struct verification {
    struct vault *vault;
    struct vault_verify_handler handler;
    void *userdata;
    char *device, *uplink;    /* the last ones read, whatever they are */
    struct problem *problems; /* of the present slice */
    size_t n_problems, n_entries, n_slice;
    bool structure_checked;
    struct error error;
};

static int add_problem(struct verification *f, const char *device, const char *uplink, const char *text)
{
    size_t n = strlen(text) + 1, n_device = strlen(device) + 1, n_uplink = strlen(uplink) + 1;
    struct problem *p = malloc(sizeof(*p) + n + n_device + n_uplink);

    if (!p)
        return -ENOMEM;
    memcpy(p->text, text, n);
    memcpy(p->text + n, device, n_device);
    memcpy(p->text + n + n_device, uplink, n_uplink);
    p->device = p->text + n;
    p->uplink = p->text + n + n_device;
    p->next = f->problems;
    f->problems = p;
    f->n_problems++;
    return 0;
}

static int check_index(struct verification *f, const struct store_row *row, unsigned physical, const struct secret *key,
                       const char **why)
{
    uint8_t digest[DIGEST_SIZE];
    int r = keys_index(&f->vault->seals.keys, key, digest);

    if (r >= 0 && names_shared_keys(row->uplink))
        return 0; /* others may have it: the index knows of no holder */
    if (r >= 0 && !row->slots[physical].digest)
        *why = "its key is missing from the index";
    else if (r >= 0 && memcmp(digest, row->slots[physical].digest, DIGEST_SIZE) != 0)
        *why = "the index has another key for it";
    return r;
}

static int check_slot(struct verification *f, const struct store_row *row, const struct state *state, unsigned physical)
{
    const struct record_place place = {f->vault->seals.keys.vault_id, row->device, row->uplink};
    _cleanup_(secret_freep) struct secret *key = NULL;
    const char *why = NULL;
    char text[128];
    int r;

    if (!state->slots[physical].present && !row->slots[physical].record)
        return 0;
    r = record_check(&f->vault->seals.keys, &place, physical, &state->slots[physical], row->slots[physical].record,
                     row->slots[physical].size, &key, &why);
    if (r > 0)
        r = check_index(f, row, physical, key, &why);
    if (r < 0 || !why)
        return r;
    snprintf(text, sizeof(text), "%s credential: %s", physical == state->main_slot ? "main" : "backup", why);
    return add_problem(f, row->device, row->uplink, text);
}

static int set_text(char **text, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return -ENOMEM;
    free(*text);
    *text = copy;
    return 0;
}

static int check_row(const struct store_row *row, void *userdata)
{
    struct verification *f = userdata;
    const struct record_place place = {f->vault->seals.keys.vault_id, row->device, row->uplink};
    struct state state;
    int r;

    f->n_slice++;
    if (set_text(&f->device, row->device) < 0 || set_text(&f->uplink, row->uplink) < 0)
        return -ENOMEM;
    if (!entry_names_valid(row->device, row->uplink))
        return add_problem(f, row->device, row->uplink, "the name is none of ours: the row is ignored");
    r = state_open(f->vault->seals.keys.state, &place, row->state, row->state_size, &state);
    if (r == -EBADMSG)
        return add_problem(f, row->device, row->uplink, "its state record does not open");
    for (unsigned i = 0; r >= 0 && i < 2; i++)
        r = check_slot(f, row, &state, i);
    return r;
}

/* On the worker thread, or in vault_verify_sync(). 1: there may be more. */
static int run_slice(void *userdata)
{
    struct verification *f = userdata;
    struct store *store = f->vault->store;
    int r = 0;

    f->n_slice = 0;
    pthread_mutex_lock(&f->vault->store_mutex);
    if (!f->structure_checked)
        r = store_check(store, &f->error);
    f->structure_checked = true;
    if (r >= 0)
        r = store_read(store, f->device ? f->device : "", f->uplink ? f->uplink : "", VAULT_VERIFY_SLICE, check_row, f,
                       &f->error);
    pthread_mutex_unlock(&f->vault->store_mutex);
    return r < 0 ? r : f->n_slice == VAULT_VERIFY_SLICE;
}

static void verification_free(struct verification *f)
{
    free(f->device);
    free(f->uplink);
    free(f);
}

static void drop_problems(struct verification *f, bool report)
{
    for (struct problem *p = f->problems, *next; p; p = next) {
        next = p->next;
        if (report && f->handler.problem)
            f->handler.problem(p->device, p->uplink, p->text, f->userdata);
        free(p);
    }
    f->problems = NULL;
}

/* Rows that open, but are not the latest: seen when the vault was opened. */
static void report_put_back(struct verification *f)
{
    for (const struct vault_entry *entry = vault_next(f->vault, NULL); entry; entry = vault_next(f->vault, entry)) {
        if (!entry->put_back || !entry->state_lost)
            continue;
        f->n_problems++;
        if (f->handler.problem)
            f->handler.problem(entry->device, entry->uplink, entry->quarantine, f->userdata);
    }
}

/* Reports what a slice found; 1 if another is to follow. */
static int end_slice(struct verification *f, int r)
{
    drop_problems(f, r >= 0);
    if (r == 0)
        report_put_back(f);
    f->n_entries += f->n_slice;
    if (r >= 0 && f->handler.progress)
        f->handler.progress(f->n_entries, MAX_OF(f->n_entries, vault_entries(f->vault)), f->userdata);
    if (r > 0)
        return 1;
    if (f->handler.done)
        f->handler.done(r, f->n_problems, r < 0 ? &f->error : NULL, f->userdata);
    return r;
}

static void slice_done(int r, void *userdata)
{
    struct verification *f = userdata;
    struct vault *v = f->vault;

    if (r == -ECANCELED)
        error_errno(&f->error, r, "the vault is closing");
    /* The handler may begin another one. */
    if (r <= 0)
        v->verification = NULL;
    if (end_slice(f, r) <= 0) {
        verification_free(f);
        return;
    }
    r = v->closing ? -ECANCELED : workers_submit(v->workers, run_slice, slice_done, f);
    if (r < 0)
        slice_done(r, f);
}

static struct verification *verification_new(struct vault *v, const struct vault_verify_handler *handler,
                                             void *userdata)
{
    struct verification *f = calloc(1, sizeof(*f));

    if (f) {
        f->vault = v;
        f->handler = *handler;
        f->userdata = userdata;
    }
    return f;
}

int vault_verify(struct vault *vault, const struct vault_verify_handler *handler, void *userdata)
{
    struct verification *f;
    int r;

    if (vault->verification || vault->rekey || (vault->commits.batch && vault->commits.batch->rekey))
        return -EBUSY;
    f = verification_new(vault, handler, userdata);
    if (!f)
        return -ENOMEM;
    r = workers_submit(vault->workers, run_slice, slice_done, f);
    if (r < 0) {
        verification_free(f);
        return r;
    }
    vault->verification = f;
    return 0;
}

int vault_verify_sync(struct vault *vault, const struct vault_verify_handler *handler, void *userdata)
{
    struct verification *f = verification_new(vault, handler, userdata);
    int r;

    if (!f)
        return -ENOMEM;
    do
        r = end_slice(f, run_slice(f));
    while (r > 0);
    if (r == 0)
        r = (int)f->n_problems;
    verification_free(f);
    return r;
}
