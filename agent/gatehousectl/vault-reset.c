/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vault reset --for-image: what must not be in the image of a series goes, so that each machine made from it gets a
 * keyfile and a vault of its own. The keyfile first: cut in between, no image has a keyfile that others have too. */
#include "ctl.h"

#include "base/durable.h"
#include "base/keyfile-path.h"
#include "base/log.h"
#include "base/messages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The agent holds a lock on it as long as it runs. */
static int check_stopped(const char *state_dir)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    _cleanup_close_ int fd = -EBADF;
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/" VAULT_FILE ".lock", state_dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fcntl(fd, F_GETLK, &lock) < 0)
        return -errno;
    return lock.l_type == F_UNLCK ? 0 : -EBUSY;
}

static bool confirmed(const struct ctl *c, const char *keyfile, const char *state_dir)
{
    char answer[8] = "";

    if (c->yes)
        return true;
    fprintf(stderr,
            "This removes %s, the vault in %s with the keys of all devices, and the samples that wait there, for ever. "
            "Type yes: ",
            keyfile, state_dir);
    return fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0;
}

/* The remains of a write of this file that was cut off (base/durable.h), a key perhaps. */
static bool is_left_of(const char *entry, const char *name)
{
    return entry[0] == '.' && strncmp(entry + 1, name, strlen(name)) == 0 && entry[strlen(entry) - 1] == '~';
}

/* With `all` also whatever begins with the name. */
static int remove_names(const char *directory, const char *name, bool all, struct error *e)
{
    DIR *dir = opendir(directory);
    int r = 0;

    if (!dir)
        return errno == ENOENT ? 0 : error_errno(e, -errno, "cannot read %s", directory);
    for (const struct dirent *entry; r >= 0 && (entry = readdir(dir));)
        if (is_left_of(entry->d_name, name) || (all && strncmp(entry->d_name, name, strlen(name)) == 0))
            r = durable_unlink(dirfd(dir), entry->d_name, e);
    closedir(dir);
    return r;
}

static int remove_keyfile(const char *keyfile, struct error *e)
{
    char next[PATH_MAX], directory[PATH_MAX], name[PATH_MAX];
    int r = keyfile_next_path(keyfile, next, sizeof(next));

    if (r < 0)
        return error_set(e, r, "%s: the path is too long", keyfile);
    snprintf(directory, sizeof(directory), "%s", next);
    snprintf(name, sizeof(name), "%s", strrchr(next, '/') ? strrchr(next, '/') + 1 : next);
    r = durable_unlink(AT_FDCWD, next, e);
    if (r >= 0)
        r = remove_names(dirname(directory), name, false, e);
    return r < 0 ? r : durable_unlink(AT_FDCWD, keyfile, e);
}

/* vault.db, its log and lock, and what restores have kept of it; and the samples of this machine's sensors. */
static int remove_state(const char *state_dir, struct error *e)
{
    int r = remove_names(state_dir, VAULT_FILE, true, e);

    return r < 0 ? r : remove_names(state_dir, SPOOL_FILE, true, e);
}

int verb_vault_reset(struct ctl *c, int argc, char **argv)
{
    const char *keyfile = c->keyfile ?: KEYFILE_DIR "/" KEYFILE_CURRENT, *state_dir = c->state_dir ?: STATE_DIR;
    struct error e = {0};
    int r;

    if (!c->for_image) {
        print_error("vault reset needs --for-image: it is for the machine that an image is taken of");
        return EXIT_USAGE;
    }
    r = check_stopped(state_dir);
    if (r < 0) {
        print_error("%s: %s", state_dir,
                    r == -EBUSY ? "the agent runs: stop it first (systemctl stop gatehouse)" : strerror(-r));
        return EXIT_FAILURE;
    }
    if (!confirmed(c, keyfile, state_dir)) {
        print_error("nothing was removed");
        return EXIT_FAILURE;
    }
    r = remove_keyfile(keyfile, &e);
    if (r >= 0)
        r = remove_state(state_dir, &e);
    if (r < 0) {
        print_error("%s; give the same command again", e.text);
        return EXIT_FAILURE;
    }
    log_audit(LOG_NOTICE, MESSAGE_VAULT_RESET, NULL, getuid(), "%s, the vault and the spool in %s are removed", keyfile,
              state_dir);
    ctl_result_text(c, "keyfile", keyfile);
    ctl_result_text(c, "state_dir", state_dir);
    print_say(
        c,
        "keyfile, vault and waiting samples are removed: each machine makes its own when it first starts. Flash keeps old blocks: take "
        "images for a series of a card that never held keys");
    return 0;
}
