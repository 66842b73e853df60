/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device files one at a time: added and removed over D-Bus, and looked at again to say where a mistake stands. */
#include "base/durable.h"
#include "base/limits.h"
#include "base/names.h"
#include "config/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Where a pointer lies in a file that should still be the one that was read. */
static int locate(const char *file, uint64_t digest, const char *pointer, struct position *ret)
{
    _cleanup_(prescan_freep) struct prescan *s = NULL;
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r;

    r = file_read(AT_FDCWD, file, CONFIG_FILE_MAX, &text, &n, NULL);
    if (r < 0)
        return r;
    if (config_digest(text, n) != digest)
        return -ESTALE;
    r = prescan_new(text, n, &s, ret, NULL);
    if (r < 0)
        return r;
    *ret = prescan_value_at(s, prescan_pointer(s, pointer));
    return 0;
}

static int locate_in_device(const struct config_device *d, const char *pointer, struct position *ret)
{
    _cleanup_free_ char *own = NULL;
    const size_t n = strlen("/section");

    if (strncmp(pointer, "/section", n) != 0 || (pointer[n] && pointer[n] != '/'))
        return locate(d->file, d->file_digest, pointer, ret);
    if (asprintf(&own, "/%s%s", d->driver, pointer + n) < 0) {
        own = NULL;
        return -ENOMEM;
    }
    return locate(d->file, d->file_digest, own, ret);
}

int config_device_locate(const struct config_device *d, const char *pointer, unsigned *ret_line, unsigned *ret_column)
{
    struct position at;
    int r;

    r = locate_in_device(d, pointer, &at);
    if (r < 0)
        return r;
    *ret_line = at.line;
    *ret_column = at.column;
    return 0;
}

void config_device_complain(const struct config_device *d, struct mistakes *mistakes, const char *pointer,
                            const char *text)
{
    struct position at = {0};

    if (locate_in_device(d, pointer, &at) >= 0)
        mistakes_add(mistakes, d->file, at.line, at.column, d->id, "%s", text);
    else
        mistakes_add(mistakes, d->file, 0, 0, d->id, "%s: %s", pointer, text);
}

void config_complain(const struct config *c, struct mistakes *mistakes, const char *pointer, const char *text)
{
    struct position at = {0};

    if (locate(c->file, c->file_digest, pointer, &at) >= 0)
        mistakes_add(mistakes, c->file, at.line, at.column, NULL, "%s", text);
    else
        mistakes_add(mistakes, c->file, 0, 0, NULL, "%s: %s", pointer, text);
}

int config_device_parse(const struct config *c, const char *file, const char *text, size_t n,
                        struct config_device **ret, struct mistakes *mistakes)
{
    _cleanup_(device_file_done) struct device_file f = {.path = strdup(file)};
    _cleanup_free_ char *copy = NULL;
    const struct config_device *other;
    int r;

    if (n > CONFIG_FILE_MAX) {
        mistakes_add(mistakes, file, 0, 0, NULL, "%zu bytes; a device may have %d", n, CONFIG_FILE_MAX);
        return -EBADMSG;
    }
    copy = malloc(n + 1);
    if (!copy || !f.path)
        return -ENOMEM;
    memcpy(copy, text, n);
    copy[n] = 0;
    r = config_read_device(c, copy, n, &f, mistakes);
    if (r < 0)
        return r;
    other = f.id ? config_device(c, f.id) : NULL;
    if (other) {
        mistakes_add(mistakes, file, f.id_at.line, f.id_at.column, f.id, "the device \"%s\" is already in %s", f.id,
                     other->file);
        return -EEXIST;
    }
    if (!f.device)
        return -EBADMSG;
    for (size_t i = 0; i < c->n_devices; i++)
        if (config_clients_clash(c->devices[i], f.device)) {
            config_clients_complain(&f, c->devices[i], "", mistakes);
            return -EEXIST;
        }
    f.device->removable = true;
    *ret = TAKE_PTR(f.device);
    return 0;
}

int config_device_path(const struct config_paths *paths, const char *id, char **ret)
{
    char *path;

    if (asprintf(&path, "%s/" CONFIG_DEVICES_DIR "/%s.json", paths->state_dir ?: STATE_DIR, id) < 0)
        return -ENOMEM;
    *ret = path;
    return 0;
}

/* The directory for device files, made durably where it is missing. */
static int open_directory(const struct config_paths *paths, struct error *e)
{
    const char *state = paths->state_dir ?: STATE_DIR;
    _cleanup_close_ int state_fd = -EBADF, fd = -EBADF;

    state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state_fd < 0)
        return error_errno(e, -errno, "cannot open %s", state);
    if (mkdirat(state_fd, CONFIG_DEVICES_DIR, 0750) < 0 && errno != EEXIST)
        return error_errno(e, -errno, "cannot make %s/" CONFIG_DEVICES_DIR, state);
    /* Even where it was there: whoever made it may have ended before this. */
    if (fsync(state_fd) < 0)
        return error_errno(e, -errno, "cannot sync %s", state);
    fd = openat(state_fd, CONFIG_DEVICES_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(e, -errno, "cannot open %s/" CONFIG_DEVICES_DIR, state);
    return TAKE_FD(fd);
}

int config_device_store(const struct config_paths *paths, const char *id, const char *text, size_t n, struct error *e)
{
    _cleanup_close_ int fd = -EBADF;
    char name[DEVICE_ID_MAX + 8];

    fd = open_directory(paths, e);
    if (fd < 0)
        return fd;
    snprintf(name, sizeof(name), "%s.json", id);
    return durable_create(fd, name, text, n, 0640, e);
}

int config_devices_store(const struct config_paths *paths, struct config_device *const *devices, char *const *texts,
                         size_t n, struct error *e)
{
    _cleanup_close_ int fd = open_directory(paths, e); /* closed last */
    _cleanup_(durable_many_freep) struct durable_many *many = NULL;
    int r;

    if (fd < 0)
        return fd;
    r = durable_many_new(fd, 0640, &many, e);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        char name[DEVICE_ID_MAX + 8];

        snprintf(name, sizeof(name), "%s.json", devices[i]->id);
        r = durable_many_add(many, name, texts[i], strlen(texts[i]), e);
    }
    return r < 0 ? r : durable_many_publish(many, e);
}

int config_device_remove(const struct config_device *d, struct error *e)
{
    if (!d->removable)
        return error_set(e, -EROFS, "%s is configured in %s, which is the administrator's: remove the file and reload",
                         d->id, d->file);
    return durable_unlink(AT_FDCWD, d->file, e);
}
