/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vault rekey: the new keyfile is durable before the agent seals anything with it, and takes the place of the old one
 * only when all is sealed. Cut anywhere in between, the agent opens with one of the two, and this verb goes on. */
#include "ctl.h"

#include "base/durable.h"
#include "base/keyfile-path.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/* The users who read the present one must be able to read its successor; and it is to be there after a power cut, also
 * where somebody else made it and was cut off before that was certain. */
static int make_ready(const char *current, const char *next, struct error *e)
{
    _cleanup_close_ int fd = open(next, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0 || stat(current, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0)
        return error_errno(e, -errno, "cannot give %s the owner of %s", next, current);
    if (fsync(fd) < 0 || durable_sync_directory(AT_FDCWD, next) < 0)
        return error_errno(e, -errno, "cannot sync %s", next);
    return 0;
}

/* The next keyfile: that of a rekey which was cut short, or a new one. */
static int next_key(const char *current, const char *next, uint8_t key[KEYFILE_SIZE], bool *ret_found)
{
    _cleanup_free_ char *data = NULL;
    struct error e = {0};
    size_t n = 0;
    int r = file_read(AT_FDCWD, next, KEYFILE_SIZE, &data, &n, &e);

    *ret_found = r >= 0;
    if (r == -ENOENT) {
        n = KEYFILE_SIZE;
        r = getrandom(key, n, 0) == (ssize_t)n ? durable_create(AT_FDCWD, next, key, n, 0400, &e)
                                               : error_errno(&e, -errno, "no random bytes");
    } else if (r >= 0 && n == KEYFILE_SIZE) {
        memcpy(key, data, n);
        explicit_bzero(data, n);
    }
    if (r >= 0 && n != KEYFILE_SIZE)
        r = error_set(&e, -EINVAL, "%s is no keyfile: it has %zu bytes, not %d", next, n, KEYFILE_SIZE);
    if (r >= 0)
        r = make_ready(current, next, &e);
    if (r < 0)
        print_error("%s", e.text);
    return r < 0 ? EXIT_FAILURE : 0;
}

static int hand_over(struct ctl *c, const uint8_t key[KEYFILE_SIZE])
{
    _cleanup_close_ int fd = key_memfd(key, KEYFILE_SIZE);

    return fd < 0 ? EXIT_FAILURE : ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Rekey", NULL, "h", fd);
}

int verb_vault_rekey(struct ctl *c, int argc, char **argv)
{
    const char *current = c->keyfile ?: KEYFILE_DIR "/" KEYFILE_CURRENT;
    uint8_t key[KEYFILE_SIZE];
    char next[PATH_MAX];
    struct error e = {0};
    bool found;
    int r;

    if (access(current, F_OK) < 0 || keyfile_next_path(current, next, sizeof(next)) < 0) {
        print_error("%s: %m; --keyfile FILE names the one that the agent uses", current);
        return EXIT_FAILURE;
    }
    r = next_key(current, next, key, &found);
    if (r == 0)
        r = hand_over(c, key);
    explicit_bzero(key, sizeof(key));
    if (r != 0) {
        print_error("leave %s where it is: the vault may have been sealed with it. "
                    "The same command again goes on",
                    next);
        return r;
    }
    if (durable_rename(AT_FDCWD, next, current, &e) < 0) {
        print_error("%s; the vault opens with %s until the same command is given again", e.text, next);
        return EXIT_FAILURE;
    }
    ctl_result_text(c, "keyfile", current);
    print_say(c, "%s; %s is the new keyfile: keep a copy where the vault is not",
              found ? "a rekey that was cut short is finished" : "the vault is sealed anew", current);
    print_say(c, "backups made before open with the keyfile of their time only; a recovery key made before is void");
    return 0;
}
