/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commits: what waits at the end of a loop turn becomes one transaction on the worker. */
#include "base/clock.h"
#include "vault/internal.h"

void commit_queue_init(struct queue *q)
{
    *q = (struct queue){.last = &q->first};
}

void commit_queue_push(struct queue *q, struct vault_change *c)
{
    c->next = NULL;
    *q->last = c;
    q->last = &c->next;
    q->count++;
}

struct vault_change *commit_queue_pop(struct queue *q)
{
    struct vault_change *c = q->first;

    if (c) {
        q->first = c->next;
        if (!q->first)
            q->last = &q->first;
        q->count--;
    }
    return c;
}

static struct vault_batch *batch_free(struct vault_batch *b)
{
    if (!b)
        return NULL;
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->mutex);
    free(b);
    return NULL;
}

static struct vault_batch *batch_new(struct vault *v)
{
    struct vault_batch *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->vault = v;
    commit_queue_init(&b->changes);
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->wake, NULL);
    return b;
}

/* Takes what waits and works out what it comes to. A rekey goes first, and alone. */
static void batch_fill(struct vault_batch *b)
{
    struct vault *v = b->vault;

    if (v->rekey) {
        b->rekey = TAKE_PTR(v->rekey);
        b->forgets = true;
        b->r = rekey_prepare(b->rekey, &b->error);
        return;
    }
    b->versions = v->versions;
    while (v->commits.waiting.first && b->changes.count < VAULT_BATCH_MAX) {
        struct vault_change *c = commit_queue_pop(&v->commits.waiting);

        if (change_prepare(c) >= 0) {
            b->forgets = b->forgets || c->forgets;
            versions_move(&b->versions, c->entry->id, c->version, c->after.version);
        }
        commit_queue_push(&b->changes, c);
    }
    b->forgets = b->forgets || v->commits.checkpoint_due;
}

static int write_changes(struct vault_batch *b)
{
    struct store *store = b->vault->store;
    uint8_t sealed[VERSIONS_SEALED_SIZE];
    int r = versions_seal(b->vault->seals.keys.state, b->vault->seals.keys.vault_id, &b->versions, sealed);

    if (r < 0)
        return error_errno(&b->error, r, "cannot seal the vault's record of versions");
    r = store_begin(store, &b->error);

    if (r < 0)
        return r;
    for (const struct vault_change *c = b->changes.first; r >= 0 && c; c = c->next)
        if (c->failed >= 0)
            r = store_write(store, &c->write, &b->error);
    if (r >= 0)
        r = store_write_versions(store, sealed, sizeof(sealed), &b->error);
    if (r < 0) {
        store_rollback(store);
        return r;
    }
    return store_commit(store, &b->error);
}

/* On the worker thread, or in vault_flush(). What was prepared is not touched by the loop meanwhile. */
static int batch_run(void *userdata)
{
    struct vault_batch *b = userdata;
    bool any = b->rekey && b->r >= 0;

    for (const struct vault_change *c = b->changes.first; c; c = c->next)
        any = any || c->failed >= 0;
    pthread_mutex_lock(&b->vault->store_mutex);
    if (any)
        b->r = b->rekey ? rekey_run(b->rekey, &b->error) : write_changes(b);
    /* Committed is committed: a checkpoint that fails is tried again with the next batch. */
    if (any && b->r >= 0 && b->forgets)
        b->checkpointed = store_checkpoint(b->vault->store, NULL) >= 0;
    pthread_mutex_unlock(&b->vault->store_mutex);
    pthread_mutex_lock(&b->mutex);
    b->ran = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->mutex);
    return 0;
}

static void count(struct vault_batch *b, size_t applied)
{
    struct vault *v = b->vault;

    v->stats.failed += b->changes.count - applied;
    v->stats.changes += applied;
    v->stats.commits += applied > 0;
    v->stats.checkpoints += b->checkpointed;
    if (applied > 0)
        v->commits.checkpoint_due = b->forgets && !b->checkpointed;
}

