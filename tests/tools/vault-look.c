/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks into a vault that no agent holds, as the agent would open it, and prints what is durable there.
 *
 *     vault-look VAULT.DB KEYFILE
 *
 * One object of JSON: "problems" (texts: records that do not open), and "entries": device, uplink, rotation (the
 * state's name), unsettled, removing, give_up, and `main` and `backup` with identity, id (the cloud's) and key (the
 * first 8 bytes of SHA-256, as gatehouse-devcloud shows them). Keys are for tests: an agent never shows an unkeyed
 * digest. */
#include "base/encode.h"
#include "rotation/machine.h"
#include "vault/key.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define DIGEST_SHOWN 8

static struct json_object *problems;

static void note(const char *device, const char *uplink, const char *reason)
{
    char text[2 * ERROR_TEXT_MAX];

    snprintf(text, sizeof(text), "%s, %s: %s", device, uplink, reason);
    json_object_array_add(problems, json_object_new_string(text));
}

static void on_problem(const char *device, const char *uplink, const char *reason, void *userdata)
{
    note(device, uplink, reason);
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, json_object_new_string(text));
}

static struct json_object *slot(struct vault *vault, const struct vault_entry *entry, enum vault_slot which)
{
    const struct vault_credential *c = vault_credential(entry, which);
    _cleanup_(secret_freep) struct secret *key = NULL;
    struct json_object *o;
    char text[HEX_SIZE(DIGEST_SHOWN)];
    uint8_t digest[32];
    struct error e = {0};

    if (!c->present)
        return NULL;
    o = json_object_new_object();
    add_text(o, "identity", c->identity);
    add_text(o, "id", c->cloud_id);
    if (vault_key_open(vault, entry, which, &key, &e) < 0) {
        note(vault_entry_device(entry), vault_slot_to_string(which), e.text);
        return o;
    }
    gnutls_hash_fast(GNUTLS_DIG_SHA256, key->bytes, key->size, digest);
    hex_encode(digest, DIGEST_SHOWN, text);
    add_text(o, "key", text);
    return o;
}

static struct json_object *look(struct vault *vault, const struct vault_entry *entry)
{
    struct json_object *o = json_object_new_object();
    struct rotation_durable d = {0};
    size_t n;
    const void *blob = vault_rotation(entry, &n);
    int r = blob ? rotation_decode(blob, n, &d) : 0;

    add_text(o, "device", vault_entry_device(entry));
    add_text(o, "uplink", vault_entry_uplink(entry));
    json_object_object_add(o, "main", slot(vault, entry, VAULT_MAIN));
    json_object_object_add(o, "backup", slot(vault, entry, VAULT_BACKUP));
    if (r < 0)
        note(vault_entry_device(entry), vault_entry_uplink(entry), "its rotation state cannot be read");
    if (blob && r >= 0 &&
        (d.has_main != vault_credential(entry, VAULT_MAIN)->present ||
         d.has_backup != vault_credential(entry, VAULT_BACKUP)->present))
        note(vault_entry_device(entry), vault_entry_uplink(entry), "its rotation state contradicts its slots");
    add_text(o, "rotation", r < 0 ? "?" : rotation_state_name(d.state));
    json_object_object_add(o, "unsettled", json_object_new_boolean(d.unsettled));
    json_object_object_add(o, "removing", json_object_new_boolean(d.removing));
    json_object_object_add(o, "give_up", json_object_new_boolean(d.give_up));
    return o;
}

static int fail(const struct error *e)
{
    fprintf(stderr, "vault-look: %s\n", e->text);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static const struct vault_verify_handler handler = {.problem = on_problem};
    _cleanup_(arena_freep) struct arena *arena = NULL;
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    _cleanup_(vault_freep) struct vault *vault = NULL;
    struct json_object *all, *entries;
    struct error e = {0};

    if (argc != 3 || access(argv[1], F_OK) < 0) {
        fprintf(stderr, "usage: vault-look VAULT.DB KEYFILE\n");
        return EXIT_FAILURE;
    }
    if (sd_event_new(&event) < 0 || arena_new(&arena, &e) < 0)
        return fail(&e);
    if (vault_open(event, arena, &(struct vault_options){.path = argv[1], .keyfile = argv[2], .allow_volatile = true},
                   &vault, &e) < 0)
        return fail(&e);
    all = json_object_new_object();
    json_object_object_add(all, "entries", entries = json_object_new_array());
    json_object_object_add(all, "problems", problems = json_object_new_array());
    if (vault_verify_sync(vault, &handler, NULL) < 0)
        note("the vault", argv[1], "cannot be verified");
    if (vault_put_back(vault))
        note("the vault", argv[1], vault_put_back(vault));
    for (const struct vault_entry *entry = vault_next(vault, NULL); entry; entry = vault_next(vault, entry))
        json_object_array_add(entries, look(vault, entry));
    puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN));
    json_object_put(all);
    return EXIT_SUCCESS;
}
