/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/announced-file.h"

#include "base/cleanup.h"
#include "base/durable.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *announced_path(const char *state_dir, const char *device, const char *broker)
{
    char *path;

    return asprintf(&path, "%s/" ANNOUNCED_DIR "/%s@%016" PRIx64, state_dir, device, hash_text(HASH_BEGIN, broker)) < 0
               ? NULL
               : path;
}

int announced_read(const char *path, struct announced *ret)
{
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = file_read(AT_FDCWD, path, ANNOUNCED_FILE_MAX, &text, &n, NULL);

    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : announced_parse(text, ret);
}

static int make_directory(const char *path)
{
    _cleanup_free_ char *directory = strdup(path);

    if (!directory)
        return -ENOMEM;
    *strrchr(directory, '/') = 0;
    if (mkdir(directory, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    return durable_sync_directory(AT_FDCWD, directory);
}

int announced_write(const char *path, const char *text)
{
    int r;

    if (!text)
        return durable_unlink(AT_FDCWD, path, NULL);
    r = make_directory(path);
    return r < 0 ? r : durable_write(AT_FDCWD, path, text, strlen(text), 0600, NULL);
}

/* "boiler-1" of "boiler-1@0123456789abcdef" */
static bool device_of(const char *name, char ret[static DEVICE_ID_MAX + 1])
{
    const char *at = strchr(name, '@');
    size_t n = at ? (size_t)(at - name) : 0;

    if (n == 0 || n > DEVICE_ID_MAX)
        return false;
    memcpy(ret, name, n);
    ret[n] = 0;
    return id_valid(ret) && strspn(at + 1, "0123456789abcdef") == strlen(at + 1);
}

bool announced_some(const char *state_dir)
{
    _cleanup_free_ char *directory = NULL;

    if (asprintf(&directory, "%s/" ANNOUNCED_DIR, state_dir) < 0) {
        directory = NULL;
        return true;
    }
    return access(directory, F_OK) == 0;
}

int announced_each(const char *state_dir, int (*one)(const char *device, struct announced *a, void *userdata),
                   void *userdata)
{
    _cleanup_free_ char *directory = NULL;
    char device[DEVICE_ID_MAX + 1];
    struct dirent *entry;
    DIR *open;
    int r = 0;

    if (asprintf(&directory, "%s/" ANNOUNCED_DIR, state_dir) < 0) {
        directory = NULL;
        return -ENOMEM;
    }
    open = opendir(directory);
    if (!open)
        return errno == ENOENT ? 0 : -errno;
    while (r >= 0 && (entry = readdir(open))) {
        _cleanup_(announced_done) struct announced a = {0};
        _cleanup_free_ char *path = NULL;

        if (!device_of(entry->d_name, device))
            continue;
        if (asprintf(&path, "%s/%s", directory, entry->d_name) < 0) {
            path = NULL;
            r = -ENOMEM;
        } else if (announced_read(path, &a) >= 0 && a.broker)
            r = one(device, &a, userdata);
    }
    closedir(open);
    return r;
}
