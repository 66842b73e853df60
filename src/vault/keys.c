/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/keys.h"

#include "base/encode.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#define MAGIC_WRAP "GHVW"
#define MAGIC_SUBKEY "GHVK"

void keys_done(struct vault_keys *keys)
{
    secret_free(keys->vault);
    secret_free(keys->record);
    secret_free(keys->state);
    secret_free(keys->index);
    secret_free(keys->fingerprint);
    secret_free(keys->identity);
    *keys = (struct vault_keys){0};
}

static void associated_data(struct seal_ad *ad, const char *magic, const struct vault_keys *keys, const char *name)
{
    seal_ad_init(ad, magic, keys->vault_id);
    seal_ad_text(ad, name);
    seal_ad_u64(ad, keys->epoch);
}

static int box_seal(const struct secret *with, const char *magic, const struct vault_keys *keys, const char *name,
                    const struct secret *key, uint8_t wrap[WRAP_SIZE])
{
    struct seal_ad ad;

    memcpy(wrap, magic, 4);
    wrap[4] = VAULT_FORMAT;
    associated_data(&ad, magic, keys, name);
    return seal_box(with, &ad, key->bytes, SEAL_KEY_SIZE, wrap + 5);
}

static int box_open(const struct secret *with, const char *magic, const struct vault_keys *keys, const char *name,
                    const uint8_t wrap[WRAP_SIZE], struct secret **ret)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    struct seal_ad ad;
    int r;

    if (memcmp(wrap, magic, 4) != 0 || wrap[4] != VAULT_FORMAT)
        return -EBADMSG;
    r = secret_new(with->arena, &key);
    if (r < 0)
        return r;
    associated_data(&ad, magic, keys, name);
    r = open_box(with, &ad, wrap + 5, WRAP_SIZE - 5, key->bytes);
    if (r < 0)
        return r;
    key->size = SEAL_KEY_SIZE;
    *ret = TAKE_PTR(key);
    return 0;
}

static int wrapping_key(const struct secret *keyfile, const void *bind, size_t bind_size, const uint8_t *vault_id,
                        struct secret **ret)
{
    _cleanup_(secret_freep) struct secret *material = NULL;
    int r = secret_new(keyfile->arena, &material);

    if (r < 0)
        return r;
    memcpy(material->bytes, keyfile->bytes, KEYFILE_SIZE);
    material->size = KEYFILE_SIZE;
    if (bind) {
        if (gnutls_hash_fast(GNUTLS_DIG_SHA256, bind, bind_size, material->bytes + KEYFILE_SIZE) < 0)
            return -EIO;
        material->size += DIGEST_SIZE;
    }
    return derive_key(material, vault_id, LABEL_WRAP, ret);
}

static int keyfile_check(const struct secret *keyfile, const uint8_t *vault_id, uint8_t ret[KEYFILE_CHECK_SIZE])
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    int r = derive_key(keyfile, vault_id, LABEL_KEYFILE, &key);

    if (r >= 0)
        memcpy(ret, key->bytes, KEYFILE_CHECK_SIZE);
    return r;
}

static int derive(struct vault_keys *keys)
{
    int r = derive_key(keys->vault, keys->vault_id, LABEL_RECORD, &keys->record);

    return r < 0 ? r : derive_key(keys->vault, keys->vault_id, LABEL_STATE, &keys->state);
}

static int secret_copy(const struct secret *from, struct secret **ret)
{
    int r = secret_new(from->arena, ret);

    if (r < 0)
        return r;
    memcpy((*ret)->bytes, from->bytes, from->size);
    (*ret)->size = from->size;
    return 0;
}

static int make_random(struct arena *arena, struct vault_keys *keys)
{
    struct secret **const random[] = {&keys->vault, &keys->index, &keys->fingerprint, &keys->identity};
    int r = gnutls_rnd(GNUTLS_RND_RANDOM, keys->vault_id, VAULT_ID_SIZE) < 0 ? -EIO : 0;

    for (size_t i = 0; r >= 0 && i < ELEMENTSOF(random); i++)
        r = secret_random(arena, SEAL_KEY_SIZE, random[i]);
    return r < 0 ? r : derive(keys);
}

