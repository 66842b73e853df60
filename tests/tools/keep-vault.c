/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts keys into a vault as the agent does, one commit each: for cuts in between.
 *
 *     keep-vault VAULT.DB KEYFILE ROUNDS
 *
 * After each commit N, when it should outlive a power cut, it writes "N\n" to its standard output. */
#include "base/cleanup.h"
#include "vault/key.h"

#include <gnutls/crypto.h>
#include <stdio.h>

static int put(struct vault *vault, struct arena *arena, long i, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    struct vault_change *c;
    char name[32];

    snprintf(name, sizeof(name), "v%02ld", i);
    c = vault_change_new(vault, name, "cloud");
    if (!c || secret_new(arena, &key) < 0)
        return error_set(e, -ENOMEM, "out of memory");
    key->size = 32;
    gnutls_rnd(GNUTLS_RND_RANDOM, key->bytes, key->size);
    if (vault_change_put(c, VAULT_MAIN, name, VAULT_PSK, key, 0, e) < 0) {
        vault_change_free(c);
        return -EINVAL;
    }
    return vault_commit_sync(vault, c, e);
}

int main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *arena = NULL;
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    _cleanup_(vault_freep) struct vault *vault = NULL;
    struct error e = {0};
    int r;

    if (argc != 4) {
        fprintf(stderr, "usage: keep-vault VAULT.DB KEYFILE ROUNDS\n");
        return EXIT_FAILURE;
    }
    r = sd_event_new(&event);
    if (r >= 0)
        r = arena_new(&arena, &e);
    if (r >= 0)
        r = vault_open(event, arena,
                       &(struct vault_options){.path = argv[1], .keyfile = argv[2], .allow_volatile = true}, &vault,
                       &e);
    for (long i = 1; r >= 0 && i <= strtol(argv[3], NULL, 10); i++) {
        r = put(vault, arena, i, &e);
        if (r >= 0)
            printf("%ld\n", i);
        fflush(stdout);
    }
    if (r < 0)
        fprintf(stderr, "keep-vault: %s\n", e.text);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
