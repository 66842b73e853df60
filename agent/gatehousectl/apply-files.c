/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "apply-files.h"

#include "base/durable.h"
#include "base/limits.h"
#include "base/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* In the order in which they are put in place: what others refer to comes first. */
static const char *const folders[] = {"profiles", "", CONFIG_DEVICES_DIR};

static unsigned folder_of(const char *name)
{
    const char *slash = strchr(name, '/');
    size_t n = slash ? (size_t)(slash - name) : 0;

    for (unsigned i = 0; i < ELEMENTSOF(folders); i++)
        if (strlen(folders[i]) == n && strncmp(folders[i], name, n) == 0)
            return i;
    return 0;
}

/* Names from which configurations are not read either. */
static bool passed_over(const char *name)
{
    size_t n = strlen(name);

    return name[0] == '.' || name[n - 1] == '~' || strstr(name, ".dpkg-") ||
           (n > 4 && strcmp(name + n - 4, ".bak") == 0);
}

static bool is_json(const char *name)
{
    size_t n = strlen(name);

    return n > 5 && strcmp(name + n - 5, ".json") == 0;
}

void apply_tree_done(struct apply_tree *tree)
{
    for (size_t i = 0; i < tree->n; i++) {
        free(tree->files[i].name);
        free(tree->files[i].text);
    }
    free(tree->files);
    *tree = (struct apply_tree){0};
}

static int add_file(struct apply_tree *tree, int directory, const char *folder, const char *name, struct error *e)
{
    struct apply_file *files = reallocarray(tree->files, tree->n + 1, sizeof(*files)), *f;
    int r;

    if (!files)
        return -ENOMEM;
    tree->files = files;
    f = &files[tree->n];
    *f = (struct apply_file){0};
    r = file_read(directory, name, CONFIG_FILE_MAX, &f->text, &f->n, e);
    if (r >= 0 && asprintf(&f->name, "%s%s%s", folder, folder[0] ? "/" : "", name) < 0)
        r = -ENOMEM;
    if (r < 0) {
        free(f->text);
        return r;
    }
    tree->n++;
    return 0;
}