/* The result becomes what everybody sees; then each change is answered. Returns the first failure. */
static int batch_apply(struct vault_batch *b)
{
    struct vault *v = b->vault;
    size_t applied = 0;
    int first = 0;

    for (struct vault_change *c = b->changes.first; c; c = c->next) {
        if (c->entry)
            c->entry->projected = NULL;
        if (b->r < 0 && c->failed >= 0) {
            c->failed = b->r;
            c->error = b->error;
        }
        if (c->failed >= 0) {
            change_apply(c);
            applied++;
        }
    }
    if (applied > 0)
        v->versions = b->versions;
    if (b->rekey && b->r >= 0) {
        rekey_apply(b->rekey);
        v->commits.checkpoint_due = !b->checkpointed;
    }
    count(b, applied);
    v->commits.batch = NULL;
    b->applied = true;
    if (b->rekey) {
        v->commits.ended.rekeys++;
        first = b->r;
        rekey_end(b->rekey, b->r, &b->error);
    }
    for (struct vault_change *c; (c = commit_queue_pop(&b->changes));) {
        v->commits.ended.changes++;
        if (first == 0)
            first = c->failed;
        if (c->done)
            c->done(c->failed, c->failed < 0 ? &c->error : NULL, c->userdata);
        vault_change_free(c);
    }
    return first;
}

void commit_schedule(struct vault *v)
{
    int enabled = SD_EVENT_OFF;

    if ((!v->commits.waiting.first && !v->rekey) || v->commits.batch)
        return;
    sd_event_source_get_enabled(v->commits.gathered, &enabled);
    if (v->rekey || v->commits.waiting.count >= v->commits.gather_changes || v->commits.gather_delay == 0) {
        sd_event_source_set_enabled(v->commits.start, SD_EVENT_ONESHOT);
        sd_event_source_set_enabled(v->commits.gathered, SD_EVENT_OFF);
    } else if (enabled == SD_EVENT_OFF) {
        sd_event_source_set_time(v->commits.gathered, clock_boottime() + v->commits.gather_delay);
        sd_event_source_set_enabled(v->commits.gathered, SD_EVENT_ONESHOT);
    }
}

static int on_gathered(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct vault *v = userdata;

    return sd_event_source_set_enabled(v->commits.start, SD_EVENT_ONESHOT);
}

void vault_gather(struct vault *vault, size_t changes, uint64_t delay)
{
    vault->commits.gather_changes = MIN_OF(changes, (size_t)VAULT_BATCH_MAX);
    vault->commits.gather_delay = delay;
    commit_schedule(vault);
}

/* On the loop. -ECANCELED: the vault is closing and the worker never got to it. */
static void batch_done(int r, void *userdata)
{
    struct vault_batch *b = userdata;
    struct vault *v = b->vault;

    if (b->applied) {
        batch_free(b);
        return;
    }
    if (r < 0)
        b->r = error_errno(&b->error, r, "the vault is closing");
    batch_apply(b);
    batch_free(b);
    commit_schedule(v);
}

static int on_start(sd_event_source *source, void *userdata)
{
    struct vault *v = userdata;
    struct vault_batch *b;
    int r;

    if (v->commits.batch || !(v->commits.waiting.first || v->rekey))
        return 0;
    b = batch_new(v);
    if (!b)
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    batch_fill(b);
    v->commits.batch = b;
    r = workers_submit(v->workers, batch_run, batch_done, b);
    if (r < 0)
        batch_done(r, b);
    return 0;
}

