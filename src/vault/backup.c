/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/backup.h"

#include "base/durable.h"
#include "vault/internal.h"

#include <fcntl.h>
#include <string.h>

#define MAGIC "GHVB"
#define FORMAT_BOUND 2

struct making {
    struct vault *vault;
    struct secret *key;
    uint8_t head[BACKUP_HEAD_SIZE];
    uint8_t *data;
    size_t size;
    struct error error;
    vault_backup_done_fn *done;
    void *userdata;
};

static uint8_t *put(uint8_t *p, const void *data, size_t n)
{
    memcpy(p, data, n);
    return p + n;
}

void backup_head(const struct sealed_keys *sealed, const uint8_t wrap[WRAP_SIZE], uint8_t ret[BACKUP_HEAD_SIZE])
{
    uint8_t *p = put(ret, MAGIC, 4);

    memset(p, 0, BACKUP_HEAD_SIZE - 4);
    *p++ = wrap ? VAULT_FORMAT : FORMAT_BOUND;
    p = put(p, sealed->vault_id, VAULT_ID_SIZE);
    for (int i = 0; i < 8; i++)
        *p++ = (uint8_t)(sealed->epoch >> (56 - 8 * i));
    p = put(p, sealed->keyfile_check, KEYFILE_CHECK_SIZE);
    p = put(p, wrap ?: sealed->wrap, WRAP_SIZE);
    p = put(p, sealed->index, WRAP_SIZE);
    p = put(p, sealed->fingerprint, WRAP_SIZE);
    p = put(p, sealed->identity, WRAP_SIZE);
    *p++ = sealed->has_recovery;
    if (!sealed->has_recovery)
        return;
    p = put(p, sealed->recovery_check, KEYFILE_CHECK_SIZE);
    put(p, sealed->recovery, WRAP_SIZE);
}

bool backup_is_unbound(const uint8_t begin[BACKUP_BEGIN_SIZE])
{
    return memcmp(begin, MAGIC, 4) == 0 && begin[4] == VAULT_FORMAT;
}

static const uint8_t *take(const uint8_t *p, void *to, size_t n)
{
    memcpy(to, p, n);
    return p + n;
}

int backup_parse(const uint8_t *data, size_t n, struct backup *ret)
{
    struct backup b = {.head = data};
    const uint8_t *p = data + 5;

    if (n < BACKUP_HEAD_SIZE + SEAL_OVERHEAD + 1 || memcmp(data, MAGIC, 4) != 0)
        return -EBADMSG;
    if (data[4] != VAULT_FORMAT && data[4] != FORMAT_BOUND)
        return -EPROTONOSUPPORT;
    b.sealed.bound = data[4] == FORMAT_BOUND;
    p = take(p, b.sealed.vault_id, VAULT_ID_SIZE);
    for (int i = 0; i < 8; i++)
        b.sealed.epoch = b.sealed.epoch << 8 | *p++;
    p = take(p, b.sealed.keyfile_check, KEYFILE_CHECK_SIZE);
    p = take(p, b.sealed.bound ? b.sealed.wrap : b.wrap, WRAP_SIZE);
    p = take(p, b.sealed.index, WRAP_SIZE);
    p = take(p, b.sealed.fingerprint, WRAP_SIZE);
    p = take(p, b.sealed.identity, WRAP_SIZE);
    if (*p > 1)
        return -EBADMSG;
    b.sealed.has_recovery = *p++ == 1;
    p = take(p, b.sealed.recovery_check, KEYFILE_CHECK_SIZE);
    p = take(p, b.sealed.recovery, WRAP_SIZE);
    b.box = p;
    b.box_size = n - (size_t)(p - data);
    *ret = b;
    return 0;
}

static struct making *making_free(struct making *m)
{
    if (!m)
        return NULL;
    secret_free(m->key);
    free(m->data);
    free(m);
    return NULL;
}
DEFINE_FREEP(struct making, making_free)

