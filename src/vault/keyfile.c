/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/keyfile.h"

#include "base/cleanup.h"
#include "base/keyfile-path.h"
#include "base/names.h"
#include "vault/weak.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

static int check_owner(const char *path, const struct stat *st, struct error *e)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return error_set(e, -EPERM,
                         "keyfile %s belongs to uid %u: it must belong to root or to uid %u, which runs this", path,
                         (unsigned)st->st_uid, (unsigned)geteuid());
    if (st->st_mode & 0077)
        return error_set(e, -EPERM,
                         "keyfile %s is open to %s (mode %04o): chmod 0400 it, and consider its key as known", path,
                         st->st_mode & 0007 ? "others" : "its group", (unsigned)st->st_mode & 07777);
    return 0;
}

static int check_size(const char *path, const struct stat *st, struct error *e)
{
    const char *hint = "it is cut off or something else";

    if (st->st_size == KEYFILE_SIZE)
        return 0;
    if (st->st_size >= 43 && st->st_size <= 66)
        hint = "is it hex or base64 text?";
    else if (st->st_size == 0)
        hint = "it is empty";
    return error_set(e, -EINVAL, "keyfile %s has %lld bytes: a keyfile is exactly %d random bytes; %s", path,
                     (long long)st->st_size, KEYFILE_SIZE, hint);
}

/* One byte more than wanted is asked for, so that a file that grew since its check is seen. */
static int read_key(int fd, const char *path, struct secret *key, struct error *e)
{
    size_t n = 0;

    while (n <= KEYFILE_SIZE) {
        ssize_t k = read(fd, key->bytes + n, KEYFILE_SIZE + 1 - n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_errno(e, -errno, "cannot read keyfile %s", path);
        if (k == 0)
            break;
        n += (size_t)k;
    }
    if (n != KEYFILE_SIZE)
        return error_set(e, -EINVAL, "keyfile %s changed while it was read", path);
    key->size = n;
    return 0;
}

int keyfile_check_bytes(const struct secret *key, struct error *e)
{
    const char *weak;

    if (key->size != KEYFILE_SIZE)
        return error_set(e, -EINVAL, "a keyfile is exactly %d random bytes, this is %zu", KEYFILE_SIZE, key->size);
    weak = weak_key(key->bytes, key->size);
    return weak ? error_set(e, -EKEYREJECTED, "it is not random (%s): make one with `gatehousectl vault init`", weak)
                : 0;
}

/* `shown`: the file as its owner knows it. */
static int read_checked(struct arena *arena, const char *path, const char *shown, bool credential, struct secret **ret,
                        struct error *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    _cleanup_(secret_freep) struct secret *key = NULL;
    struct stat st;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(e, -errno, "cannot open keyfile %s", shown);
    if (!S_ISREG(st.st_mode))
        return error_set(e, -EINVAL, "keyfile %s is not a regular file", shown);
    r = credential ? 0 : check_owner(shown, &st, e);
    if (r >= 0)
        r = check_size(shown, &st, e);
    if (r < 0)
        return r;
    r = secret_new(arena, &key);
    if (r < 0)
        return error_errno(e, r, "no room in the key arena for keyfile %s", shown);
    r = read_key(fd, shown, key, e);
    if (r < 0)
        return r;
    r = keyfile_check_bytes(key, e);
    if (r < 0)
        return error_prefix(e, r, "keyfile %s", shown);
    *ret = TAKE_PTR(key);
    return 0;
}

/* The unit loads the whole of KEYFILE_DIR; a path below the service manager's own directory would help nobody. */
static int read_credential(struct arena *arena, const char *name, const char *file, struct secret **ret,
                           struct error *e)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char credential[PATH_MAX], shown[128];

    if (!directory)
        return error_set(e, -ENOENT, "no keyfile: neither --keyfile nor $CREDENTIALS_DIRECTORY (LoadCredential=key:%s)",
                         KEYFILE_DIR);
    if (snprintf(credential, sizeof(credential), "%s/%s", directory, name) >= (int)sizeof(credential))
        return error_set(e, -ENAMETOOLONG, "$CREDENTIALS_DIRECTORY is too long");
    snprintf(shown, sizeof(shown), "%s/%s (the credential %s)", KEYFILE_DIR, file, name);
    return read_checked(arena, credential, shown, true, ret, e);
}

int keyfile_read(struct arena *arena, const char *path, struct secret **ret, struct error *e)
{
    return path ? read_checked(arena, path, path, false, ret, e)
                : read_credential(arena, CREDENTIAL_KEY, KEYFILE_CURRENT, ret, e);
}

int keyfile_read_next(struct arena *arena, const char *path, struct secret **ret, struct error *e)
{
    char next[PATH_MAX];

    if (!path)
        return read_credential(arena, CREDENTIAL_KEY_NEXT, "next", ret, e);
    if (keyfile_next_path(path, next, sizeof(next)) < 0)
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", path);
    return read_checked(arena, next, next, false, ret, e);
}
