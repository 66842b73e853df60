/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vault: making a keyfile, which is the caller's to do, and what the agent does with the vault. */
#include "ctl.h"

#include "base/durable.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int init(struct ctl *c)
{
    uint8_t key[KEYFILE_SIZE];
    struct error e;
    int r;

    if (!c->keyfile) {
        fprintf(stderr, "gatehousectl: vault init --keyfile FILE\n");
        return EXIT_USAGE;
    }
    if (getrandom(key, sizeof(key), 0) != sizeof(key)) {
        fprintf(stderr, "gatehousectl: no random bytes: %m\n");
        return EXIT_FAILURE;
    }
    r = durable_create(AT_FDCWD, c->keyfile, key, sizeof(key), 0400, &e);
    explicit_bzero(key, sizeof(key));
    if (r == -EEXIST)
        fprintf(stderr,
                "gatehousectl: %s exists; a vault that it opens would be lost with it, so it is left as it is\n",
                c->keyfile);
    else if (r < 0)
        fprintf(stderr, "gatehousectl: %s\n", e.text);
    else
        print_say(c, "%s made; keep a copy where the vault is not", c->keyfile);
    return r < 0 ? EXIT_FAILURE : 0;
}

static int verify(struct ctl *c)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_json_ json_object *job = NULL;
    json_object *results;
    const char *path;
    int r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "VerifyVault", &reply, "");

    if (r != 0)
        return r;
    if (sd_bus_message_read(reply, "o", &path) < 0)
        return EXIT_FAILURE;
    r = job_wait(c, path, true, &job);
    if (r != 0)
        return r;
    results = json_object_object_get(job, "Results");
    if (c->output != OUTPUT_TEXT) {
        print_json(c, job);
    } else {
        for (size_t i = 0; i < json_object_array_length(results); i++) {
            json_object *result = json_object_array_get_idx(results, i);

            printf("%s: %s\n", json_get_string(result, "device"), json_get_string(result, "reason"));
        }
        print_say(c, "%" PRIu64 " entries looked at, %" PRIu64 " with problems",
                  json_object_get_uint64(json_object_object_get(job, "Total")),
                  json_object_get_uint64(json_object_object_get(job, "Failed")));
    }
    return strcmp(json_get_string(job, "State") ?: "", "done") == 0 ? 0 : EXIT_FAILURE;
}

int verb_vault(struct ctl *c, int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "backup") == 0)
        return verb_vault_backup(c, argv[2]);
    if (argc == 3 && strcmp(argv[1], "restore") == 0)
        return verb_vault_restore(c, argv[2]);
    if (argc == 2 && strcmp(argv[1], "init") == 0)
        return init(c);
    if (argc == 2 && strcmp(argv[1], "verify") == 0)
        return verify(c);
    if (argc == 2 && strcmp(argv[1], "rekey") == 0)
        return verb_vault_rekey(c);
    if (argc == 2 && strcmp(argv[1], "reset") == 0)
        return verb_vault_reset(c);
    if (argc == 2 && strcmp(argv[1], "recovery-key") == 0)
        return verb_vault_recovery_key(c);
    fprintf(stderr, "gatehousectl: vault init --keyfile FILE, vault verify, vault rekey [--keyfile FILE], "
                    "vault recovery-key, vault backup FILE, vault restore FILE, or vault reset --for-image\n");
    return EXIT_USAGE;
}
