/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes a vault of format 1 with known contents, once: tests/fixtures/vault-format-1/ was made by this, and every later
 * version has to open it. Run again it makes another vault of the same contents (nonces, keyfile and vault key are
 * random), so it is not run by the build.
 *
 *     make-vault-fixture DIRECTORY      writes vault.db, keyfile and contents.txt
 *
 * contents.txt: a line `entry DEVICE UPLINK COUNTER ROTATION-HEX` for each entry, `slot DEVICE UPLINK ROLE KIND
 * IDENTITY CLOUD-ID LAST-AUTHENTICATED GENERATION FINGERPRINT KEY-HEX` for each credential, `retired KEY-HEX DEVICE`,
 * `opaque DEVICE ID`, and `bind TEXT`; `-` stands for nothing. */
#include "base/encode.h"
#include "vault/key.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BIND "bind value of the fixture"

static struct arena *arena;
static struct vault *vault;

static void die(const char *what, const struct error *e)
{
    fprintf(stderr, "%s: %s\n", what, e->text);
    exit(1);
}

/* SHA-256 of a label: reproducible, and no pattern. */
static struct secret *make_key(const char *label, size_t n)
{
    struct secret *key = NULL;
    uint8_t digest[64];

    if (secret_new(arena, &key) < 0)
        exit(1);
    gnutls_hash_fast(GNUTLS_DIG_SHA512, label, strlen(label), digest);
    memcpy(key->bytes, digest, key->size = n);
    return key;
}

static void put(struct vault_change *c, enum vault_slot slot, const char *identity, enum vault_kind kind,
                const char *label, size_t n, unsigned flags)
{
    _cleanup_(secret_freep) struct secret *key = make_key(label, n);
    struct error e;

    if (vault_change_put(c, slot, identity, kind, key, flags, &e) < 0)
        die(identity, &e);
}

static void commit(struct vault_change *c)
{
    struct error e;

    if (vault_commit_sync(vault, c, &e) < 0)
        die("commit", &e);
}

static void fill(void)
{
    struct vault_change *c = vault_change_new(vault, "boiler-1", "cloud");

    put(c, VAULT_MAIN, "k2x7qmz4ab-1", VAULT_PSK, "boiler-1 first", 32, 0);
    commit(c);
    /* Rotated: the new one in use, the old one retiring, roles exchanged. */
    c = vault_change_new(vault, "boiler-1", "cloud");
    put(c, VAULT_BACKUP, "k2x7qmz4ab-2", VAULT_PSK, "boiler-1 second", 32, 0);
    vault_change_counter(c, 2);
    vault_change_rotation(c, "\0\1rotation\xff", 11);
    vault_change_swap(c);
    vault_change_cloud_id(c, VAULT_MAIN, "6553a1");
    vault_change_authenticated(c, VAULT_MAIN, UINT64_C(1700000000000000));
    commit(c);

    c = vault_change_new(vault, "boiler-1", "backup-cloud");
    put(c, VAULT_MAIN, "boiler-1@project:x", VAULT_PSK, "boiler-1 elsewhere", 64, 0);
    commit(c);
    c = vault_change_new(vault, "fixed.identity_7", "cloud");
    put(c, VAULT_MAIN, "gerät/7", VAULT_PSK, "fixed main", 16, 0);
    put(c, VAULT_BACKUP, "gerät/7", VAULT_PSK, "fixed backup", 17, VAULT_SHARES_IDENTITY);
    commit(c);
    c = vault_change_new(vault, "ruuvi", "ble");
    put(c, VAULT_MAIN, "54:48:E6:8F:80:A5", VAULT_BIND, "bind key", 16, 0);
    commit(c);
    /* One forgotten, one removed whole: their keys stay taken. */
    c = vault_change_new(vault, "replaced", "cloud");
    put(c, VAULT_MAIN, "replaced-1", VAULT_PSK, "replaced first", 32, 0);
    commit(c);
    c = vault_change_new(vault, "replaced", "cloud");
    put(c, VAULT_MAIN, "replaced-2", VAULT_PSK, "replaced second", 32, 0);
    commit(c);
    c = vault_change_new(vault, "gone", "cloud");
    put(c, VAULT_MAIN, "gone-5", VAULT_PSK, "gone", 32, 0);
    vault_change_counter(c, 5);
    commit(c);
    c = vault_change_new(vault, "gone", "cloud");
    vault_change_remove(c);
    commit(c);
}