static int seal_subkeys(const struct vault_keys *keys, struct sealed_keys *sealed)
{
    int r = box_seal(keys->vault, MAGIC_SUBKEY, keys, "index", keys->index, sealed->index);

    if (r >= 0)
        r = box_seal(keys->vault, MAGIC_SUBKEY, keys, "fingerprint", keys->fingerprint, sealed->fingerprint);
    if (r >= 0)
        r = box_seal(keys->vault, MAGIC_SUBKEY, keys, "identity", keys->identity, sealed->identity);
    return r;
}

/* Leaves a recovery wrap as it is. */
static int seal_all(const struct secret *keyfile, const void *bind, size_t bind_size, const struct vault_keys *keys,
                    struct sealed_keys *sealed)
{
    _cleanup_(secret_freep) struct secret *wrapping = NULL;
    int r = wrapping_key(keyfile, bind, bind_size, keys->vault_id, &wrapping);

    sealed->epoch = keys->epoch;
    sealed->bound = bind != NULL;
    memcpy(sealed->vault_id, keys->vault_id, VAULT_ID_SIZE);
    if (r >= 0)
        r = keyfile_check(keyfile, keys->vault_id, sealed->keyfile_check);
    if (r >= 0)
        r = box_seal(wrapping, MAGIC_WRAP, keys, WRAP_KEYFILE, keys->vault, sealed->wrap);
    if (r >= 0)
        r = seal_subkeys(keys, sealed);
    return r;
}

int keys_seal(const struct vault_keys *keys, const struct secret *keyfile, const void *bind, size_t bind_size,
              struct sealed_keys *sealed, struct error *e)
{
    struct sealed_keys copy = *sealed;
    int r = seal_all(keyfile, bind, bind_size, keys, &copy);

    if (r < 0)
        return error_errno(e, r, "cannot seal the vault's keys");
    *sealed = copy;
    return 0;
}

int keys_make(const struct secret *keyfile, const void *bind, size_t bind_size, struct vault_keys *ret,
              struct sealed_keys *ret_sealed, struct error *e)
{
    struct vault_keys keys = {.epoch = 1};
    struct sealed_keys sealed = {0};
    int r = make_random(keyfile->arena, &keys);

    if (r >= 0)
        r = seal_all(keyfile, bind, bind_size, &keys, &sealed);
    if (r < 0) {
        keys_done(&keys);
        return error_errno(e, r, "cannot make the vault's keys");
    }
    *ret = keys;
    *ret_sealed = sealed;
    return 0;
}

int keys_renew(const struct vault_keys *now, const struct secret *keyfile, const void *bind, size_t bind_size,
               struct vault_keys *ret, struct sealed_keys *ret_sealed, struct error *e)
{
    struct vault_keys keys = {.epoch = now->epoch + 1};
    struct sealed_keys sealed = {0};
    int r = secret_random(keyfile->arena, SEAL_KEY_SIZE, &keys.vault);

    memcpy(keys.vault_id, now->vault_id, VAULT_ID_SIZE);
    if (r >= 0)
        r = secret_copy(now->index, &keys.index);
    if (r >= 0)
        r = secret_copy(now->fingerprint, &keys.fingerprint);
    if (r >= 0)
        r = secret_copy(now->identity, &keys.identity);
    if (r >= 0)
        r = derive(&keys);
    if (r >= 0)
        r = seal_all(keyfile, bind, bind_size, &keys, &sealed);
    if (r < 0) {
        keys_done(&keys);
        return error_errno(e, r, "cannot renew the vault's keys");
    }
    *ret = keys;
    *ret_sealed = sealed;
    return 0;
}

int keys_match(const struct secret *keyfile, const struct sealed_keys *sealed)
{
    uint8_t check[KEYFILE_CHECK_SIZE];
    int r = keyfile_check(keyfile, sealed->vault_id, check);

    return r < 0 ? r : gnutls_memcmp(check, sealed->keyfile_check, sizeof(check)) == 0;
}