static int refuse(const char *directory, const char *folder, const char *name, struct error *e)
{
    return error_set(e, -EINVAL,
                     "%s/%s%s%s: expected nothing but " CONFIG_FILE ", " CONFIG_DEVICES_DIR
                     "/*.json and profiles/*.json",
                     directory, folder, folder[0] ? "/" : "", name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* -ENOENT: it is not there. */
static int read_folder(const char *directory, const char *folder, bool strict, struct apply_tree *tree, struct error *e)
{
    char path[PATH_MAX];
    _cleanup_close_ int fd = -EBADF;
    struct dirent **entries = NULL;
    int n, r = 0;

    snprintf(path, sizeof(path), "%s/%s", directory, folder);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, -errno, "%s: %s", path, strerrordesc_np(errno));
    n = scandir(path, &entries, NULL, by_name);
    if (n < 0)
        return error_set(e, -errno, "%s: %s", path, strerrordesc_np(errno));
    for (int i = 0; i < n; i++) {
        if (r >= 0 && !passed_over(entries[i]->d_name)) {
            if (is_json(entries[i]->d_name))
                r = add_file(tree, fd, folder, entries[i]->d_name, e);
            else if (strict)
                r = refuse(directory, folder, entries[i]->d_name, e);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* The directory itself: one file of it is read, others are no matter. */
static int read_top(const char *directory, bool strict, struct apply_tree *tree, struct error *e)
{
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent **entries = NULL;
    int n = fd < 0 ? -1 : scandir(directory, &entries, NULL, by_name), r = 0;

    if (n < 0)
        return error_set(e, -errno, "%s: %s", directory, strerrordesc_np(errno));
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        bool known = passed_over(name) || strcmp(name, folders[0]) == 0 || strcmp(name, CONFIG_DEVICES_DIR) == 0;

        if (r >= 0 && strcmp(name, CONFIG_FILE) == 0) {
            r = add_file(tree, fd, "", name, e);
            tree->folders |= 1U << folder_of(CONFIG_FILE);
        } else if (r >= 0 && strict && !known) {
            r = refuse(directory, "", name, e);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

int apply_read(const char *directory, bool strict, struct apply_tree *ret, struct error *e)
{
    struct apply_tree tree = {0};
    int r = read_top(directory, strict, &tree, e);

    for (unsigned i = 0; r >= 0 && i < ELEMENTSOF(folders); i++) {
        if (!folders[i][0])
            continue;
        r = read_folder(directory, folders[i], strict, &tree, e);
        if (r >= 0)
            tree.folders |= 1U << i;
        else if (r == -ENOENT)
            r = 0;
    }
    if (r < 0) {
        apply_tree_done(&tree);
        return r;
    }
    *ret = tree;
    return 0;
}

/* ── The difference ── */

static const struct apply_file *find(const struct apply_tree *tree, const char *name)
{
    for (size_t i = 0; i < tree->n; i++)
        if (strcmp(tree->files[i].name, name) == 0)
            return &tree->files[i];
    return NULL;
}

static void note(struct apply_changes *c, const struct apply_file *before, const struct apply_file *after)
{
    if (before && after && before->n == after->n && memcmp(before->text, after->text, after->n) == 0)
        return;
    c->list[c->n++] = (struct apply_change){before ? before->name : after->name, before, after};
}

int apply_compare(const struct apply_tree *present, const struct apply_tree *wanted, struct apply_changes *ret)
{
    struct apply_changes c = {.list = calloc(present->n + wanted->n + 1, sizeof(*c.list))};

    if (!c.list)
        return -ENOMEM;
    for (unsigned i = 0; i < ELEMENTSOF(folders); i++)
        for (size_t k = 0; k < wanted->n; k++)
            if (folder_of(wanted->files[k].name) == i)
                note(&c, find(present, wanted->files[k].name), &wanted->files[k]);
    for (size_t k = 0; k < present->n; k++)
        if (wanted->folders >> folder_of(present->files[k].name) & 1 && !find(wanted, present->files[k].name))
            note(&c, &present->files[k], NULL);
    *ret = c;
    return 0;
}

void apply_changes_done(struct apply_changes *changes)
{
    free(changes->list);
    *changes = (struct apply_changes){0};
}

/* ── In place ── */

static int put(const char *directory, const char *name, const struct apply_file *f, struct error *e)
{
    char path[PATH_MAX];
    const char *slash = strchr(name, '/');

    if (slash) {
        snprintf(path, sizeof(path), "%s/%.*s", directory, (int)(slash - name), name);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return error_set(e, -errno, "%s: %s", path, strerrordesc_np(errno));
    }
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return f ? durable_write(AT_FDCWD, path, f->text, f->n, 0644, e) : durable_unlink(AT_FDCWD, path, e);
}

static int take_back(const char *directory, const struct apply_changes *changes, size_t n, struct error *e)
{
    int r = 0;

    while (n-- > 0) {
        struct error own = {0};
        int k = put(directory, changes->list[n].name, changes->list[n].before, &own);

        if (k < 0 && r >= 0)
            r = error_set(e, k, "%s", own.text);
    }
    return r;
}

int apply_publish(const char *directory, const struct apply_changes *changes, struct error *left, struct error *e)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < changes->n; i++) {
        r = put(directory, changes->list[i].name, changes->list[i].after, e);
        if (r < 0) /* this one too: it may have got as far as its name */
            (void)take_back(directory, changes, i + 1, left);
    }
    return r;
}

int apply_take_back(const char *directory, const struct apply_changes *changes, struct error *e)
{
    return take_back(directory, changes, changes->n, e);
}

/* ── A copy ── */

static int stage_file(const char *directory, const struct apply_file *f, struct error *e)
{
    _cleanup_close_ int fd = -EBADF;
    char path[PATH_MAX];
    int r;

    snprintf(path, sizeof(path), "%s/%s", directory, f->name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    r = fd < 0 ? -errno : write_all(fd, f->text, f->n);
    if (r >= 0 && fchmod(fd, 0644) < 0)
        r = -errno;
    return r < 0 ? error_set(e, r, "%s: %s", path, strerrordesc_np(-r)) : 0;
}

int apply_stage(const char *directory, const struct apply_tree *present, const struct apply_tree *wanted,
                struct error *e)
{
    const struct apply_tree *trees[] = {wanted, present};
    char path[PATH_MAX];
    int r = 0;

    /* The agent's user reads it. */
    if (chmod(directory, 0755) < 0)
        return error_set(e, -errno, "%s: %s", directory, strerrordesc_np(errno));
    for (unsigned i = 0; i < ELEMENTSOF(folders); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, folders[i]);
        if (folders[i][0] && (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0))
            return error_set(e, -errno, "%s: %s", path, strerrordesc_np(errno));
    }
    for (size_t t = 0; t < ELEMENTSOF(trees); t++)
        for (size_t i = 0; r >= 0 && i < trees[t]->n; i++)
            if (trees[t] == wanted || !(wanted->folders >> folder_of(trees[t]->files[i].name) & 1))
                r = stage_file(directory, &trees[t]->files[i], e);
    return r;
}

void apply_unstage(const char *directory)
{
    for (unsigned i = 0; i < ELEMENTSOF(folders); i++) {
        char path[PATH_MAX];
        struct dirent **entries = NULL;
        _cleanup_close_ int fd = -EBADF;
        int n;

        snprintf(path, sizeof(path), "%s/%s", directory, folders[i]);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        n = fd < 0 ? 0 : scandir(path, &entries, NULL, NULL);
        for (int k = 0; k < n; k++) {
            (void)unlinkat(fd, entries[k]->d_name, 0);
            free(entries[k]);
        }
        free(entries);
        if (folders[i][0])
            rmdir(path);
    }
    rmdir(directory);
}