static void write_slot(FILE *f, const struct vault_entry *entry, enum vault_slot slot)
{
    const struct vault_credential *view = vault_credential(entry, slot);
    _cleanup_(secret_freep) struct secret *key = NULL;
    char hex[HEX_SIZE(KEY_MAX)];
    struct error e;

    if (!view->present)
        return;
    if (vault_key_open(vault, entry, slot, &key, &e) < 0)
        die("open", &e);
    hex_encode(key->bytes, key->size, hex);
    fprintf(f, "slot %s %s %s %s %s %s %llu %llu %s %s\n", vault_entry_device(entry), vault_entry_uplink(entry),
            vault_slot_to_string(slot), vault_kind_to_string(view->kind), view->identity,
            *view->cloud_id ? view->cloud_id : "-", (unsigned long long)view->last_authenticated,
            (unsigned long long)view->generation, view->fingerprint, hex);
}

static void write_contents(FILE *f)
{
    static const char *const retired[][2] = {{"replaced first", "replaced"}, {"gone", "gone"}};
    char hex[HEX_SIZE(VAULT_ROTATION_MAX)], id[OPAQUE_ID_SIZE];

    fprintf(f, "bind %s\n", BIND);
    for (struct vault_entry *entry = vault_next(vault, NULL); entry; entry = vault_next(vault, entry)) {
        size_t n;
        const void *rotation = vault_rotation(entry, &n);

        hex_encode(rotation ? rotation : "", n, hex);
        fprintf(f, "entry %s %s %llu %s\n", vault_entry_device(entry), vault_entry_uplink(entry),
                (unsigned long long)vault_identity_counter(entry), n > 0 ? hex : "-");
        write_slot(f, entry, VAULT_MAIN);
        write_slot(f, entry, VAULT_BACKUP);
    }
    for (size_t i = 0; i < ELEMENTSOF(retired); i++) {
        _cleanup_(secret_freep) struct secret *key = make_key(retired[i][0], 32);

        hex_encode(key->bytes, key->size, hex);
        fprintf(f, "retired %s %s\n", hex, retired[i][1]);
    }
    vault_opaque_id(vault, "boiler-1", id);
    fprintf(f, "opaque boiler-1 %s\n", id);
}

int main(int argc, char *argv[])
{
    struct vault_options options = {
        .path = "vault.db", .keyfile = "keyfile", .bind = BIND, .bind_size = strlen(BIND), .allow_volatile = true};
    sd_event *event = NULL;
    struct error e = {0};
    uint8_t key[KEYFILE_SIZE];
    FILE *f;
    int fd;

    if (argc != 2 || chdir(argv[1]) < 0) {
        fprintf(stderr, "usage: make-vault-fixture DIRECTORY\n");
        return 2;
    }
    gnutls_rnd(GNUTLS_RND_RANDOM, key, sizeof(key));
    fd = open("keyfile", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, key, sizeof(key)) != sizeof(key) || close(fd) < 0) {
        perror("keyfile");
        return 1;
    }
    if (sd_event_new(&event) < 0 || arena_new(&arena, &e) < 0 || vault_open(event, arena, &options, &vault, &e) < 0)
        die("vault", &e);
    fill();
    f = fopen("contents.txt", "we");
    if (!f)
        return 1;
    write_contents(f);
    fclose(f);
    vault_free(vault);
    arena_free(arena);
    sd_event_unref(event);
    unlink("vault.db.lock");
    return 0;
}