static int unwrap(const struct secret *keyfile, const void *bind, size_t bind_size, const struct sealed_keys *sealed,
                  struct vault_keys *keys, struct error *e)
{
    _cleanup_(secret_freep) struct secret *wrapping = NULL;
    uint8_t check[KEYFILE_CHECK_SIZE];
    int r = keyfile_check(keyfile, sealed->vault_id, check);

    if (r < 0)
        return error_errno(e, r, "cannot derive the wrapping key");
    if (gnutls_memcmp(check, sealed->keyfile_check, sizeof(check)) != 0)
        return error_set(e, -EKEYREJECTED, "this is not the vault's keyfile: it was sealed with another one");
    if (sealed->bound && !bind)
        return error_set(e, -EKEYREJECTED, "the vault is bound: it opens only with the `bind` that it was made with");
    if (!sealed->bound && bind)
        return error_set(e, -EKEYREJECTED, "the vault is not bound, but a `bind` is configured: remove it");
    r = wrapping_key(keyfile, bind, bind_size, sealed->vault_id, &wrapping);
    if (r >= 0)
        r = box_open(wrapping, MAGIC_WRAP, keys, WRAP_KEYFILE, sealed->wrap, &keys->vault);
    if (r == -EBADMSG && sealed->bound)
        return error_set(e, -EKEYREJECTED, "the keyfile is right, but the value of `bind` has changed");
    if (r == -EBADMSG)
        return error_set(e, r, "the keyfile is right, but the wrapped vault key is corrupt");
    return r < 0 ? error_errno(e, r, "cannot unwrap the vault key") : 0;
}

static int open_subkeys(const struct sealed_keys *sealed, struct vault_keys *keys, struct error *e)
{
    int r = box_open(keys->vault, MAGIC_SUBKEY, keys, "index", sealed->index, &keys->index);

    if (r >= 0)
        r = box_open(keys->vault, MAGIC_SUBKEY, keys, "fingerprint", sealed->fingerprint, &keys->fingerprint);
    if (r >= 0)
        r = box_open(keys->vault, MAGIC_SUBKEY, keys, "identity", sealed->identity, &keys->identity);
    if (r >= 0)
        r = derive(keys);
    if (r == -EBADMSG)
        return error_set(e, r, "a key of the vault's own (index, fingerprint or identity) is corrupt");
    return r < 0 ? error_errno(e, r, "cannot open the vault's keys") : 0;
}

int keys_open(const struct secret *keyfile, const void *bind, size_t bind_size, const struct sealed_keys *sealed,
              struct vault_keys *ret, struct error *e)
{
    struct vault_keys keys = {.epoch = sealed->epoch};
    int r;

    memcpy(keys.vault_id, sealed->vault_id, VAULT_ID_SIZE);
    r = unwrap(keyfile, bind, bind_size, sealed, &keys, e);
    if (r >= 0)
        r = open_subkeys(sealed, &keys, e);
    if (r < 0) {
        keys_done(&keys);
        return r;
    }
    *ret = keys;
    return 0;
}

/* Keys of which only the vault key is there so far. */
static int open_rest(struct vault_keys *keys, const struct sealed_keys *sealed, struct vault_keys *ret, struct error *e)
{
    int r = open_subkeys(sealed, keys, e);

    if (r < 0) {
        keys_done(keys);
        return r;
    }
    *ret = *keys;
    return 0;
}

static struct vault_keys keys_begin(const struct sealed_keys *sealed)
{
    struct vault_keys keys = {.epoch = sealed->epoch};

    memcpy(keys.vault_id, sealed->vault_id, VAULT_ID_SIZE);
    return keys;
}

int keys_seal_recovery(const struct vault_keys *keys, const struct secret *recovery_key, struct sealed_keys *sealed,
                       struct error *e)
{
    _cleanup_(secret_freep) struct secret *wrapping = NULL;
    struct sealed_keys copy = *sealed;
    int r = derive_key(recovery_key, keys->vault_id, LABEL_RECOVERY, &wrapping);

