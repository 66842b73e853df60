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

int verb_vault_init(struct ctl *c, int argc, char **argv)
{
    uint8_t key[KEYFILE_SIZE];
    struct error e;
    int r;

    if (!c->keyfile) {
        print_error("vault init needs --keyfile=FILE, the keyfile to make");
        return EXIT_USAGE;
    }
    if (getrandom(key, sizeof(key), 0) != sizeof(key)) {
        print_error("no random bytes: %m");
        return EXIT_FAILURE;
    }
    r = durable_create(AT_FDCWD, c->keyfile, key, sizeof(key), 0400, &e);
    explicit_bzero(key, sizeof(key));
    if (r == -EEXIST)
        print_error("%s exists; a vault that it opens would be lost with it, so it is left as it is", c->keyfile);
    else if (r < 0)
        print_error("%s", e.text);
    else
        ctl_result_text(c, "keyfile", c->keyfile);
    if (r >= 0)
        print_say(c, "%s made; keep a copy where the vault is not", c->keyfile);
    return r < 0 ? EXIT_FAILURE : 0;
}

int verb_vault_verify(struct ctl *c, int argc, char **argv)
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
    r = job_wait(c, path, &(struct job_watch){.progress = true}, &job);
    if (r != 0)
        return r;
    results = json_object_object_get(job, "Results");
    for (size_t i = 0; i < json_object_array_length(results); i++) {
        json_object *result = json_object_array_get_idx(results, i);

        print_say(c, "%s: %s", json_get_string(result, "device"), json_get_string(result, "reason"));
    }
    print_say(c, "%" PRIu64 " entries looked at, %" PRIu64 " with problems",
              json_object_get_uint64(json_object_object_get(job, "Total")),
              json_object_get_uint64(json_object_object_get(job, "Failed")));
    r = strcmp(json_get_string(job, "State") ?: "", "done") == 0 ? 0 : EXIT_FAILURE;
    job_result(c, path, TAKE_PTR(job));
    return r;
}
