/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/durable.h"
#include "base/limits.h"
#include "base/names.h"
#include "config/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The device files as they are found, in order. */
struct files {
    struct device_file *list;
    size_t n, allocated;
};

static void files_done(struct files *f)
{
    for (size_t i = 0; i < f->n; i++)
        device_file_done(&f->list[i]);
    free(f->list);
}

/* Backups of editors and dpkg have other endings. */
static int is_device_file(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');

    return entry->d_name[0] != '.' && end && strcmp(end, ".json") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_file(struct files *f, const char *directory, const char *name)
{
    struct device_file *list;

    if (f->n == f->allocated) {
        list = reallocarray(f->list, f->allocated ? f->allocated * 2 : 16, sizeof(*list));
        if (!list)
            return -ENOMEM;
        f->list = list;
        f->allocated = f->allocated ? f->allocated * 2 : 16;
    }
    f->list[f->n] = (struct device_file){0};
    if (asprintf(&f->list[f->n].path, "%s/%s", directory, name) < 0)
        return -ENOMEM;
    f->n++;
    return 0;
}

/* The names in one directory; a directory that is not there has none. */
static int list_directory(const char *directory, struct files *f, struct mistakes *mistakes)
{
    struct dirent **entries = NULL;
    int n, r = 0;

    n = scandir(directory, &entries, is_device_file, by_name);
    if (n < 0 && (errno == ENOENT || errno == ENOMEM))
        return errno == ENOENT ? 0 : -ENOMEM;
    if (n < 0) {
        mistakes_add(mistakes, directory, 0, 0, NULL, "cannot read the directory: %s",
                     strerrordesc_np(errno) ?: "unknown error");
        return 0;
    }
    for (int i = 0; i < n; i++) {
        if (r >= 0)
            r = add_file(f, directory, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return r;
}

static int read_files(const struct config *c, const char *directory, bool removable, struct files *f,
                      struct mistakes *mistakes)
{
    size_t first = f->n;
    int r;

    r = list_directory(directory, f, mistakes);
    for (size_t i = first; r >= 0 && i < f->n; i++) {
        _cleanup_free_ char *text = NULL;
        size_t n;

        if (i >= DEVICES_MAX) {
            mistakes_add(mistakes, f->list[i].path, 0, 0, NULL, "there are more than %d devices", DEVICES_MAX);
            continue;
        }
        r = config_read_file(f->list[i].path, &text, &n, mistakes);
        if (r >= 0)
            r = config_read_device(c, text, n, &f->list[i], mistakes);
        if (r == -EBADMSG)
            r = 0;
        if (f->list[i].device)
            f->list[i].device->removable = removable;
    }
    return r;
}

static int by_id(const void *a, const void *b)
{
    const struct device_file *x = *(struct device_file *const *)a, *y = *(struct device_file *const *)b;
    int r = strcmp(x->id, y->id);

    /* Within the array, so the order in which they were read. */
    return r ?: (x < y ? -1 : x > y);
}

/* Takes the devices over, except those whose id is in several files, even if one of those is bad, and those that are
 * the same to their broker. */
static int take_devices(struct config *c, struct files *f, struct mistakes *mistakes)
{
    _cleanup_free_ struct device_file **sorted = calloc(f->n + 1, sizeof(*sorted));
    size_t n = 0, n_taken = 0;
    int r;

    c->devices = calloc(f->n + 1, sizeof(*c->devices));
    if (!sorted || !c->devices)
        return -ENOMEM;
    for (size_t i = 0; i < f->n; i++)
        if (f->list[i].id)
            sorted[n++] = &f->list[i];
    qsort(sorted, n, sizeof(*sorted), by_id);
    for (size_t i = 0, same; i < n; i += same) {
        for (same = 1; i + same < n && strcmp(sorted[i]->id, sorted[i + same]->id) == 0;)
            same++;
        if (same == 1 && sorted[i]->device)
            sorted[n_taken++] = sorted[i];
        for (size_t k = 0; same > 1 && k < same; k++)
            mistakes_add(mistakes, sorted[i + k]->path, sorted[i + k]->id_at.line, sorted[i + k]->id_at.column,
                         sorted[i]->id, "the device \"%s\" is also in %s; neither is loaded", sorted[i]->id,
                         sorted[i + (k == 0 ? 1 : 0)]->path);
    }
    r = config_clients_refuse(sorted, n_taken, mistakes);
    for (size_t i = 0; r >= 0 && i < n_taken; i++)
        if (sorted[i]->device)
            c->devices[c->n_devices++] = TAKE_PTR(sorted[i]->device);
    return r;
}

/* An agent that was killed may have left a name that is not synced. It is read like the others, and what is read is
 * acted on: a power cut must not take it any more. */
static void sync_names(const char *directory, struct mistakes *mistakes)
{
    char inside[PATH_MAX];
    int r = snprintf(inside, sizeof(inside), "%s/.", directory) < (int)sizeof(inside) ? 0 : -ENAMETOOLONG;

    if (r >= 0)
        r = durable_sync_directory(AT_FDCWD, inside);
    if (r >= 0)
        r = durable_sync_directory(AT_FDCWD, directory);
    if (r < 0 && r != -ENOENT && r != -EACCES) /* who may not read it is told that */
        mistakes_add(mistakes, directory, 0, 0, NULL, "cannot sync the directory: %s", strerrordesc_np(-r));
}

static int read_devices(struct config *c, const struct config_paths *paths, bool uplinks_known,
                        struct mistakes *mistakes)
{
    _cleanup_(files_done) struct files f = {0};
    _cleanup_free_ char *administrators = NULL, *added = NULL;
    int r;

    if (asprintf(&administrators, "%s/" CONFIG_DEVICES_DIR, paths->config_dir ?: CONFIG_DIR) < 0) {
        administrators = NULL;
        return -ENOMEM;
    }
    if (asprintf(&added, "%s/" CONFIG_DEVICES_DIR, paths->state_dir ?: STATE_DIR) < 0) {
        added = NULL;
        return -ENOMEM;
    }
    r = read_files(uplinks_known ? c : NULL, administrators, false, &f, mistakes);
    if (r >= 0 && strcmp(administrators, added) != 0) {
        sync_names(added, mistakes);
        r = read_files(uplinks_known ? c : NULL, added, true, &f, mistakes);
    }
    return r < 0 ? r : take_devices(c, &f, mistakes);
}

int config_load(const struct config_paths *paths, enum config_flags flags, struct config **ret,
                struct mistakes *mistakes)
{
    _cleanup_(config_unrefp) struct config *c = calloc(1, sizeof(*c));
    _cleanup_free_ char *path = NULL;
    size_t before = mistakes->n_all;
    int r;

    if (!c)
        return -ENOMEM;
    c->refs = 1;
    if (asprintf(&path, "%s/" CONFIG_FILE, paths->config_dir ?: CONFIG_DIR) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    r = config_read_globals(c, path, mistakes);
    if (r < 0 && (r != -EBADMSG || !(flags & CONFIG_STRICT)))
        return r;
    r = read_devices(c, paths, r >= 0, mistakes);
    if (r < 0)
        return r;
    if (mistakes->failed < 0)
        return mistakes->failed;
    if ((flags & CONFIG_STRICT) && mistakes->n_all > before)
        return -EBADMSG;
    *ret = TAKE_PTR(c);
    return 0;
}