int commit_init(struct vault *v)
{
    int r;

    commit_queue_init(&v->commits.waiting);
    r = workers_new(v->event, 1, &v->workers);
    if (r >= 0)
        r = sd_event_add_defer(v->event, &v->commits.start, on_start, v);
    if (r >= 0)
        r = sd_event_source_set_enabled(v->commits.start, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(v->event, &v->commits.gathered, CLOCK_BOOTTIME, USEC_INFINITY, USEC_PER_MSEC, on_gathered,
                              v);
    if (r >= 0)
        r = sd_event_source_set_enabled(v->commits.gathered, SD_EVENT_OFF);
    return r;
}

void commit_done(struct vault *v)
{
    struct vault_batch *b;

    v->closing = true;
    /* Works on the worker end or are cancelled, and are answered. */
    v->workers = workers_free(v->workers);
    v->commits.start = sd_event_source_disable_unref(v->commits.start);
    v->commits.gathered = sd_event_source_disable_unref(v->commits.gathered);
    if (!v->commits.waiting.first && !v->rekey)
        return;
    b = batch_new(v);
    if (!b)
        return;
    b->rekey = TAKE_PTR(v->rekey);
    while (v->commits.waiting.first)
        commit_queue_push(&b->changes, commit_queue_pop(&v->commits.waiting));
    b->r = error_set(&b->error, -ECANCELED, "the vault is closing");
    batch_apply(b);
    batch_free(b);
}

int vault_commit(struct vault *vault, struct vault_change *c, vault_done_fn *done, void *userdata)
{
    if (vault->closing) {
        vault_change_free(c);
        return -ESHUTDOWN;
    }
    c->done = done;
    c->userdata = userdata;
    commit_queue_push(&vault->commits.waiting, c);
    vault->commits.handed.changes++;
    commit_schedule(vault);
    return 0;
}

void vault_change_leave(struct vault_change *c)
{
    if (c)
        c->done = NULL;
}

size_t vault_pending(const struct vault *vault)
{
    const struct commits *c = &vault->commits;

    return (size_t)(c->handed.changes - c->ended.changes + c->handed.rekeys - c->ended.rekeys);
}

/* Waits for the batch on the worker and takes its result here; the worker's own answer then only frees it. */
static int await_batch(struct vault_batch *b)
{
    pthread_mutex_lock(&b->mutex);
    while (!b->ran)
        pthread_cond_wait(&b->wake, &b->mutex);
    pthread_mutex_unlock(&b->mutex);
    return batch_apply(b);
}

static int run_here(struct vault *v)
{
    struct vault_batch *b = batch_new(v);
    int r;

    if (!b)
        return -ENOMEM;
    batch_fill(b);
    v->commits.batch = b;
    batch_run(b);
    r = batch_apply(b);
    batch_free(b);
    return r;
}

struct vault_handed vault_handed(const struct vault *vault)
{
    return vault->commits.handed;
}

bool vault_settled(const struct vault *vault, const struct vault_handed *handed)
{
    const struct vault_handed *ended = &vault->commits.ended;

    return ended->changes >= handed->changes && ended->rekeys >= handed->rekeys;
}

int vault_flush_batch(struct vault *vault)
{
    if (vault->commits.batch)
        return await_batch(vault->commits.batch);
    return vault_pending(vault) > 0 ? run_here(vault) : 0;
}

int vault_flush(struct vault *vault)
{
    int first = 0;

    while (vault_pending(vault) > 0) {
        int r = vault_flush_batch(vault);

        if (first == 0)
            first = r;
    }
    return first;
}

struct answer {
    int r;
    struct error error;
};

static void on_answer(int r, const struct error *e, void *userdata)
{
    struct answer *answer = userdata;

    answer->r = r;
    if (e)
        answer->error = *e;
}

int vault_commit_sync(struct vault *vault, struct vault_change *c, struct error *e)
{
    struct answer answer = {.r = -EIO};
    int r;

    if (!c)
        return error_set(e, -ENOMEM, "out of memory");
    r = vault_commit(vault, c, on_answer, &answer);
    if (r >= 0)
        vault_flush(vault);
    if (r < 0)
        return error_errno(e, r, "cannot change the vault");
    return answer.r < 0 ? error_set(e, answer.r, "%s", answer.error.text) : answer.r;
}