    if (r >= 0)
        r = keyfile_check(recovery_key, keys->vault_id, copy.recovery_check);
    if (r >= 0)
        r = box_seal(wrapping, MAGIC_WRAP, keys, WRAP_RECOVERY, keys->vault, copy.recovery);
    if (r < 0)
        return error_errno(e, r, "cannot wrap the vault key for recovery");
    copy.has_recovery = true;
    *sealed = copy;
    return 0;
}

int keys_open_recovery(const struct secret *recovery_key, const struct sealed_keys *sealed, struct vault_keys *ret,
                       struct error *e)
{
    _cleanup_(secret_freep) struct secret *wrapping = NULL;
    struct vault_keys keys = keys_begin(sealed);
    uint8_t check[KEYFILE_CHECK_SIZE];
    int r;

    if (!sealed->has_recovery)
        return error_set(e, -ENOKEY, "no recovery key was made since the last rekey");
    r = keyfile_check(recovery_key, sealed->vault_id, check);
    if (r >= 0 && gnutls_memcmp(check, sealed->recovery_check, sizeof(check)) != 0)
        return error_set(e, -EKEYREJECTED, "this is not its recovery key: mistyped, or replaced by another one since");
    if (r >= 0)
        r = derive_key(recovery_key, sealed->vault_id, LABEL_RECOVERY, &wrapping);
    if (r >= 0)
        r = box_open(wrapping, MAGIC_WRAP, &keys, WRAP_RECOVERY, sealed->recovery, &keys.vault);
    if (r < 0)
        return error_errno(e, r, "cannot unwrap the vault key with the recovery key");
    return open_rest(&keys, sealed, ret, e);
}

int keys_seal_backup(const struct vault_keys *keys, const struct secret *backup_key, uint8_t wrap[WRAP_SIZE])
{
    return box_seal(backup_key, MAGIC_WRAP, keys, WRAP_BACKUP, keys->vault, wrap);
}

int keys_open_backup(const struct secret *backup_key, const struct sealed_keys *sealed, const uint8_t wrap[WRAP_SIZE],
                     struct vault_keys *ret, struct error *e)
{
    struct vault_keys keys = keys_begin(sealed);
    int r = box_open(backup_key, MAGIC_WRAP, &keys, WRAP_BACKUP, wrap, &keys.vault);

    if (r < 0)
        return error_errno(e, r, "cannot unwrap the vault key of the backup");
    return open_rest(&keys, sealed, ret, e);
}

int keys_index(const struct vault_keys *keys, const struct secret *key, uint8_t ret_digest[DIGEST_SIZE])
{
    return hmac_sha256(keys->index, key->bytes, key->size, ret_digest);
}

int keys_fingerprint(const struct vault_keys *keys, const struct secret *key, char ret_text[FINGERPRINT_TEXT_SIZE])
{
    uint8_t digest[DIGEST_SIZE];
    int r = hmac_sha256(keys->fingerprint, key->bytes, key->size, digest);

    if (r >= 0)
        hex_encode(digest, FINGERPRINT_SIZE, ret_text);
    return r;
}

/* No name has a slash: it is never what keys_opaque_id() computes from. */
int keys_entry_id(const struct vault_keys *keys, const char *device, const char *uplink, uint64_t *ret_id)
{
    char text[2 * DEVICE_ID_MAX + 2];
    uint8_t digest[DIGEST_SIZE];
    int n = snprintf(text, sizeof(text), "%s/%s", device, uplink), r;

    if (n >= (int)sizeof(text))
        return -ENAMETOOLONG;
    r = hmac_sha256(keys->identity, text, (size_t)n, digest);
    if (r >= 0)
        memcpy(ret_id, digest, sizeof(*ret_id));
    return r;
}

int keys_opaque_id(const struct vault_keys *keys, const char *device, char ret_id[OPAQUE_ID_SIZE])
{
    char text[BASE32_SIZE(DIGEST_SIZE)];
    uint8_t digest[DIGEST_SIZE];
    int r = hmac_sha256(keys->identity, device, strlen(device), digest);

    if (r < 0)
        return r;
    base32_encode(digest, DIGEST_SIZE, text);
    memcpy(ret_id, text, OPAQUE_ID_SIZE - 1);
    ret_id[OPAQUE_ID_SIZE - 1] = 0;
    return 0;
}
