/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vault backup, vault restore. The agent seals a backup into a file of the caller's; to put one back it must not run.
 */
#include "ctl.h"

#include "base/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int backup(struct ctl *c, int fd)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_json_ json_object *job = NULL;
    const char *path, *reason;
    json_object *result;
    int r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Backup", &reply, "ha{sv}", fd, 0);

    if (r != 0)
        return r;
    if (sd_bus_message_read(reply, "o", &path) < 0)
        return EXIT_FAILURE;
    r = job_wait(c, path, &(struct job_watch){.progress = true}, &job);
    if (r != 0)
        return r;
    if (strcmp(json_get_string(job, "State") ?: "", "done") == 0)
        return 0;
    result = json_object_array_get_idx(json_object_object_get(job, "Results"), 0);
    reason = result ? json_get_string(result, "reason") : NULL;
    print_error("no backup: %s", reason ?: "the agent gave no reason");
    return EXIT_FAILURE;
}

int verb_vault_backup(struct ctl *c, int argc, char **argv)
{
    const char *file = argv[0];
    _cleanup_close_ int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0) {
        print_error("cannot make %s: %m", file);
        return EXIT_FAILURE;
    }
    r = backup(c, fd);
    if (r == 0 && durable_sync_directory(AT_FDCWD, file) < 0) {
        print_error("cannot sync the directory of %s: %m", file);
        r = EXIT_FAILURE;
    }
    if (r != 0) {
        unlink(file);
        if (r == EXIT_NOT_RUNNING)
            print_error("while it is stopped: gatehoused --backup %s --keyfile %s", file,
                        c->keyfile ?: KEYFILE_DIR "/" KEYFILE_CURRENT);
        return r;
    }
    ctl_result_text(c, "file", file);
    print_say(c, "%s made. It opens with the present keyfile, or the present recovery key: keep one of them, elsewhere",
              file);
    return 0;
}

/* The vault is the agent's to open, so a running one is in the way, and another run of its program does it. */
int verb_vault_restore(struct ctl *c, int argc, char **argv)
{
    const char *file = argv[0];

    if (access(file, R_OK) < 0) {
        print_error("%s: %m", file);
        return EXIT_FAILURE;
    }
    print_error("a backup is put back while the agent is stopped, by the agent's own program, as root:\n"
                "    systemctl stop gatehouse\n"
                "    gatehoused --restore %s%s --keyfile %s\n"
                "    systemctl start gatehouse\n"
                "It names the devices whose keys are newer than the backup, and then wants --force.",
                file, c->force ? " --force" : "", c->keyfile ?: KEYFILE_DIR "/" KEYFILE_CURRENT);
    return EXIT_FAILURE;
}