static int making_new(struct vault *v, enum vault_backup_for who, struct making **ret, struct error *e)
{
    _cleanup_(making_freep) struct making *m = calloc(1, sizeof(*m));
    bool bound = who == VAULT_BACKUP_THIS_BOARD && v->seals.sealed.bound;
    uint8_t wrap[WRAP_SIZE];
    int r;

    if (!m)
        return error_set(e, -ENOMEM, "out of memory");
    if (v->rekey || (v->commits.batch && v->commits.batch->rekey))
        return error_set(e, -EBUSY, "the vault is being rekeyed: wait for the end of it");
    m->vault = v;
    r = bound ? 0 : keys_seal_backup(&v->seals.keys, v->seals.backup_key, wrap);
    if (r >= 0)
        r = derive_key(v->seals.keys.vault, v->seals.keys.vault_id, LABEL_BACKUP, &m->key);
    if (r < 0)
        return error_errno(e, r, "cannot seal a backup");
    backup_head(&v->seals.sealed, bound ? NULL : wrap, m->head);
    *ret = TAKE_PTR(m);
    return 0;
}

static void associated_data(struct seal_ad *ad, const uint8_t head[BACKUP_HEAD_SIZE], const uint8_t *vault_id)
{
    seal_ad_init(ad, MAGIC, vault_id);
    seal_ad_add(ad, head, BACKUP_HEAD_SIZE);
}

static int seal(struct making *m, const uint8_t *image, size_t n)
{
    struct seal_ad ad;
    int r;

    m->size = BACKUP_HEAD_SIZE + SEAL_OVERHEAD + n;
    m->data = malloc(m->size);
    if (!m->data)
        return error_set(&m->error, -ENOMEM, "out of memory for a backup");
    memcpy(m->data, m->head, BACKUP_HEAD_SIZE);
    associated_data(&ad, m->head, m->vault->seals.keys.vault_id);
    r = seal_box(m->key, &ad, image, n, m->data + BACKUP_HEAD_SIZE);
    return r < 0 ? error_errno(&m->error, r, "cannot seal a backup") : 0;
}

/* On the worker thread, or in vault_backup_sync(). */
static int run(void *userdata)
{
    struct making *m = userdata;
    uint8_t *image;
    size_t n;
    int r;

    pthread_mutex_lock(&m->vault->store_mutex);
    r = store_image(m->vault->store, &image, &n, &m->error);
    pthread_mutex_unlock(&m->vault->store_mutex);
    if (r < 0)
        return r;
    r = seal(m, image, n);
    store_image_free(image);
    return r;
}

static void on_run(int r, void *userdata)
{
    _cleanup_(making_freep) struct making *m = userdata;

    m->vault->backups--;
    if (r == -ECANCELED)
        error_errno(&m->error, r, "the vault is closing");
    m->done(r, r < 0 ? NULL : TAKE_PTR(m->data), m->size, r < 0 ? &m->error : NULL, m->userdata);
}

int vault_backup(struct vault *vault, enum vault_backup_for who, vault_backup_done_fn *done, void *userdata,
                 struct error *e)
{
    struct making *m = NULL;
    int r = making_new(vault, who, &m, e);

    if (r < 0)
        return r;
    m->done = done;
    m->userdata = userdata;
    r = workers_submit(vault->workers, run, on_run, m);
    if (r < 0) {
        making_free(m);
        return error_errno(e, r, "cannot make a backup");
    }
    vault->backups++;
    return 0;
}

int vault_backup_sync(struct vault *vault, const char *file, struct error *e)
{
    _cleanup_(making_freep) struct making *m = NULL;
    int r = making_new(vault, VAULT_BACKUP_ANY_BOARD, &m, e);

    if (r < 0)
        return r;
    r = run(m);
    return r < 0 ? error_set(e, r, "%s", m->error.text) : durable_create(AT_FDCWD, file, m->data, m->size, 0600, e);
}

int backup_open(const struct backup *b, const struct vault_keys *keys, uint8_t **ret, size_t *ret_size, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    _cleanup_free_ uint8_t *image = NULL;
    struct seal_ad ad;
    int r = derive_key(keys->vault, b->sealed.vault_id, LABEL_BACKUP, &key);

    if (r < 0)
        return error_errno(e, r, "cannot open the backup");
    image = malloc(b->box_size);
    if (!image)
        return error_set(e, -ENOMEM, "out of memory for the backup");
    associated_data(&ad, b->head, b->sealed.vault_id);
    r = open_box(key, &ad, b->box, b->box_size, image);
    if (r < 0)
        return error_set(e, r, "the backup is damaged: cut off or changed");
    *ret = TAKE_PTR(image);
    *ret_size = b->box_size - SEAL_OVERHEAD;
    return 0;
}
